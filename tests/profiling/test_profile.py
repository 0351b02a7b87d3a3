"""What a profile sees of each kind of handler, and that it hurts no call."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from service.calls.function import Function, Handlers
from tests.assembly import handlers_of

pytest.importorskip("pyinstrument", reason="there is none for this Python")

from service.profiling import flame, samples
from service.profiling.profile import CallProfile
from service.profiling.samples import Samples

HERE = Path(__file__).parent
AT_EACH_STEP = 1e-9
"""Seconds between two looks: one at each call and return."""


@pytest.fixture(autouse=True)
def shows_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the picture have each frame: where a busy machine stands still for a moment, all others
    are too narrow beside it.
    """
    monkeypatch.setattr(flame, "LEAST", 0.0)


class Profiled:
    """A profile of a handler of this file, which sees each step."""

    def __init__(
        self,
        folder: Path,
        call: Callable[..., Any],
        seconds: float | None = None,
        every: float = AT_EACH_STEP,
    ) -> None:
        self.file = folder / "profile.svg"
        self.told: list[tuple[str, str]] = []
        self.is_told = threading.Event()
        self.profile = CallProfile(HERE, self.file, every, self._tell, seconds)
        self.handlers: Handlers = self.profile.around(handlers_of(call))

    def _tell(self, level: str, line: str) -> None:
        self.told.append((level, line))
        self.is_told.set()

    def call(self, *arguments: Any) -> Any:
        """Call the handler as the service does."""
        return self.handlers.handler.call(*arguments)

    @property
    def drawn(self) -> str:
        """The picture."""
        return self.file.read_text()

    def names(self) -> set[str]:
        """The functions of this file that are in the picture, and what is waited for."""
        self.profile.finish()
        found = re.finditer(r"<title>(?:(\S+) \./test_profile\.py|(\[await\]))", self.drawn)
        return {match[1] or match[2] for match in found}


class Shop:
    """Something that a handler works with."""

    async def order(self) -> int:
        """Wait a turn of the loop."""
        await asyncio.sleep(0)
        return counted(9)


def counted(number: int) -> int:
    """Do a little."""
    return sum(len(str(each)) for each in range(number))


async def awaiting(event: bytes, context: Any) -> int:
    """Call a method that waits."""
    return await Shop().order()


async def gathering(event: bytes, context: Any) -> tuple[int, int]:
    """Have tasks of its own."""
    first, second = await asyncio.gather(Shop().order(), Shop().order())
    return first, second


def plain(event: bytes, context: Any) -> int:
    """Call a function."""
    return counted(9)


def around(event: bytes, context: Any) -> Any:
    """Be a plain function around an async one."""
    counted(3)
    return awaiting(event, context)


async def streaming(event: bytes, context: Any) -> AsyncIterator[bytes]:
    """Yield what was counted."""
    yield str(await Shop().order()).encode()


async def test_what_an_async_handler_calls_and_waits_for_is_seen(tmp_path: Path) -> None:
    """Methods have their class's name; a wait is a frame of whoever waits."""
    looked_at = Profiled(tmp_path, awaiting)
    assert await looked_at.call(b"", None) == 9
    assert looked_at.names() == {"awaiting", "Shop.order", "counted", "&lt;genexpr&gt;", "[await]"}
    assert looked_at.told == [("INFO", f"profile of 1 call: {looked_at.file}, for a browser")]


async def test_tasks_of_the_handler_are_seen_without_the_loop_below_them(tmp_path: Path) -> None:
    """A gathered coroutine stands beside the handler, not above the service."""
    looked_at = Profiled(tmp_path, gathering)
    assert await looked_at.call(b"", None) == (9, 9)
    assert {"gathering", "Shop.order", "counted"} <= looked_at.names()
    assert "run_until_complete" not in looked_at.drawn


async def test_a_plain_handler_is_seen_in_its_thread(tmp_path: Path) -> None:
    """Nothing of the thread's own start is in the picture."""
    looked_at = Profiled(tmp_path, plain)
    assert await asyncio.to_thread(looked_at.call, b"", None) == 9
    assert looked_at.names() == {"plain", "counted", "&lt;genexpr&gt;"}
    assert "threading.py" not in looked_at.drawn


async def test_a_plain_function_around_an_async_one_is_seen_whole(tmp_path: Path) -> None:
    """The coroutine that it returns is seen on the loop."""
    looked_at = Profiled(tmp_path, around)
    coroutine = await asyncio.to_thread(looked_at.call, b"", None)
    assert await coroutine == 9
    assert {"around", "awaiting", "Shop.order"} <= looked_at.names()


async def test_an_async_generator_is_seen(tmp_path: Path) -> None:
    """Its parts are those of the handler."""
    looked_at = Profiled(tmp_path, streaming)
    assert [part async for part in looked_at.call(b"", None)] == [b"9"]
    assert {"streaming", "Shop.order", "counted"} <= looked_at.names()


