"""The load on one instance, on a clock of the test's own."""

from __future__ import annotations

import asyncio

import pytest

from service.sizing.measuring.load import LoadPart, hold, offer, throughput
from tests.virtual_clock import run_virtual


class Worker:
    """Takes calls of `wait` seconds, after `serial` seconds each in line."""

    def __init__(self, serial: float, wait: float) -> None:
        self.serial, self.wait = serial, wait
        self.line = asyncio.Lock()
        self.present = self.most = 0

    async def call(self) -> str:
        """Make a call."""
        self.present += 1
        self.most = max(self.most, self.present)
        try:
            async with self.line:
                await asyncio.sleep(self.serial)
            await asyncio.sleep(self.wait)
        finally:
            self.present -= 1
        return ""


@pytest.mark.parametrize("at_once", [1, 5, 200])
def test_a_full_instance_is_held_full(at_once: int) -> None:
    """So many calls are in it throughout, and its calls a second are those that can be."""

    async def main() -> tuple[LoadPart, int]:
        worker = Worker(0.0, 0.1)
        return await hold(worker.call, at_once, 3.0, 10.0), worker.most

    part, most = run_virtual(main())
    assert most == at_once
    assert throughput(part, at_once, 3.0) == pytest.approx(at_once / 0.1, rel=0.01)
    assert part.at(0.5) == pytest.approx(0.1)


@pytest.mark.parametrize("at_once", [1, 10, 100])
def test_what_stands_in_line_is_no_faster_for_being_many(at_once: int) -> None:
    """Calls that are served one at a time come to the same rate at any concurrency, though of the
    last ones each call takes longer than the load lasts.
    """
    part = run_virtual(hold(Worker(0.05, 0.0).call, at_once, 3.0, 30.0))
    assert throughput(part, at_once, 3.0) == pytest.approx(20, rel=0.02)


def test_calls_longer_than_the_load_are_waited_for() -> None:
    """A few rounds of slow calls tell how many there are in a second."""
    part = run_virtual(hold(Worker(0.0, 1.1).call, 10, 3.0, 10.0))
    assert throughput(part, 10, 3.0) == pytest.approx(10 / 1.1, rel=0.01)


def test_a_stall_is_seen_in_each_call_that_was_due_meanwhile() -> None:
    """Times count from when a call was due: one stop of a second lengthens a hundred calls, though
    only one of them was under way.
    """

    async def main() -> LoadPart:
        stalled = iter([0.0] * 100 + [1.0])

        async def call() -> str:
            await asyncio.sleep(0.005 + next(stalled, 0.0))
            return ""

        return await offer(call, 1, 100.0, 3.0, 10.0)

    part = run_virtual(main())
    late = [took for took in part.times if took > 0.1]
    assert len(part.times) == 300
    assert max(part.times) == pytest.approx(1.005, rel=0.01)
    assert len(late) > 150


def test_calls_are_due_at_even_distances_whatever_becomes_of_them() -> None:
    """Failures and successes end as they come; the first failure is kept."""

    async def main() -> LoadPart:
        calls = iter(range(100))

        async def call() -> str:
            await asyncio.sleep(0.01)
            number = next(calls)
            return f"ValueError: {number}" if number % 10 == 3 else ""

        return await offer(call, 4, 20.0, 5.0, 1.0)

    part = run_virtual(main())
    assert (len(part.ends), part.errors, part.error) == (100, 10, "ValueError: 3")
    gaps = {round(b - a, 6) for a, b in zip(part.ends, part.ends[1:], strict=False)}
    assert gaps == {0.05}


@pytest.mark.parametrize("kind", ["full", "even"])
def test_what_has_no_answer_is_given_up(kind: str) -> None:
    """A call that never ends counts with its time until then, and holds nobody up for ever."""

    async def main() -> LoadPart:
        async def call() -> str:
            await asyncio.Event().wait()
            return ""

        async with asyncio.timeout(60):
            if kind == "full":
                return await hold(call, 3, 2.0, 5.0)
            return await offer(call, 3, 10.0, 1.0, 6.0)

    part = run_virtual(main())
    assert part.unanswered >= 3
    assert part.errors == len(part.times)
    assert max(part.times) == pytest.approx(7.0, rel=0.05)
    assert part.error == "no answer in time"


@pytest.mark.parametrize("kind", ["full", "even"])
def test_a_load_that_is_cancelled_leaves_no_call_behind(kind: str) -> None:
    """Ctrl-C ends the calls that are under way, and begins no other."""

    async def main() -> int:
        worker = Worker(0.0, 1.0)
        part = (
            hold(worker.call, 5, 100.0, 100.0)
            if kind == "full"
            else offer(worker.call, 5, 5.0, 100.0, 100.0)
        )
        task = asyncio.create_task(part)
        await asyncio.sleep(1.5)  # on a virtual clock
        assert worker.present > 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return worker.present

    assert run_virtual(main()) == 0
