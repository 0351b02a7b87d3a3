"""Which frames are the user's, and how they are shown."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import service
from service.calls import tracebacks
from service.calls.tracebacks import CodePlace

HERE = __file__


def failure_of(work: Any) -> BaseException:
    """What a piece of code raises."""
    try:
        work()
    except BaseException as failure:
        return failure
    raise AssertionError("nothing was raised")


def compiled(file: str) -> Any:
    """A function `call(f)` that stands in another file."""
    scope: dict[str, Any] = {}
    exec(compile("def call(f):\n    return f()\n", file, "exec"), scope)
    return scope["call"]


def test_a_failure_shows_the_users_frames_alone() -> None:
    """Frames of libraries and of the service are left out."""
    ours = compiled(str(Path(service.__file__).parent / "app.py"))

    def mine() -> None:
        ours(lambda: json.loads("{"))

    places = tracebacks.of_failure(failure_of(mine))
    assert {place.file for place in places} == {HERE}
    assert [place.function for place in places] == ["failure_of", "mine", "<lambda>"]


def test_a_fault_of_the_service_is_told_from_the_users() -> None:
    """What passed the service's code and none of the user's is ours; Cython code, which names its
    file without a folder, is a library's.
    """
    ours = compiled(str(Path(service.__file__).parent / "app.py"))
    library = compiled("uvloop/loop.pyx")
    failure = failure_of(lambda: ours(lambda: library(lambda: 1 / 0)))
    assert not tracebacks.is_ours(failure)
    trace = failure.__traceback__
    assert trace is not None
    assert trace.tb_next is not None
    within = failure.with_traceback(trace.tb_next.tb_next)  # without this file's outer frames
    assert [p.file.rpartition("/")[2] for p in tracebacks.of_fault(within)][:1] == ["app.py"]
    assert not tracebacks.is_ours(within)  # the user's code is within ours
    alone = failure_of(lambda: ours(library))
    trace = alone.__traceback__
    assert trace is not None
    assert trace.tb_next is not None
    assert tracebacks.is_ours(alone.with_traceback(trace.tb_next.tb_next))
    assert not tracebacks.is_ours(ValueError("without a trace"))


def test_a_failure_without_users_frames_shows_the_librarys() -> None:
    """Where only libraries are in the way of an error, they are shown, and the service is not."""
    library = compiled("/opt/venv/site-packages/lib.py")
    ours = compiled(str(Path(service.__file__).parent / "app.py"))
    failure = failure_of(lambda: ours(lambda: library(lambda: 1 / 0)))
    trace = failure.__traceback__
    while trace is not None and "app.py" not in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    assert trace is not None
    assert trace.tb_next is not None
    trace.tb_next.tb_next.tb_next = None  # type: ignore[union-attr]  # the two inner ones: ours, library
    trace.tb_next = trace.tb_next.tb_next
    places = tracebacks.of_failure(failure.with_traceback(trace))
    assert [place.file for place in places] == ["/opt/venv/site-packages/lib.py"]


def test_frames_are_nested_as_in_the_built_in_runtime() -> None:
    """A frame of `stackTrace` is a list: file, line, function, source."""
    line = 0

    def mine() -> None:
        raise KeyError("x")  # the line

    line = mine.__code__.co_firstlineno + 1
    shown = tracebacks.as_strings(tracebacks.of_failure(failure_of(mine)))
    assert shown[-1] == [
        f'File "{HERE}"',
        f"line {line}",
        "in mine",
        'raise KeyError("x")  # the line',
    ]


def test_frames_read_as_a_traceback() -> None:
    """As text, frames have Python's own form; a frame without a source has no line for it."""
    text = tracebacks.as_text([CodePlace(HERE, 1, "f"), CodePlace("/gone.py", 3, "g")])
    first = Path(HERE).read_text().splitlines()[0]
    assert text == f'  File "{HERE}", line 1, in f\n    {first}\n  File "/gone.py", line 3, in g'


def test_a_deep_failure_shows_its_innermost_frames() -> None:
    """Of an endless recursion 50 frames are shown."""

    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        raise RuntimeError

    places = tracebacks.of_failure(failure_of(lambda: deep(200)))
    assert len(tracebacks.as_strings(places)) == 50
    assert tracebacks.as_text(places).count("File") == 50


class Bare:
    """Awaits like the coroutines that `types.coroutine` makes."""

    def __await__(self) -> Generator[Any, None, None]:
        yield


