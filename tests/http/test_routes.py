"""How a request finds its path."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from service.http.routes import Paths
from tests.assembly import Logged, assembled, error_of


async def echo(event: bytes, _context: Any) -> bytes:
    """Return the event."""
    return event


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "why"),
    [
        ("GET", "/invoke", 405, "MethodNotAllowed", "/invoke takes POST"),
        ("POST", "/health", 405, "MethodNotAllowed", "/health takes GET and HEAD"),
        ("DELETE", "/pre-stop", 405, "MethodNotAllowed", "GET and POST"),
        ("POST", "/", 404, "NotFound", "/invoke, /initialize, /pre-stop, /pre-freeze, /health"),
        ("POST", "/invoke/", 404, "NotFound", "no such path"),
        ("POST", "/http-invoke", 400, "NotAnEventFunction", "has no HTTP handler"),
        ("GET", "/http-invoke", 400, "NotAnEventFunction", "has no HTTP handler"),
    ],
)
async def test_what_is_not_served_is_told(
    aiohttp_client: AiohttpClient,
    log: Logged,
    method: str,
    path: str,
    status: int,
    code: str,
    why: str,
) -> None:
    """Unknown paths and wrong methods are JSON errors; a 405 has `Allow`."""
    client = await aiohttp_client(assembled(log[0], echo))
    got = await client.request(method, path)
    found, message = error_of(await got.read())
    assert (got.status, found, got.headers["x-fc-status"]) == (status, code, "404")
    assert why in message
    assert ("Allow" in got.headers) == (status == 405)


async def test_the_control_path_wins_over_the_url(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """A request is served by `x-fc-control-path` where it is sent; an empty one is absent."""
    client = await aiohttp_client(assembled(log[0], echo))
    for url, control in (("/any", "/invoke"), ("/health", "/invoke"), ("/invoke", "")):
        got = await client.post(url, data=b"x", headers={"x-fc-control-path": control})
        assert await got.read() == b"x"
    got = await client.post("/invoke", headers={"x-fc-control-path": "/http-invoke"})
    assert error_of(await got.read())[0] == "NotAnEventFunction"


def test_the_paths_are_an_aiohttp_resource(log: Logged) -> None:
    """What aiohttp asks of a resource is answered; a prefix is refused."""
    app = assembled(log[0], echo)
    (paths,) = app.router.resources()
    assert isinstance(paths, Paths)
    assert (paths.canonical, str(paths.url_for())) == ("/", "/")
    assert paths.raw_match("/invoke")
    assert not paths.raw_match("/other")
    assert len(paths) == len(list(paths)) == 10
    assert "/invoke" in paths.get_info()["path"]
    with pytest.raises(RuntimeError, match="no prefix"):
        paths.add_prefix("/x")
