"""The rows of functions and instances."""

from __future__ import annotations

from typing import Any

from ..figures import CallFigures
from ..instances.instance import Instance
from ..local import FunctionCompute
from ..spec.model import DeployedFunction
from ..spec.rules import triggers


def function_row(
    function: DeployedFunction, played: FunctionCompute, running: int
) -> dict[str, Any]:
    """Return what is shown of a function; times in seconds. Its environment is not."""
    figures = played.figures.get(function.name) or CallFigures()
    return {
        "name": function.name,
        "command": " ".join(function.command),
        "concurrency": function.concurrency,
        "timeout": function.timeout,
        "memory": function.memory,
        "cpu": function.props.get("cpu"),
        "provisioned": function.provisioned,
        "asynchronous": {
            "retries": function.asynchronous.retries,
            "max_age": function.asynchronous.max_age,
            "task": function.asynchronous.task,
        },
        "triggers": trigger_rows(function),
        "in_flight": running,
        "queued": played.waiting(function.name),
        "calls": figures.calls,
        "errors": figures.errors,
        "throttled": figures.throttled,
        "cold": figures.cold,
    }


def trigger_rows(function: DeployedFunction) -> list[dict[str, Any]]:
    """Return the function's triggers: timers with their expressions."""
    timers = {timer.name: timer for timer in function.timers}
    rows = []
    for _, trigger in triggers(function.props):
        name = str(trigger.get("triggerName", ""))
        row: dict[str, Any] = {"name": name, "type": str(trigger.get("triggerType", ""))}
        if (timer := timers.get(name)) is not None:
            row |= {"cron": timer.cron, "enabled": timer.enabled}
        rows.append(row)
    return rows


def instance_row(instance: Instance) -> dict[str, Any]:
    """Return what is shown of an instance; memory in MB, `created` in Unix seconds."""
    return {
        "id": instance.id,
        "name": instance.name,
        "function": instance.function,
        "state": state_of(instance),
        "in_flight": instance.in_flight,
        "concurrency": instance.concurrency,
        "memory_mb": round(instance.resident, 1),
        "peak_mb": round(instance.memory, 1),
        "created": instance.created,
        "provisioned": instance.provisioned,
        "served": instance.served,
    }


def state_of(instance: Instance) -> str:
    """Return the state as the page names it: finer than the platform's."""
    if instance.state == "starting":
        return "initializing" if instance.times.opened else "starting"
    if instance.frozen and instance.state in ("running", "unhealthy"):
        return "frozen"
    if instance.state == "running":
        return "busy" if instance.in_flight else "ready"
    return instance.state
