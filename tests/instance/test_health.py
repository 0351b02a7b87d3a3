"""`health`: the figures of several workers as those of one instance."""

from __future__ import annotations

from typing import Any

import pytest

from service.app import assemble_app
from service.context.call import Platform
from service.instance.assembly import SERVICE
from service.instance.health import can_start_thread, health_of, summed
from service.settings.table import Settings
from tests.assembly import handlers_of, logged


def figures(**changed: Any) -> dict[str, Any]:
    """One worker's figures."""
    return {
        "ready": True,
        "healthy": True,
        "draining": False,
        "running": 2,
        "uptimeSeconds": 1.5,
    } | changed


async def test_a_worker_that_can_start_no_thread_is_not_healthy() -> None:
    """As many threads and processes as there may be: most functions fail then."""
    with logged() as (logs, _):
        service = assemble_app(Settings(), Platform(), handlers_of(lambda event: event), logs)[
            SERVICE
        ]
        await service.lifecycle.initialized()
        assert (await health_of(service))["healthy"] is True
        assert (await health_of(service, can_start=lambda: False))["healthy"] is False


def test_a_thread_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python raises RuntimeError for it."""

    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    assert can_start_thread() is True
    monkeypatch.setattr("service.instance.health.start_new_thread", fail)
    assert can_start_thread() is False


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
