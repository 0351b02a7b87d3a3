"""One worker: the socket, the loop, the signals, the drain, the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import faulthandler
import math
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from ..calls.lifecycle import Lifecycle
from ..errors import ServiceError, StartError
from ..http.backend import Limits
from ..http.listener import BACKLOG, Listener
from ..http.server import Server
from ..instance.assembly import SERVICE
from ..logs.log import Logs
from ..settings.table import Settings
from .beside import run_beside, runs_here
from .checks import check_connection
from .loop import (
    call_soon_unless_closed,
    new_loop,
    on_loop_error,
    run_to_end,
    wind_up,
    woken_by_signals,
)
from .signals import SIGNALS

SPARE_DESCRIPTORS = 32
"""File descriptors that are left to the handlers and to ourselves when clients take all they may.
"""

READ_ITERATIONS = 10
"""Iterations of the event loop from an accepted connection to its request being in flight, with
some to spare: after a freeze requests and the signal may come in the same moment.
"""

LAST_BYTES = 5.0
"""Seconds in which clients may read the last answers before their connections are cut."""


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket. Raises StartError that names the port."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as reason:
        sock.close()
        raise StartError(_cannot_listen(host, port, reason)) from reason
    return sock


def _cannot_listen(host: str, port: int, reason: OSError) -> str:
    if reason.errno == errno.EADDRINUSE:
        return f"port {port} is in use: stop what listens there, or choose another with --port"
    if reason.errno == errno.EACCES:
        return f"port {port} is not allowed to this user: choose one above 1023 with --port"
    return f"cannot listen on {host} port {port}: {reason.strerror or reason}"


MakeListener = Callable[[Server, socket.socket, Lifecycle], Listener]


def serve(
    app: web.Application,
    sock: socket.socket,
    announce: Callable[[str], None] = lambda _: None,
    make_listener: MakeListener = Listener,
) -> int:
    """Serve `app` on `sock` until SIGTERM or SIGINT, then drain; return the exit code.

    `announce` is called with the URL once the port answers.
    """
    service = app[SERVICE]
    faulthandler.enable(file=os.dup(2))
    connections = _raise_descriptor_limit() - SPARE_DESCRIPTORS
    loop = serving_loop(service.settings)

    def run() -> int:
        asyncio.set_event_loop(loop)
        work = serve_until_ending(app, sock, connections, announce, make_listener)
        try:
            with woken_by_signals(loop):
                return run_to_end(loop, loop.create_task(work))
        finally:
            wind_up(loop)
            service.logs.close()

    try:
        with _told_by_signals(loop, service.logs, service.lifecycle):
            return run_beside(run, service.threads) if runs_here(service) else run()
    finally:
        loop.close()
        service.logs.close()


def serving_loop(settings: Settings) -> asyncio.AbstractEventLoop:
    """Return a loop as calls are served on. Raises StartError as `new_loop` does."""
    loop = new_loop(settings.loop)
    loop.set_exception_handler(on_loop_error)
    # `asyncio.to_thread` has as many threads as handlers: by default, a few for each core.
    loop.set_default_executor(ThreadPoolExecutor(settings.concurrency, "to-thread"))
    # In asyncio's debug mode a slow turn is logged with the call's result. The watchdog tells its
    # line.
    loop.slow_callback_duration = math.inf
    return loop


async def serve_until_ending(
    app: web.Application,
    sock: socket.socket,
    connections: int,
    announce: Callable[[str], None],
    make_listener: MakeListener = Listener,
) -> int:
    """Serve until the end begins, then drain and stop; return the exit code. So many `connections`
    may be open at once.
    """
    service = app[SERVICE]
    lifecycle, settings = service.lifecycle, service.settings
    limits = Limits(settings.header_timeout, settings.body_timeout, connections)
    await check_connection()
    server = Server(app, lifecycle, limits, service.logs.pipe.when_out, service.budget)
    await server.setup()
    listener = make_listener(server, sock, lifecycle)
    await listener.start()
    closing = asyncio.ensure_future(_close_when_draining(listener, lifecycle))
    announce(listener.name)
    await lifecycle.ending.wait()
    lifecycle.draining.set()
    await closing
    for _ in range(READ_ITERATIONS):
        await asyncio.sleep(0)
    with contextlib.suppress(ServiceError):  # its hook's failure is logged, and the stop goes on
        await lifecycle.stop()
    await _end(server, lifecycle)
    return 0


async def _close_when_draining(listener: Listener, lifecycle: Lifecycle) -> None:
    """Listen no more once the drain begins."""
    await lifecycle.draining.wait()
    await listener.stop()


async def _end(server: Server, lifecycle: Lifecycle) -> None:
    """Let the last answers leave, then close. A clean-up drops half-received bodies: it comes last
    (docs/faults.md F1).
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_BYTES):
            await lifecycle.idle()
            await server.cleanup()
            await server.connections.empty.wait()


@contextlib.contextmanager
def _told_by_signals(
    loop: asyncio.AbstractEventLoop, logs: Logs, lifecycle: Lifecycle
) -> Iterator[None]:
    """Within this, the first stop signal begins the end. Raises Stopped if one came
    before.
    """

    def outside_of_calls(step: Callable[..., object], *arguments: object) -> None:
        # A signal comes in the midst of a call, and is not that call's.
        contextvars.Context().run(step, *arguments)

    def stop(number: signal.Signals) -> None:
        logs.line(
            "INFO", f"{number.name}: stopping, no new connections, calls in flight are finished"
        )
        lifecycle.ending.set()

    def last_words(number: signal.Signals) -> None:
        logs.line("WARNING", f"{number.name} again: ended with calls in flight")
        logs.close()

    SIGNALS.to_main = loop.call_soon_threadsafe
    try:
        with SIGNALS.told(
            lambda number: outside_of_calls(call_soon_unless_closed, loop, stop, number),
            lambda number: outside_of_calls(last_words, number),
        ):
            yield
    finally:
        SIGNALS.to_main = None


def _raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; return how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft
