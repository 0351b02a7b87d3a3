"""A function that writes down each call that it runs, and does what its event says.

`tests/system/ledger.py` holds what it wrote against what the callers got. The files `ledger` and
`go`, the word that `hold` waits for, are in the working directory.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

from aiohttp import web


@cache
def book() -> int:
    """Return the descriptor of the ledger."""
    return os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


PAUSE = 0.02


def note(word: str, context: Any) -> None:
    """Add a line to the ledger: one write, which no other process's write tears."""
    os.write(book(), f"{word} {context.request_id} {os.getpid()}\n".encode())


async def handler(event: bytes, context: Any) -> Any:
    """Run on the event loop."""
    note("began", context)
    word, _, rest = event[:64].partition(b" ")
    if word == b"hold":
        await for_the_word()
    elif word == b"nap":
        await asyncio.sleep(float(rest))
    elif word == b"hang":
        await asyncio.Event().wait()
    elif word == b"swallow":
        await swallow()
    elif word == b"quit":
        quit_own_task()
    elif word == b"quit-and-wait":
        quit_own_task()
        await asyncio.sleep(0)
    result = perform(word.decode(), rest, event)
    note("ended", context)
    return result


def plain(event: bytes, context: Any) -> Any:
    """Run in a thread."""
    note("began", context)
    word, _, rest = event[:64].partition(b" ")
    if word in (b"hold", b"hang", b"swallow"):
        wait_for_the_word()
    elif word == b"nap":
        time.sleep(float(rest))
    result = perform(word.decode(), rest, event)
    note("ended", context)
    return result


def is_there() -> bool:
    """Say whether the word has been given."""
    return os.path.exists("go")


async def for_the_word() -> None:
    """Wait on the loop."""
    while True:
        if is_there():
            return
        await asyncio.sleep(PAUSE)


def wait_for_the_word() -> None:
    """Wait in a thread."""
    while not is_there():
        time.sleep(PAUSE)


async def swallow() -> None:
    """Take no cancellation for an answer."""
    while not is_there():
        try:
            await for_the_word()
        except asyncio.CancelledError:
            continue


def quit_own_task() -> None:
    """Cancel the task that runs the handler."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def perform(word: str, rest: bytes, event: bytes) -> Any:
    """Do what needs no wait; the result is the event where the word says nothing else."""
    if word == "size":
        return len(event)
    if word == "large":
        return bytes(int(rest))
    if word == "die":
        os._exit(9)
    if word in RESULTS:
        return RESULTS[word]()
    if word in FAULTS:
        FAULTS[word]()
    return event


class DumbError(Exception):
    """An exception without a text."""

    def __str__(self) -> str:
        raise ValueError("no text")


def throw(failure: BaseException) -> NoReturn:
    """Raise."""
    raise failure


def chain(depth: int) -> NoReturn:
    """Raise an exception that has `depth` causes."""
    if not depth:
        raise AssertionError("the first")
    try:
        chain(depth - 1)
    except AssertionError as reason:
        raise AssertionError(f"number {depth}") from reason


def recurse(depth: int = 0) -> int:
    """Go as deep as Python lets us."""
    return recurse(depth + 1) + 1


FAULTS: dict[str, Callable[[], Any]] = {
    "Exception": lambda: throw(Exception()),
    "ValueError": lambda: throw(ValueError("told")),
    "DumbError": lambda: throw(DumbError()),
    "UnicodeError": lambda: throw(UnicodeError("\u6c34 \ud800 \x1b[31m\n forged")),
    "BufferError": lambda: throw(BufferError("x" * 10_000_000)),
    "ExceptionGroup": lambda: throw(ExceptionGroup("several", [ValueError("a"), KeyError("b")])),
    "BaseExceptionGroup": lambda: throw(BaseExceptionGroup("several", [SystemExit(3)])),
    "AssertionError": lambda: chain(100),
    "RecursionError": recurse,
    "MemoryError": lambda: throw(MemoryError()),
    "CancelledError": lambda: throw(asyncio.CancelledError()),
    "TimeoutError": lambda: throw(TimeoutError()),
    "HTTPNotFound": lambda: throw(web.HTTPNotFound()),
    "KeyboardInterrupt": lambda: throw(KeyboardInterrupt()),
    "SystemExit": lambda: sys.exit(7),
    "GeneratorExit": lambda: throw(GeneratorExit()),
    "StopAsyncIteration": lambda: throw(StopAsyncIteration()),
}
"""What a handler raises, by the name of its class."""


def circle() -> list[Any]:
    """Return a list that contains itself."""
    found: list[Any] = []
    found.append(found)
    return found


RESULTS: dict[str, Callable[[], Any]] = {
    "a-set": lambda: {1, 2},
    "a-circle": circle,
    "a-surrogate": lambda: {"text": "\ud800"},
    "a-function": lambda: perform,
    "a-generator": lambda: (number for number in range(3)),
}
"""Results that cannot become bytes."""


async def gated(context: Any) -> None:
    """Initialize once the word comes."""
    note("initializing", context)
    await for_the_word()


def gated_plain(context: Any) -> None:
    """Initialize once the word comes, in a thread."""
    note("initializing", context)
    wait_for_the_word()


def hook(context: Any) -> None:
    """Be a hook of any kind."""
    note("hook", context)
