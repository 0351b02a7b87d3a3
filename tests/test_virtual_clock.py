"""The clock of the tests' own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from service.testing import virtual_clock
from tests.virtual_clock import START, Deadlock, VirtualLoop, run_virtual


def loop_here() -> VirtualLoop:
    """The loop that runs here."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def test_an_hour_takes_no_time() -> None:
    """A sleep ends when its time has come, on both of the clocks that code can ask."""

    async def main() -> tuple[float, float]:
        await asyncio.sleep(3600)
        await asyncio.sleep(0.1)
        return loop_here().time(), time.monotonic()

    began = time.monotonic()
    assert run_virtual(main()) == (START + 3600.1, START + 3600.1)
    assert time.monotonic() - began < 3600


def test_timers_keep_their_order() -> None:
    """Timers come in the order of their times, each at its own."""
    called: list[tuple[str, float]] = []

    def note(what: str) -> None:
        called.append((what, time.monotonic()))

    async def main() -> None:
        for name, seconds in (("late", 5.0), ("early", 0.5), ("behind it", 0.75), ("at once", 0)):
            loop_here().call_later(seconds, note, name)
        loop_here().call_later(1, note, "never").cancel()
        await asyncio.sleep(6)

    run_virtual(main(), start=0)
    assert called == [("at once", 0), ("early", 0.5), ("behind it", 0.75), ("late", 5)]


def test_a_timeout_ends_what_takes_longer() -> None:
    """`asyncio.timeout` cuts what takes longer, and leaves what takes as long as it may."""

    async def main() -> float:
        async with asyncio.timeout(60):
            await asyncio.sleep(59)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        return time.monotonic()

    assert run_virtual(main(), start=0) == 119


def test_time_stands_still_while_a_thread_works() -> None:
    """A time-out does not overtake a job that does nothing but work, however slow its machine is;
    it does once somebody moves the time.
    """
    go, here = threading.Event(), threading.Event()

    def work() -> float:
        here.set()
        go.wait(20)
        return time.monotonic()

    async def main() -> None:
        async with asyncio.timeout(1):
            job = asyncio.create_task(asyncio.to_thread(work))
            await asyncio.to_thread(here.wait, 20)
            go.set()
            assert await job == START
        go.clear()
        job = asyncio.create_task(asyncio.to_thread(work))
        loop_here().call_soon(loop_here().call_soon, loop_here().advance, 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(job), 1)
        go.set()
        assert await job == START + 2

    run_virtual(main())


def test_a_held_clock_waits_for_any_thread() -> None:
    """Time stands still for a thread that the loop knows nothing of, as long as it is held."""

    async def main() -> float:
        loop, done = loop_here(), asyncio.Event()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(done.set))
        with loop.hold():
            async with asyncio.timeout(1):
                thread.start()
                await done.wait()
        thread.join()
        return time.monotonic()

    assert run_virtual(main()) == START


def test_a_job_that_cannot_start_holds_nothing() -> None:
    """A job that an executor refuses is waited for by nobody."""

    async def main() -> None:
        await asyncio.to_thread(int)
        await asyncio.get_running_loop().shutdown_default_executor()
        with pytest.raises(RuntimeError, match="shutdown"):
            await asyncio.to_thread(int)
        await asyncio.sleep(10)

    run_virtual(main())


async def for_ever() -> None:
    """Wait for what nobody does."""
    await asyncio.Event().wait()


async def for_a_thread() -> None:
    """Wait for a thread that does not come back."""
    with loop_here().hold():
        await for_ever()


@pytest.mark.parametrize(
    ("waits", "told"), [(for_ever, "nothing can"), (for_a_thread, "a thread does not come back")]
)
def test_a_deadlock_is_told(
    waits: Callable[[], object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for what cannot happen ends with an error that names it, and its line."""
    monkeypatch.setattr(virtual_clock, "THREAD_PATIENCE", 0.01)
    monkeypatch.setattr(virtual_clock, "WAKE_PATIENCE", 0.01)

    async def main() -> None:
        await asyncio.gather(*(asyncio.create_task(f, name="reader") for f in (waits(),)))  # type: ignore[arg-type] # a coroutine

    with pytest.raises(Deadlock, match=rf"^{told}.*reader \(for_.*{__file__}:\d+"):
        run_virtual(main())


def test_what_comes_over_a_socket_is_waited_for() -> None:
    """Where no timer is set, a loop that has connections waits for them, as any loop does."""

    async def main() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"ping")
            answer = await reader.read()
            writer.close()
            return answer

    assert run_virtual(main()) == b"ping"


def test_what_is_left_is_cancelled() -> None:
    """A task that is left running is cancelled and awaited, and the machine's clock is back."""
    ended: list[float] = []

    async def left() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(1)
            ended.append(loop_here().time())

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(left())
        await asyncio.sleep(1)
        return task

    assert run_virtual(main(), start=0).cancelled()
    assert ended == [2]
    assert time.monotonic is virtual_clock.real_monotonic
