"""The console's server: the page, the stream of changes, and what the page asks for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from ..protocol import SERVICE_LOGGER
from .access import ConsoleAccess
from .answers import CALL_ROUTES, SOURCE
from .feed import ConsoleFeed
from .hub import ConsoleHub
from .json_text import json_bytes
from .page_files import PageFiles
from .refusal import ConsoleRefusal
from .requests import MAX_REQUEST
from .samples_answers import SAMPLE_ROUTES
from .source import ConsoleSource

SECURE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer: the page loads nothing of other hosts, and no other page shows it."""

_LAST_ANSWERS = 1.0
"""Seconds that open requests have when the console is closed."""

_CLOSED = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Console: no access</title>
<h1>This address has no token</h1>
<p>Open the console by the address that was printed when the server was started, in the line
<code>console</code>. It ends with <code>?token=...</code>.</p>
</html>
"""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger(SERVICE_LOGGER)


class ConsoleServer:
    """The console of one source, on a port of its own. `url` is where the page is, without its
    token.
    """

    def __init__(self, source: ConsoleSource, access: ConsoleAccess, version: str) -> None:
        self.hub = ConsoleHub(ConsoleFeed(source, version))
        self.url = ""
        self._source = source
        self._access = access
        self._files = PageFiles()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> None:
        """Open the port. Raises OSError if that cannot be had."""
        runner = web.AppRunner(
            self._app(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_LAST_ANSWERS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        name, self._access.port = runner.addresses[0][:2]
        self.url = f"http://{f'[{name}]' if ':' in name else name}:{self._access.port}"
        self.hub.start()

    async def stop(self) -> None:
        """End all streams, and close the port."""
        await self.hub.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guarded], client_max_size=MAX_REQUEST)
        app[SOURCE] = self._source
        app.on_response_prepare.append(_secure)
        app.router.add_get("/events", self._events)
        for method, path, handler in (*CALL_ROUTES, *SAMPLE_ROUTES):
            app.router.add_route(method, path, handler)
        app.router.add_get("/{path:.*}", self._files.serve)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let in who knows the token, and tell everything that goes wrong as JSON."""
        try:
            self._access.check_origin(request)
            if (entrance := self._access.entrance(request)) is not None:
                return entrance
            self._access.check_cookie(request)
            return await handler(request)
        except ConsoleRefusal as refusal:
            if refusal.status == 401 and request.path == "/":
                return web.Response(text=_CLOSED, status=401, content_type="text/html")
            return told(refusal.status, str(refusal))
        except web.HTTPException as error:
            return told(error.status, f"{request.method} {request.path}: {error.reason}")
        except ConnectionError:
            raise  # the page has left
        except Exception as error:
            _log.exception("the console failed at %s %s", request.method, request.path)
            return told(500, f"the console failed: {type(error).__name__}: {error}")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.hub.check_room()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await self.hub.serve(response)
        except ConnectionError:
            pass  # the page has left
        except Exception:  # after the first byte nothing can be told: the page comes again
            _log.exception("the console cannot tell what there is")
        return response


def told(status: int, text: str) -> web.Response:
    """Return the answer to what cannot be done."""
    return web.Response(
        body=json_bytes({"error": text}), status=status, content_type="application/json"
    )


async def _secure(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURE)
