"""The event loop: which one, what it does with failures, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..calls import tracebacks
from ..calls.left_behind import every_task, track_on
from ..calls.tasks import context_of
from ..context.call import RUNNING, Context
from ..errors import StartError
from ..logs.log import log_rarely
from ..protocol import SERVICE_LOGGER
from .signals import KEPT_SIGNALS, SIGNALS, Stopped

_log = logging.getLogger(SERVICE_LOGGER)


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Return an event loop: uvloop's for `uvloop`, and for `auto` if it is installed. Raises
    StartError if it was asked for, and is not, and Stopped if a stop came meanwhile.
    """
    kind_of_loop = loop_class(kind)
    loop: asyncio.AbstractEventLoop | None = None
    try:
        with SIGNALS.held():
            loop = _keeping_signals(kind_of_loop)
            track_on(loop)
    except Stopped:
        if loop is not None:
            loop.close()
        raise
    return loop


def call_soon_unless_closed(
    loop: asyncio.AbstractEventLoop, step: Callable[..., object], *arguments: Any
) -> None:
    """Have a loop do something, from a signal's handler: one that is closed has nothing to stop
    any more.
    """
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(step, *arguments)


def loop_class(kind: str) -> Any:
    """Import the class of such a loop and return it: before the function's folder, in which a
    file could have uvloop's name, is on the path. Raises StartError as `new_loop` does.
    """
    if kind != "asyncio":
        try:
            import uvloop  # not on every platform
        except ImportError as reason:
            if kind == "uvloop":
                raise StartError(
                    "uvloop is not installed: install it, or start with --loop auto"
                ) from reason
        else:
            return uvloop.Loop
    return asyncio.SelectorEventLoop


class _KeepsSignals:
    """What a loop does with a handler that the function sets for a stop signal: it notes it, as
    `signal.signal` does (`StopSignals.keep`).
    """

    def add_signal_handler(
        self, sig: int, callback: Callable[..., object], *arguments: Any
    ) -> None:
        """Let the function handle a signal that is not the service's."""
        if sig in SIGNALS.heeded and sig in KEPT_SIGNALS:
            SIGNALS.note(signal.Signals(sig), callback)
        else:
            super().add_signal_handler(sig, callback, *arguments)  # type: ignore[misc] # a mixin

    def remove_signal_handler(self, sig: int) -> bool:
        """Undo that; return whether there was a handler."""
        if sig in SIGNALS.heeded and sig in KEPT_SIGNALS:
            return SIGNALS.forget(sig)
        found: bool = super().remove_signal_handler(sig)  # type: ignore[misc] # a mixin
        return found


def _keeping_signals(kind: Any) -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = type(kind.__name__, (_KeepsSignals, kind), {})()
    return loop


@contextlib.contextmanager
def woken_by_signals(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Within this, a signal ends the wait of a loop of the main thread, also if it came in the last
    moment before that: what Python calls for it is called between two steps of Python's code alone.

    asyncio's own loops would wait for the next event, or a timer. uvloop sees to it by itself.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or not isinstance(loop, asyncio.SelectorEventLoop):
        yield
        return
    heard, rung = socket.socketpair()
    with heard, rung:
        for end in (heard, rung):
            end.setblocking(False)
        loop.add_reader(heard, heard.recv, 4096)
        before = signal.set_wakeup_fd(rung.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            if not loop.is_closed():
                loop.remove_reader(heard)


def run_to_end(loop: asyncio.AbstractEventLoop, main: asyncio.Task[int]) -> int:
    """Run `main` to its end, whatever user code raises beside it.

    A task that ends with SystemExit or KeyboardInterrupt makes the loop stop and raise it
    (docs/faults.md F8), and so does a signal's handler with what it raises; after `loop.stop()` it
    raises RuntimeError.
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


def on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong outside of any call, with the request id of the call that caused it if
    that is known.
    """
    failure = context.get("exception")
    task = context.get("task") or context.get("future")
    if isinstance(failure, OSError) and failure.errno in (errno.EMFILE, errno.ENFILE):
        log_rarely("descriptors", "no file descriptor is left: new connections wait")
        return
    # asyncio's own words for a callback quote its arguments.
    message = "a callback of the event loop failed" if "handle" in context else context["message"]
    if failure is not None and tracebacks.is_ours(failure):
        places = tracebacks.as_text(tracebacks.of_fault(failure))
        message = f"{message}\n{places}\nthe service failed: {type(failure).__name__}"
    elif failure is not None:
        message = f"{message}\n{tracebacks.story(failure)}"
    call = context_of(task) if isinstance(task, asyncio.Task) else None
    # A task that is collected reports from within whatever call runs then: not as that one's.
    contextvars.Context().run(_log_for, call, message)


def _log_for(call: Context | None, message: object) -> None:
    if call is not None:
        RUNNING.set(call)
    _log.error("%s", message)


def wind_up(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what user code left running, give it a moment, and close the loop."""
    left = every_task(loop)
    for task in left:
        task.cancel()
    with contextlib.suppress(BaseException):
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=1.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()
