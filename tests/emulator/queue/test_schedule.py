"""The order of tasks that wait."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from service.emulator.queue.schedule import Waiting, WaitingTasks


def waiting(number: int, due: float = 0.0, expires: float = math.inf) -> Waiting:
    """A task that waits."""
    return Waiting(number, due, expires)


def test_what_is_due_waits_in_the_order_in_which_it_came() -> None:
    """Whatever was due before."""
    schedule = WaitingTasks()
    for number in (2, 1, 3):
        schedule.put(waiting(number, due=number), now=5.0)
    assert schedule.first(2) == [2, 1]
    schedule.drop_first(2)
    assert (schedule.first(9), schedule.ready, len(schedule)) == ([3], 1, 1)


def test_what_is_not_due_waits_for_its_time() -> None:
    """It comes behind what was due before it."""
    schedule = WaitingTasks()
    schedule.put(waiting(1, due=10.0), now=0.0)
    schedule.put(waiting(2, due=5.0), now=0.0)
    schedule.put(waiting(3), now=0.0)
    assert (schedule.first(9), schedule.next_due) == ([3], 5.0)
    assert schedule.ripen(4.9) == []
    assert schedule.first(9) == [3]
    assert schedule.ripen(10.0) == []
    assert (schedule.first(9), schedule.next_due) == ([3, 2, 1], None)


def test_what_is_too_old_is_taken_out() -> None:
    """When its time is over, and not before, whether it waited for room or for its time."""
    schedule = WaitingTasks()
    schedule.put(waiting(1, expires=10.0), now=0.0)
    schedule.put(waiting(2, due=10.0, expires=10.0), now=0.0)
    schedule.put(waiting(3, expires=11.0), now=0.0)
    assert schedule.ripen(9.9) == []
    assert schedule.ripen(10.0) == [1, 2]
    assert (schedule.first(9), len(schedule)) == ([3], 1)
    assert schedule.ripen(11.0) == [3]


def test_a_task_can_be_removed_wherever_it_waits() -> None:
    """And one that does not wait is none."""
    schedule = WaitingTasks()
    schedule.put(waiting(1), now=0.0)
    schedule.put(waiting(2, due=5.0), now=0.0)
    assert (schedule.remove(1), schedule.remove(2), schedule.remove(2)) == (True, True, False)
    assert (len(schedule), schedule.next_due) == (0, None)


ENTRIES = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=30)


@given(entries=ENTRIES, steps=st.lists(st.integers(0, 60), max_size=8).map(sorted))
def test_nothing_is_lost_and_nothing_comes_twice(
    entries: list[tuple[int, int]], steps: list[int]
) -> None:
    """Each task is taken out too old, or is ready, or is not due yet: one of them, at any time."""
    schedule = WaitingTasks()
    for number, (due, age) in enumerate(entries):
        schedule.put(waiting(number, due=due, expires=due + age), now=0.0)
    expired: list[int] = []
    for now in steps:
        expired += schedule.ripen(now)
        ready = schedule.first(len(entries))
        late = [n for n, (due, _) in enumerate(entries) if due > now]
        assert sorted([*expired, *ready, *late]) == list(range(len(entries)))
        assert all(entries[n][0] + entries[n][1] > now for n in ready)
