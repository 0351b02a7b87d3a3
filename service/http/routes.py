"""How a request finds its path: aiohttp's router with Function Compute's rules, and the short way
that most requests take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.web_urldispatcher import (
    AbstractResource,
    AbstractRoute,
    ResourceRoute,
    UrlMappingMatchInfo,
)
from yarl import URL

from .. import protocol
from .direct import DirectWay
from .middleware import is_unknown_expectation, path_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Paths(AbstractResource):
    """The service's paths. `x-fc-control-path`, if the platform sends it, wins over the URL's
    path.

    aiohttp's own resources know the URL alone (docs/platform.md section 1.2).
    """

    def __init__(self, handlers: dict[str, tuple[tuple[str, ...], Handler]]) -> None:
        super().__init__(name="function-compute")
        self._routes = {
            path: {m: ResourceRoute(m, handler, self, expect_handler=_expect) for m in methods}
            for path, (methods, handler) in handlers.items()
        }

    async def resolve(self, request: web.Request) -> tuple[UrlMappingMatchInfo | None, set[str]]:
        """Return the route for the path that counts, or the methods that it takes."""
        routes = self._routes.get(path_of(request), {})
        route = routes.get(request.method)
        return (UrlMappingMatchInfo({}, route) if route else None), set(routes)

    def route(self, path: str, method: str) -> ResourceRoute:
        """Return the route for a path and a method that there are."""
        return self._routes[path][method]

    @property
    def canonical(self) -> str:
        """Return "/": every request is resolved here."""
        return "/"

    def url_for(self, **_parts: str) -> URL:
        """Return the root's URL; no link is made to this service."""
        return URL("/")

    def add_prefix(self, prefix: str) -> None:
        """Refuse: Function Compute's paths are fixed."""
        raise RuntimeError("the paths of Function Compute have no prefix")

    def get_info(self) -> Any:
        """Return the paths."""
        return {"path": ", ".join(self._routes)}

    def raw_match(self, path: str) -> bool:
        """Return True for a path of the service."""
        return path in self._routes

    def __len__(self) -> int:
        return sum(map(len, self._routes.values()))

    def __iter__(self) -> Iterator[AbstractRoute]:
        return (route for routes in self._routes.values() for route in routes.values())


async def _expect(_request: web.Request) -> None:
    """Send nothing yet: 100-continue is answered when the body is first read.

    aiohttp calls this outside of the middlewares, and answers at once by itself.
    """


OWN_RINGS = web.AppKey("own_rings", tuple)
"""The middlewares of the service, in their order: they ask for no match of the router."""


DIRECT: web.AppKey[DirectWay] = web.AppKey("direct")
"""What runs calls that take the direct way."""


def direct_way(app: web.Application) -> DirectWay | None:
    """Return what runs calls directly, None if the user has middlewares or signals of an answer:
    these are to see the request.
    """
    if tuple(app.middlewares) != app.get(OWN_RINGS) or app.on_response_prepare:
        return None
    return app.get(DIRECT)


def shortcut(app: web.Application, whole: Handler) -> Handler:
    """Return what handles a request: for `POST /invoke` what the router and the middlewares of
    `app` come to, decided once; `whole`, aiohttp's own way, for all else, and for everything if
    the user has middlewares or signals of an answer: these may ask for the match.

    aiohttp would answer an unknown expectation before the middlewares, with its value: they do.
    """
    resource = next((r for r in app.router.resources() if isinstance(r, Paths)), None)
    own = app.get(OWN_RINGS)
    if resource is None or own is None:
        return whole
    handler: Handler = resource.route(protocol.INVOKE.path, "POST").handler
    for middleware in reversed(own):
        handler = partial(middleware, handler=handler)

    def handle_other(request: web.Request) -> Awaitable[web.StreamResponse]:
        refused = is_unknown_expectation(request.headers.get("Expect"))
        return handler(request) if refused else whole(request)

    if tuple(app.middlewares) != own or app.on_response_prepare:
        return handle_other

    def handle(request: web.Request) -> Awaitable[web.StreamResponse]:
        if request.method == "POST" and path_of(request) == protocol.INVOKE.path:
            return handler(request)
        return handle_other(request)

    return handle
