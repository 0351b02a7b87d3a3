"""One worker: the socket, the loop, the signals, the drain, the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import faulthandler
import logging
import math
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import web

from service import frames
from service.app import SERVICE
from service.calls import context_of, own, own_tasks
from service.context import RUNNING, Context
from service.errors import ServiceError, StartError
from service.lifecycle import Lifecycle
from service.logs import Logs, log_rarely
from service.receiver import Limits
from service.runner import Runner, Server
from service.selfcheck import check_limits
from service.settings import Settings
from service.signals import SIGNALS
from service.site import BACKLOG, Site
from service.spawned import task_factory
from service.threads import HandlerLoops

SPARE_DESCRIPTORS = 32
"""File descriptors that are left to the handlers and to ourselves when clients take all they may.
"""

READING_TURNS = 10
"""Turns of the loop from an accepted connection to its request being in flight, with some to spare:
after a freeze requests and the signal may come in the same moment.
"""

LAST_BYTES = 5.0
"""Seconds in which clients may read the last answers before their connections are cut."""

_log = logging.getLogger("service")


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


MakeSite = Callable[[Runner, socket.socket, Lifecycle], Site]


def serve(
    app: web.Application,
    sock: socket.socket,
    announce: Callable[[str], None] = lambda _: None,
    make_site: MakeSite = Site,
) -> int:
    """Serve `app` on `sock` until SIGTERM or SIGINT, then drain; return the exit code.

    `announce` is called with the URL once the port answers.
    """
    service = app[SERVICE]
    faulthandler.enable(file=os.dup(2))
    limits = Limits(
        header_timeout=service.settings.header_timeout,
        body_timeout=service.settings.body_timeout,
        connections=_raise_descriptor_limit() - SPARE_DESCRIPTORS,
    )
    loop = new_loop(service.settings.loop)
    loop.set_exception_handler(on_loop_error)
    loop.set_task_factory(task_factory)
    # `asyncio.to_thread` has as many threads as handlers: by default, a few for each core.
    loop.set_default_executor(ThreadPoolExecutor(service.settings.concurrency, "to-thread"))
    # In asyncio's debug mode a slow turn is logged with the call's result. The watchdog tells its
    # line.
    loop.slow_callback_duration = math.inf
    asyncio.set_event_loop(loop)
    try:
        with _told_by_signals(loop, service.logs, service.lifecycle):
            main = own(loop.create_task(_serve(app, sock, limits, announce, make_site)))
            return _run(loop, main)
    finally:
        wind_up(loop)
        service.logs.close()


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Return an event loop: uvloop's for `uvloop`, and for `auto` where it is installed. Handler
    threads get their own where they ask for one.
    """
    asyncio.set_event_loop_policy(HandlerLoops())
    if kind != "asyncio":
        try:
            import uvloop  # not on every platform
        except ImportError as reason:
            if kind == "uvloop":
                raise StartError(
                    "uvloop is not installed: install it, or start with --loop auto"
                ) from reason
        else:
            return uvloop.new_event_loop()
    return asyncio.SelectorEventLoop()


def _run(loop: asyncio.AbstractEventLoop, main: asyncio.Task[int]) -> int:
    """Run `main` to its end, whatever user code raises beside it.

    A task that ends with SystemExit or KeyboardInterrupt makes the loop stop and raise it (F8), and
    so does a signal's handler with what it raises; after `loop.stop()` it raises RuntimeError.
    """
    while True:
        try:
            return loop.run_until_complete(main)
        except BaseException as reason:
            if main.done() or loop.is_closed():
                raise
            if isinstance(reason, RuntimeError):
                _log.error("the function stopped the event loop: the service goes on")
                continue
            kind = type(reason).__name__
            _log.error("a task or a signal of the function raised %s: the service goes on", kind)


async def _serve(
    app: web.Application,
    sock: socket.socket,
    limits: Limits,
    announce: Callable[[str], None],
    make_site: MakeSite,
) -> int:
    service = app[SERVICE]
    lifecycle = service.lifecycle
    runner = Runner(app, lifecycle, limits, service.logs.sink.when_out)
    await runner.setup()
    assert runner.server is not None
    check_limits(runner.server)
    site = make_site(runner, sock, lifecycle)
    await site.start()
    closing = own(asyncio.ensure_future(_close_when_draining(site, lifecycle)))
    announce(site.name)
    await lifecycle.ending.wait()
    lifecycle.draining.set()
    await closing
    for _ in range(READING_TURNS):
        await asyncio.sleep(0)
    with contextlib.suppress(ServiceError):  # its hook's failure is logged, and the stop goes on
        await lifecycle.stop()
    await _end(runner, lifecycle)
    return 0


async def _close_when_draining(site: Site, lifecycle: Lifecycle) -> None:
    """Listen no more once the drain begins."""
    await lifecycle.draining.wait()
    await site.stop()


async def _end(runner: Runner, lifecycle: Lifecycle) -> None:
    """Let the last answers leave, then close. aiohttp's clean-up drops half-received bodies: it
    comes last (F1).
    """
    server = runner.server
    assert isinstance(server, Server)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_BYTES):
            await lifecycle.idle()
            await runner.cleanup()
            await server.empty.wait()


@contextlib.contextmanager
def _told_by_signals(
    loop: asyncio.AbstractEventLoop, logs: Logs, lifecycle: Lifecycle
) -> Iterator[None]:
    """Within this, the first SIGTERM or SIGINT begins the end. Raises Stopped where one came
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

    with SIGNALS.told(
        lambda number: outside_of_calls(loop.call_soon_threadsafe, stop, number),
        lambda number: outside_of_calls(last_words, number),
    ):
        yield


def _raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; return how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


def on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong outside of any call, with the request id of the call that caused it where
    that is known.
    """
    failure = context.get("exception")
    task = context.get("task") or context.get("future")
    if isinstance(failure, OSError) and failure.errno in (errno.EMFILE, errno.ENFILE):
        log_rarely("descriptors", "no file descriptor is left: new connections wait")
        return
    # asyncio's own words for a callback quote its arguments.
    message = "a callback of the event loop failed" if "handle" in context else context["message"]
    if failure is not None and frames.is_ours(failure):
        places = frames.as_text(frames.of_fault(failure))
        message = f"{message}\n{places}\nthe service failed: {type(failure).__name__}"
    elif failure is not None:
        message = f"{message}\n{frames.story(failure)}"
    call = context_of(task) if isinstance(task, asyncio.Task) else None
    # A task that is collected reports from within whatever call runs then: not as that one's.
    contextvars.Context().run(_log_for, call, message)


def _log_for(call: Context | None, message: object) -> None:
    if call is not None:
        RUNNING.set(call)
    _log.error("%s", message)


def wind_up(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what user code left running, give it a moment, and close the loop."""
    left = asyncio.all_tasks(loop) | own_tasks(loop)
    for task in left:
        task.cancel()
    with contextlib.suppress(BaseException):
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=1.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()
