"""`Listener`: what a failure to take a connection means."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest
from aiohttp import web

from service.calls.lifecycle import Lifecycle
from service.http.backend import Limits
from service.http.listener import Listener
from service.http.server import Server
from tests.assembly import Logged


class FailsOnce:
    """A listening socket whose next `accept` fails."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock = sock
        self._number = number
        self.tried = 0

    def accept(self) -> Any:
        """Fail, the first time."""
        self.tried += 1
        if self.tried == 1:
            raise OSError(self._number, "a failure")
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


async def answered(port: int) -> bytes:
    """The status line of an answer on a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return line


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (("127.0.0.1", 9000), "http://127.0.0.1:9000"),
        (("0.0.0.0", 80), "http://0.0.0.0"),
        (("::1", 9000, 0, 0), "http://[::1]:9000"),
    ],
)
async def test_its_name_is_what_clients_ask(address: tuple[object, ...], url: str) -> None:
    """It is the URL, with the brackets that an IPv6 address has there."""

    class Bound:
        def getsockname(self) -> tuple[object, ...]:
            return address

    bound: Any = Bound()
    lifecycle = Lifecycle(drain_timeout=1, hurry=lambda: None)
    server = Server(web.Application(), lifecycle, Limits(60, 60, 100))
    assert Listener(server, bound, lifecycle).name == url


PASSING = ["EPROTO", "ENETDOWN", "EHOSTUNREACH", "ENONET", "EOPNOTSUPP", "EPERM", "ENETUNREACH"]
PASSING += ["EHOSTDOWN", "ENOPROTOOPT", "EMFILE"]


@pytest.mark.parametrize("name", [each for each in PASSING if hasattr(errno, each)])
async def test_a_connection_that_cannot_be_taken_leaves_nobody_deaf(
    log: Logged, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What went wrong with one connection is told, and the next one is served."""
    monkeypatch.setattr("service.http.listener.RETRY", 0.01)
    monkeypatch.setattr("service.logs.log._said", {})
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        fails: Any = FailsOnce(sock, getattr(errno, name))
        lifecycle = Lifecycle(drain_timeout=1, hurry=lambda: None)
        server = Server(web.Application(), lifecycle, Limits(60, 60, 100))
        await server.setup()
        listener = Listener(server, fails, lifecycle)
        await listener.start()
        assert (await answered(sock.getsockname()[1])).startswith(b"HTTP/1.1 404")
        assert fails.tried > 1
        await listener.stop()
        await server.cleanup()
    assert any("[WARNING]" in line for line in log[1].lines())


@pytest.mark.parametrize("name", ["EBADF", "EINVAL"])
async def test_a_socket_that_was_ended_is_asked_no_more(name: str) -> None:
    """Only these say that the socket is gone: the loop does not spin on it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        fails: Any = FailsOnce(sock, getattr(errno, name))
        lifecycle = Lifecycle(drain_timeout=1, hurry=lambda: None)
        server = Server(web.Application(), lifecycle, Limits(60, 60, 100))
        await server.setup()
        listener = Listener(server, fails, lifecycle)
        await listener.start()
        listener._take()
        assert not asyncio.get_running_loop().remove_reader(sock)
        await server.cleanup()
