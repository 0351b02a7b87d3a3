"""Which stack frames are the user's, and how an error or a time-out shows them."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from traceback import walk_tb
from types import CodeType, FrameType
from typing import Any

import msgspec

from ..errors import text_of

_OURS = str(Path(__file__).parents[1]) + "/"
_LIBRARY = os.path.dirname(os.__file__) + "/"
_CYTHON = (".pyx", ".pxd", ".pxi")  # uvloop's and aiohttp's; they do not say where they are
_MAX_FRAMES = 50
_MAX_TOLD = 20
"""Exceptions that are told of for one that was raised."""

TRACEBACK = "Traceback (most recent call last):"
_BECAUSE = "\nThe above exception was the direct cause of the following exception:\n"
_MEANWHILE = "\nDuring handling of the above exception, another exception occurred:\n"


class CodePlace(msgspec.Struct, frozen=True):
    """A line of code that runs, or waits."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


def _place(code: CodeType, line: int | None) -> CodePlace:
    return CodePlace(code.co_filename, line or code.co_firstlineno, code.co_name)


def _is_users(place: CodePlace) -> bool:
    return is_users_file(place.file)


def is_users_file(file: str) -> bool:
    """Return whether a file is of the function's own code, not of a library's or ours."""
    library = file.startswith((_OURS, _LIBRARY, "<")) or "/site-packages/" in file
    return not library and not file.endswith(_CYTHON)


def _users(places: list[CodePlace]) -> list[CodePlace]:
    """Return the user's frames; if there are none, all but ours."""
    users = [place for place in places if _is_users(place)]
    return users or [place for place in places if not place.file.startswith(_OURS)]


def of_failure(failure: BaseException) -> list[CodePlace]:
    """Return the user's frames of an exception, outermost first."""
    return _users(of_fault(failure))


def of_fault(failure: BaseException) -> list[CodePlace]:
    """Return all frames of an exception, outermost first."""
    return [_place(frame.f_code, line) for frame, line in walk_tb(failure.__traceback__)]


def is_ours(failure: BaseException) -> bool:
    """Return whether an exception is a fault of the service: it passed our code and none of the
    user's. Its text may quote a request.
    """
    places = of_fault(failure)
    return any(p.file.startswith(_OURS) for p in places) and not any(map(_is_users, places))


def as_strings(places: list[CodePlace]) -> list[list[str]]:
    """Return frames the way the built-in runtime's `stackTrace` nests them (docs/platform.md
    section 3.1).
    """
    return [
        [f'File "{p.file}"', f"line {p.line}", f"in {p.function}", _source(p)]
        for p in places[-_MAX_FRAMES:]
    ]


def _source(place: CodePlace) -> str:
    return linecache.getline(place.file, place.line).strip()


def as_text(places: list[CodePlace]) -> str:
    """Return frames as Python's own traceback shows them."""
    shown = [
        f'  File "{p.file}", line {p.line}, in {p.function}\n    {_source(p)}'.rstrip()
        for p in places[-_MAX_FRAMES:]
    ]
    return "\n".join(shown)


def story(failure: BaseException) -> str:
    """Return what an exception says, and before it what it came from: of each the user's frames,
    and the members of a group.

    Of causes and contexts the kind is told, not the text: it often quotes the event, as that of
    `int(event)` does, and the user's code has put another one in its place.
    """
    try:
        return "\n".join(_story(failure, set(), caused=False))
    except Exception:  # its class has notes that are none, or members that raise
        return f"{type(failure).__name__}: {text_of(failure)}"


def _story(failure: BaseException, told: set[int], *, caused: bool) -> Iterator[str]:
    if id(failure) in told or len(told) == _MAX_TOLD:
        return
    told.add(id(failure))
    cause = failure.__cause__
    context = None if failure.__suppress_context__ else failure.__context__
    before = context if cause is None else cause
    if came_from := [] if before is None else list(_story(before, told, caused=True)):
        yield from came_from
        yield _MEANWHILE if cause is None else _BECAUSE
    if type(failure).__name__ == "_RemoteTraceback":  # of another process, which it has as text
        yield TRACEBACK
        yield from (line for line in text_of(failure).splitlines() if line.startswith("  "))
        return
    if places := of_failure(failure):
        yield f"{TRACEBACK}\n{as_text(places)}"
    name = type(failure).__name__
    if caused:
        yield name
    else:
        yield f"{name}: {text_of(failure)}"
        yield from map(str, getattr(failure, "__notes__", ()))
    if isinstance(failure, BaseExceptionGroup):
        for number, member in enumerate(failure.exceptions, 1):
            if said := "\n".join(_story(member, told, caused=caused)):
                yield f"  {number} of {len(failure.exceptions)}:\n" + indent(said, "  ")


def awaited_by(coroutine: Any) -> CodePlace | None:
    """Return the user's innermost line that a suspended coroutine waits on."""
    return _innermost(
        [_place(frame.f_code, frame.f_lineno) for frame in suspended_frames(coroutine)]
    )


def running_in(thread: int) -> CodePlace | None:
    """Return the user's innermost line that runs in the thread with this identifier."""
    frame = sys._current_frames().get(thread)
    places = []
    while frame is not None:
        places.append(_place(frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return _innermost(places[::-1])


def _innermost(places: list[CodePlace]) -> CodePlace | None:
    users = [place for place in places if _is_users(place)]
    return users[-1] if users else None


def suspended_frames(awaitable: Any) -> Iterator[FrameType]:
    """Yield the frames of a coroutine that waits for a coroutine that waits..., outermost first."""
    while awaitable is not None:
        for prefix, waits_for in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
            frame = getattr(awaitable, f"{prefix}_frame", None)
            if frame is not None:
                yield frame
                awaitable = getattr(awaitable, waits_for)
                break
        else:
            return
