"""Health checks: how many in a row make an instance bad, or good again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.emulator.instances.client import Lost, Unreadable
from service.emulator.instances.health import InstanceHealth
from service.emulator.instances.plain_answer import InstanceAnswer
from service.emulator.spec.model import HealthCheck

GOOD, BAD = InstanceAnswer(399, "", b""), InstanceAnswer(400, "", b"")
Result = InstanceAnswer | Exception


class Checked:
    """An instance that gives these results, and the changes that are told; the last result stays
    for ever.
    """

    def __init__(self, results: Sequence[Result], **fields: int) -> None:
        self._results = list(results)
        self.changes: list[str] = []
        self.done = asyncio.Event()
        check = HealthCheck("/health", period=0.001, timeout=2.0, **fields)
        self.health = InstanceHealth(check, self._ask, self.changes.append)

    async def _ask(self, seconds: float) -> InstanceAnswer:
        assert seconds == 2.0
        result = self._results.pop(0)
        if not self._results:
            self._results.append(result)
            self.done.set()
        if isinstance(result, Exception):
            raise result
        return result

    async def run(self) -> list[str]:
        """Watch until all results were given, and one more; return the changes."""
        watch = asyncio.create_task(self.health.watch())
        await self.done.wait()
        self.done.clear()
        await self.done.wait()
        watch.cancel()
        return self.changes


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (GOOD, ""),
        (InstanceAnswer(200, "404", b""), ""),
        (BAD, "status 400"),
        (InstanceAnswer(199, "", b""), "status 199"),
        (TimeoutError(), "no answer within 2 seconds"),
        (Lost(), "no answer"),
        (Unreadable(), "no answer"),
    ],
    ids=repr,
)
async def test_a_status_of_200_to_399_in_time_is_healthy(result: Result, fault: str) -> None:
    """Anything else is not."""
    assert await Checked([result]).health.fault() == fault


async def test_so_many_failures_in_a_row_are_needed() -> None:
    """A good check between them begins the count anew."""
    results = [BAD, BAD, GOOD, BAD, BAD, GOOD]
    assert await Checked(results, failures=3).run() == []
    assert await Checked([*results, BAD, BAD, BAD], failures=3).run() == ["status 400"]


async def test_so_many_good_checks_in_a_row_are_needed_to_recover() -> None:
    """Each change is told once."""
    results = [BAD, GOOD, BAD, GOOD, GOOD, GOOD, BAD, GOOD]
    changes = await Checked(results, failures=1, successes=2).run()
    assert changes == ["status 400", "", "status 400", ""]


async def test_a_check_under_way_at_a_freeze_does_not_count() -> None:
    """Nor is there another one until the thaw."""
    asked = asyncio.Event()
    answer: asyncio.Future[InstanceAnswer] = asyncio.get_running_loop().create_future()
    changes: list[str] = []

    async def ask(seconds: float) -> InstanceAnswer:
        asked.set()
        return await answer

    health = InstanceHealth(HealthCheck("/", period=0.001, failures=1), ask, changes.append)
    watch = asyncio.create_task(health.watch())
    await asked.wait()
    health.pause()
    answer.set_result(BAD)
    asked.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asked.wait(), 0.05)
    assert changes == []
    health.go_on()
    await asked.wait()
    await asyncio.sleep(0)
    assert changes == ["status 400"]
    watch.cancel()
