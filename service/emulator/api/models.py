"""Functions, tasks and destination events as the platform's JSON has them.

The keys are those of the SDK's models (`alibabacloud-fc20230330`), absent where nothing is known.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ..queue.task import AsyncTask, Step
from ..spec.model import Function, HealthCheck
from ..texts import _milliseconds, _text, function_arn


def function_model(function: Function, created: float) -> dict[str, Any]:
    """Return GetFunction's answer; `created` (Unix seconds) is when the emulator read the file.

    `codeChecksum` and `codeSize` are those of the package that a deployment makes: there is none.
    """
    config: dict[str, Any] = {"command": list(function.command), "port": function.port}
    if function.health is not None:
        config["healthCheckConfig"] = _health_model(function.health)
    hooks = {
        "initializer": function.initializer_timeout,
        "preStop": function.pre_stop_timeout,
    }
    time = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "functionName": function.name,
        "functionArn": function_arn(function),
        "functionId": function.name,
        "runtime": function.runtime,
        "handler": function.handler,
        "description": function.description,
        "customRuntimeConfig": config,
        "environmentVariables": dict(function.environment),
        "instanceConcurrency": function.concurrency,
        "instanceLifecycleConfig": {
            name: {"timeout": _whole(timeout)}
            for name, timeout in hooks.items()
            if timeout is not None
        },
        "memorySize": function.memory,
        "timeout": _whole(function.timeout),
        "createdTime": time,
        "lastModifiedTime": time,
        "state": "Active",
        "lastUpdateStatus": "Successful",
    }


def task_model(task: AsyncTask, function: Function, *, payload: bool) -> dict[str, Any]:
    """Return an AsyncTask: times in milliseconds, 0 for an end that has not come.

    `payload` says whether the event is told too.
    """
    model = {
        "taskId": task.id,
        "requestId": task.request_id,
        "functionArn": function_arn(function),
        "qualifier": "LATEST",
        "status": task.status,
        "startedTime": _milliseconds(task.submitted),
        "endTime": _milliseconds(task.ended),
        "durationMs": _milliseconds(task.duration),
        "alreadyRetriedTimes": task.retries,
        "destinationStatus": task.destination,
        "instanceId": task.instance_id,
        "taskErrorMessage": task.error,
        "returnPayload": _text(task.result),
        "events": [_step_model(number, step) for number, step in enumerate(task.steps, 1)],
    }
    if payload:
        model["taskPayload"] = _text(task.event)
    return model


def _health_model(health: HealthCheck) -> dict[str, Any]:
    return {
        "httpGetUrl": health.path,
        "initialDelaySeconds": _whole(health.initial_delay),
        "periodSeconds": _whole(health.period),
        "timeoutSeconds": _whole(health.timeout),
        "failureThreshold": health.failures,
        "successThreshold": health.successes,
    }


def _step_model(number: int, step: Step) -> dict[str, Any]:
    return {
        "eventId": number,
        "status": step.status,
        "timestamp": _milliseconds(step.time),
        "eventDetail": step.detail,
    }


def _whole(seconds: float) -> int | float:
    return int(seconds) if seconds == int(seconds) else seconds