async def test_a_waiting_coroutine_names_its_innermost_line() -> None:
    """Through coroutines and generators, the line that waits is found."""

    async def inner() -> None:
        await Bare()

    async def outer() -> None:
        await inner()

    coroutine = outer()
    coroutine.send(None)
    place = tracebacks.awaited_by(coroutine)
    assert place is not None
    assert place.function == "__await__"
    assert str(place) == f"{HERE}:{place.line} in __await__"
    coroutine.close()


async def test_an_async_generator_names_its_own_line() -> None:
    """An async generator that waits shows where."""
    never = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        await never.wait()
        yield b""

    generator = parts()
    step = asyncio.ensure_future(anext(generator))
    await asyncio.sleep(0)
    place = tracebacks.awaited_by(generator)
    assert place is not None
    assert place.function == "parts"
    step.cancel()
    await asyncio.wait([step])


def test_what_does_not_wait_has_no_line() -> None:
    """A coroutine that has ended, and anything else, has no line."""

    async def done() -> None:
        pass

    coroutine = done()
    coroutine.close()
    assert tracebacks.awaited_by(coroutine) is None
    assert tracebacks.awaited_by(None) is None


def test_a_running_thread_names_its_innermost_line() -> None:
    """The user's line that a thread runs is found; a thread that has ended has none."""
    runs, go = threading.Event(), threading.Event()

    def mine() -> None:
        runs.set()
        go.wait()

    thread = threading.Thread(target=mine)
    thread.start()
    runs.wait()
    assert thread.ident is not None
    place = tracebacks.running_in(thread.ident)
    go.set()
    thread.join()
    assert place is not None
    assert place.function == "mine"
    assert tracebacks.running_in(-1) is None


def refuse(reason: BaseException | None = None) -> None:
    """Raise, from a reason or while another exception is handled."""
    raise ValueError("refused") from reason


def said_by(work: Any) -> list[str]:
    """What is told of the failure, without frames."""
    lines = tracebacks.story(failure_of(work)).splitlines()
    return [line for line in lines if line and (line[0] != " " or ":" in line[:12])]


BECAUSE = "The above exception was the direct cause of the following exception:"
MEANWHILE = "During handling of the above exception, another exception occurred:"


def test_a_story_begins_with_the_cause() -> None:
    """The kind of a cause, or of a context, and its frames come first, without its text, which may
    quote the event; `from None` tells of none; notes are told.
    """

    def caused() -> None:
        try:
            refuse()
        except ValueError as reason:
            raise KeyError("x") from reason

    def meanwhile() -> None:
        try:
            refuse()
        except ValueError:
            failure = KeyError("x")
            failure.add_note("a note")
            raise failure  # noqa: B904 - that is what is tested

    def hidden() -> None:
        try:
            refuse()
        except ValueError:
            raise KeyError("x") from None

    first, last = [tracebacks.TRACEBACK, "ValueError"], [tracebacks.TRACEBACK, "KeyError: 'x'"]
    assert said_by(caused) == [*first, BECAUSE, *last]
    assert said_by(meanwhile) == [*first, MEANWHILE, *last, "a note"]
    assert said_by(hidden) == last
    assert "in refuse" in tracebacks.story(failure_of(caused))


def fails_elsewhere() -> None:
    """What a job of another process does."""
    raise ValueError("a quotation")


def test_a_story_shows_where_a_job_of_another_process_failed() -> None:
    """A pool's traceback of the other process is shown, without a text that may quote."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        told = tracebacks.story(failure_of(pool.submit(fails_elsewhere).result))
    assert "in fails_elsewhere" in told
    assert told.count("ValueError: a quotation") == 1


def test_a_story_tells_of_each_member_of_a_group() -> None:
    """Of an exception group every member is told, within groups too."""

    def grouped() -> None:
        inner = BaseExceptionGroup("inner", [failure_of(refuse), KeyError("y")])
        raise BaseExceptionGroup("outer", [inner, OSError("z")])

    lines = tracebacks.story(failure_of(grouped)).splitlines()
    assert "ExceptionGroup: outer (2 sub-exceptions)" in lines
    assert {"  1 of 2:", "    1 of 2:", "    ValueError: refused", "    KeyError: 'y'"} <= set(
        lines
    )
    assert "  OSError: z" in lines


def test_a_story_has_an_end() -> None:
    """Exceptions that are each other's cause, and long chains of them, are told of so far."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert tracebacks.story(one).splitlines() == [
        "ValueError",
        "",
        BECAUSE,
        "",
        "ValueError: one",
    ]
    chain: BaseException = ValueError("0")
    for number in range(1, 10_000):
        following = ValueError(str(number))
        following.__cause__ = chain
        chain = following
    assert 0 < tracebacks.story(chain).count(BECAUSE) <= 20
