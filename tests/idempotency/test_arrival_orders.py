"""Events that come twice, in any order: three processes, one store that is far away."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from service import MemoryStore, once
from service.idempotency.stores import Claimed, OnceStore
from tests.virtual_clock import run_virtual


class Delayed(MemoryStore):
    """A store that takes its time, as one that is far away."""

    def __init__(self, delays: list[float]) -> None:
        super().__init__()
        self._delays = delays
        self._asked = 0

    async def _travel(self) -> None:
        self._asked += 1
        await asyncio.sleep(self._delays[self._asked % len(self._delays)])

    async def claim(self, key: str, claim: bytes, lease: float) -> Claimed | None:
        """Go there, claim, and come back."""
        await self._travel()
        met = await super().claim(key, claim, lease)
        await self._travel()
        return met

    async def settle(self, key: str, claim: bytes, value: bytes, seconds: float) -> bool:
        """Go there, settle, and come back."""
        await self._travel()
        settled = await super().settle(key, claim, value, seconds)
        await self._travel()
        return settled

    async def release(self, key: str, claim: bytes) -> None:
        """Go there and release."""
        await self._travel()
        await super().release(key, claim)


class OfProcess:
    """The same store as one process has it: once that is killed, nothing comes or goes."""

    def __init__(self, store: OnceStore) -> None:
        self._store = store
        self.tasks: list[asyncio.Task[bytes]] = []
        self.is_dead = False

    def kill(self) -> None:
        """End the process: its handlers stop where they are, and tell nobody."""
        self.is_dead = True
        for task in self.tasks:
            task.cancel()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def ask(*arguments: Any) -> Any:
            if self.is_dead:
                raise ConnectionError
            return await method(*arguments)

        return ask

    claim: Any
    renew: Any
    settle: Any
    release: Any


class Call(NamedTuple):
    """One call: seconds, and None if it is not cancelled."""

    key: int
    process: int
    arrives: float
    runs: float
    fails: bool
    cancelled: float | None


CALL = st.builds(
    Call,
    key=st.integers(0, 1),
    process=st.integers(0, 2),
    arrives=st.floats(0, 3),
    runs=st.floats(0, 2),
    fails=st.booleans(),
    cancelled=st.none() | st.floats(0, 3),
)


class Played:
    """Three processes, their calls, and what the handlers came to."""

    def __init__(self, delays: list[float]) -> None:
        store = Delayed(delays)
        self.stores = [OfProcess(store) for _ in range(3)]
        kept = [once(key="$.id", store=each, name="n", lease=1) for each in self.stores]
        self.processes = [each(self.handle) for each in kept]
        self.running = set[int]()
        self.succeeded = Counter[int]()

    async def handle(self, event: dict[str, int], context: tuple[int, Call]) -> int:
        """Handle an event, which nobody else does at that time."""
        key, (number, call) = event["id"], context
        assert key not in self.running
        self.running.add(key)
        try:
            await asyncio.sleep(call.runs)
        finally:
            self.running.discard(key)
        if call.fails:
            raise LookupError
        self.succeeded[key] += 1
        return number

    async def send(self, number: int, call: Call) -> bytes:
        """The answer to a call."""
        await asyncio.sleep(call.arrives)
        return await self.processes[call.process]({"id": call.key}, (number, call))

    async def answers(self, calls: list[Call], killed: float | None) -> list[bytes | BaseException]:
        """What all calls get."""
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(self.send(*each)) for each in enumerate(calls)]
        for task, call in zip(tasks, calls, strict=True):
            self.stores[call.process].tasks.append(task)
            if call.cancelled is not None:
                loop.call_later(call.cancelled, task.cancel)
        if killed is not None:
            loop.call_later(killed, self.stores[2].kill)
        return await asyncio.gather(*tasks, return_exceptions=True)


@settings(max_examples=40)
@given(
    st.lists(CALL, min_size=2, max_size=8),
    st.lists(st.sampled_from([0.0, 0.01, 0.3]), min_size=1, max_size=4),
    st.none() | st.floats(0, 3),  # when the last process is killed
)
def test_in_any_order_no_key_runs_twice_at_once_and_all_get_the_same(
    calls: list[Call], delays: list[float], killed: float | None
) -> None:
    """Three processes, of which one may be killed, failures, cancellations, a slow store: of a key
    one handler runs at a time, only one succeeds if nobody dies, and each call gets that result or
    its own failure.
    """

    async def main() -> None:
        played = Played(delays)
        got: dict[int, set[bytes]] = {0: set(), 1: set()}
        for call, answer in zip(calls, await played.answers(calls, killed), strict=True):
            if isinstance(answer, bytes):
                got[call.key].add(answer)
            elif isinstance(answer, asyncio.CancelledError):
                assert call.cancelled is not None or played.stores[call.process].is_dead
            else:
                assert isinstance(answer, LookupError), answer
                assert call.fails
        assert all(len(each) <= 1 for each in got.values())
        assert all(count <= 1 + (killed is not None) for count in played.succeeded.values())

    run_virtual(main())
