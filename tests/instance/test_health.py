"""`health`: the figures of several workers as those of one instance."""

from __future__ import annotations

from typing import Any

import pytest

from service.instance.health import summed


def figures(**changed: Any) -> dict[str, Any]:
    """One worker's figures."""
    return {
        "ready": True,
        "healthy": True,
        "draining": False,
        "running": 2,
        "uptimeSeconds": 1.5,
    } | changed


def test_one_workers_figures_are_the_instances() -> None:
    """With one worker there is no list and no sum."""
    assert summed([figures()]) == figures()


def test_counts_are_added_up_and_times_are_the_longest() -> None:
    """An instance runs what its workers run, and is as old as the oldest of them."""
    state = summed([figures(running=3), figures(uptimeSeconds=9.5)])
    assert (state["running"], state["uptimeSeconds"], state["workers"]) == (5, 9.5, 2)
    assert [each["running"] for each in state["each"]] == [3, 2]
    assert [each["worker"] for each in state["each"]] == [1, 2]


@pytest.mark.parametrize(
    ("name", "value"), [("ready", False), ("healthy", False), ("draining", True)]
)
def test_one_worker_is_enough_for_bad_news(name: str, value: bool) -> None:
    """The instance is ready and healthy when all are, and drains when one does."""
    assert summed([figures(), figures(**{name: value})])[name] is value


def test_a_worker_that_does_not_answer_is_listed_and_makes_the_instance_unhealthy() -> None:
    """What is not known of a worker is not made up."""
    state = summed([None, figures()])
    assert (state["ready"], state["healthy"], state["running"]) == (False, False, 2)
    assert state["each"][0] == {"worker": 1, "answers": False}