async def test_the_handlers_of_a_router_are_seen(tmp_path: Path) -> None:
    """Each is looked at as its kind."""
    looked_at = Profiled(tmp_path, awaiting)
    routes = (handlers_of(awaiting).handler, handlers_of(plain).handler)
    router = Handlers(Function("index.handler", print, "routed", routes=routes))
    first, second = looked_at.profile.around(router).handler.routes
    assert (await first.call(b"", None), second.call(b"", None)) == (9, 9)
    assert {"awaiting", "plain"} <= looked_at.names()


async def test_a_hundred_calls_at_once_are_one_picture(tmp_path: Path) -> None:
    """Calls that share the loop are all looked at."""
    barrier = asyncio.Barrier(100)

    async def meeting(event: bytes, context: Any) -> int:
        await barrier.wait()
        return await Shop().order()

    looked_at = Profiled(tmp_path, meeting, every=0.001)
    calls = [asyncio.create_task(looked_at.call(b"", None)) for _ in range(100)]
    assert await asyncio.gather(*calls) == [9] * 100
    looked_at.profile.finish()
    assert looked_at.told[0][1].startswith("profile of 100 calls: ")
    assert "100 calls, " in looked_at.drawn


async def test_a_call_that_hangs_is_in_the_picture(tmp_path: Path) -> None:
    """What was seen by the end of the profile is drawn, though the call goes on, and ends well."""
    go, inside = asyncio.Event(), asyncio.Event()

    async def hanging(event: bytes, context: Any) -> int:
        counted(3)
        inside.set()
        await go.wait()
        return counted(9)

    looked_at = Profiled(tmp_path, hanging)
    call = asyncio.create_task(looked_at.call(b"", None))
    await inside.wait()
    await asyncio.sleep(0)
    assert "counted" in looked_at.names()
    go.set()
    assert await call == 9
    assert await looked_at.call(b"", None) == 9, "it is over, and calls go on"
    assert looked_at.told == [("INFO", f"profile of 1 call: {looked_at.file}, for a browser")]


async def test_a_profile_ends_after_its_seconds(tmp_path: Path) -> None:
    """They count from the first call on; the end is told once."""
    looked_at = Profiled(tmp_path, awaiting, seconds=0.001)
    await looked_at.call(b"", None)
    await asyncio.to_thread(looked_at.is_told.wait)
    looked_at.profile.finish()
    assert [level for level, _ in looked_at.told] == ["INFO"]


async def test_a_handler_that_fails_fails_as_it_does(tmp_path: Path) -> None:
    """Its error passes, and the picture is drawn."""

    async def failing(event: bytes, context: Any) -> int:
        raise LookupError(counted(9))

    looked_at = Profiled(tmp_path, failing)
    with pytest.raises(LookupError, match="9"):
        await looked_at.call(b"", None)
    assert "counted" in looked_at.names()


async def test_a_handler_with_a_profiler_around_it_is_called_as_it_is(tmp_path: Path) -> None:
    """Two profilers cannot look at one context: that is no failure of the call."""
    looked_at = Profiled(tmp_path, awaiting)
    inner = looked_at.profile.around(looked_at.handlers)
    assert await inner.handler.call(b"", None) == 9


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """So is a link in its place: the folder may be everybody's."""
    for file, why in (
        (tmp_path / "none" / "profile.svg", "No such file or directory"),
        (tmp_path / "link.svg", "Too many levels of symbolic links"),
    ):
        (tmp_path / "link.svg").unlink(missing_ok=True)
        (tmp_path / "link.svg").symlink_to(tmp_path / "other")
        looked_at = Profiled(tmp_path, plain)
        looked_at.profile = CallProfile(HERE, file, AT_EACH_STEP, looked_at._tell)
        assert looked_at.profile.around(handlers_of(plain)).handler.call(b"", None) == 9
        looked_at.profile.finish()
        assert looked_at.told == [("WARNING", f"the profile cannot be written to {file}: {why}")]
    assert not (tmp_path / "other").exists()


def test_no_call_is_no_profile(tmp_path: Path) -> None:
    """An instance that was never called says so."""
    looked_at = Profiled(tmp_path, plain)
    looked_at.profile.finish()
    assert looked_at.told == [("INFO", "no call came: there is no profile")]
    assert not looked_at.file.exists()


def test_stacks_are_kept_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """More count for the function that they begin with, and deep ones are cut."""
    monkeypatch.setattr(samples, "MOST_STACKS", 2)
    monkeypatch.setattr(samples, "DEEPEST", 3)
    kept = Samples()
    for leaf in ("b", "c", "d", "e"):
        kept.add(["a", leaf, "f", "g"], 1.0)
    assert kept.named("root", HERE) == {
        ("root", "a", "b", "f"): 1.0,
        ("root", "a", "c", "f"): 1.0,
        ("root", "a"): 2.0,
    }
