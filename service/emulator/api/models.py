"""Functions, tasks and destination events as the platform's JSON has them.

The keys are those of the SDK's models (`alibabacloud-fc20230330`), absent if nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from ..calls import InstanceView
from ..queue.task import AsyncTask, Step
from ..spec.document import section
from ..spec.model import DeployedFunction
from ..texts import _milliseconds, _text, function_arn

OF_FUNCTION = frozenset(
    (
        *("functionName", "runtime", "handler", "description", "tags", "resourceGroupId", "role"),
        *("memorySize", "cpu", "diskSize", "gpuConfig", "timeout", "idleTimeout"),
        *("instanceConcurrency", "instanceLifecycleConfig", "instanceIsolationMode"),
        *("sessionAffinity", "sessionAffinityConfig", "enableLongLiving", "disableOndemand"),
        *("customRuntimeConfig", "customContainerConfig", "environmentVariables", "layers"),
        *("internetAccess", "vpcConfig", "nasConfig", "ossMountConfig", "polarFsConfig"),
        *("customDNS", "logConfig", "tracingConfig", "disableInjectCredentials"),
    )
)
"""Keys of the file that are the function's own; others are those of what belongs to it."""


def function_model(function: DeployedFunction, created: float) -> dict[str, Any]:
    """Return GetFunction's answer: what the file says, and the platform's defaults. `created` (Unix
    seconds) is when the emulator read the file.

    `codeChecksum` and `codeSize` are those of the package that a deployment makes: there is none.
    """
    time = _moment(created)
    return {
        "runtime": function.runtime,
        "handler": function.handler,
        "instanceConcurrency": function.concurrency,
        "memorySize": function.memory,
        "timeout": _whole(function.timeout),
        **_runtime(function),
        **{key: value for key, value in function.props.items() if key in OF_FUNCTION},
        "functionName": function.name,
        "functionArn": function_arn(function),
        "functionId": function.name,
        "createdTime": time,
        "lastModifiedTime": time,
        "state": "Active",
        "lastUpdateStatus": "Successful",
    }


def _runtime(function: DeployedFunction) -> dict[str, Any]:
    """Return the start command as it is played, for a file that leaves it to the platform."""
    if not function.runtime.startswith("custom") or function.runtime == "custom-container":
        return {}
    return {"customRuntimeConfig": {"command": list(function.command), "port": function.port}}


def instance_model(instance: InstanceView, status: str) -> dict[str, Any]:
    """Return an entry of ListInstances; LATEST has the version 0."""
    return {
        "instanceId": instance.id,
        "status": status,
        "qualifier": "LATEST",
        "versionId": "0",
        "createdTimeMs": _milliseconds(instance.created),
        "resourceType": "provisioned" if instance.provisioned else "onDemand",
    }


def trigger_model(
    function: DeployedFunction, trigger: Mapping[str, Any], created: float
) -> dict[str, Any]:
    """Return GetTrigger's answer; the configuration is a text, as in the SDK."""
    config, time = trigger.get("triggerConfig", {}), _moment(created)
    model = {
        "triggerName": trigger["triggerName"],
        "triggerType": trigger["triggerType"],
        "triggerId": trigger["triggerName"],
        "triggerConfig": config if isinstance(config, str) else orjson.dumps(config).decode(),
        "qualifier": trigger.get("qualifier", "LATEST"),
        "targetArn": function_arn(function),
        "createdTime": time,
        "lastModifiedTime": time,
    }
    kept = ("description", "invocationRole", "sourceArn")
    return model | {key: trigger[key] for key in kept if key in trigger}


def async_config_model(function: DeployedFunction, created: float) -> dict[str, Any]:
    """Return GetAsyncInvokeConfig's answer."""
    config, time = function.asynchronous, _moment(created)
    return {
        "functionArn": function_arn(function),
        "asyncTask": config.task,
        "maxAsyncRetryAttempts": config.retries,
        "maxAsyncEventAgeInSeconds": _whole(config.max_age),
        "destinationConfig": section(function.props, "asyncInvokeConfig", "destinationConfig"),
        "createdTime": time,
        "lastModifiedTime": time,
    }


def concurrency_model(function: DeployedFunction) -> dict[str, Any]:
    """Return GetConcurrencyConfig's answer."""
    return {"functionArn": function_arn(function), **section(function.props, "concurrencyConfig")}


def provision_model(function: DeployedFunction, current: int) -> dict[str, Any]:
    """Return GetProvisionConfig's answer; `current` is how many instances there are."""
    return {
        "functionArn": function_arn(function),
        **section(function.props, "provisionConfig"),
        "target": function.provisioned,
        "defaultTarget": function.provisioned,
        "current": current,
    }


def scaling_model(function: DeployedFunction, current: int) -> dict[str, Any]:
    """Return GetScalingConfig's answer; `current` is how many instances there are."""
    return {
        "functionArn": function_arn(function),
        **section(function.props, "scalingConfig"),
        "minInstances": function.provisioned,
        "targetInstances": function.provisioned,
        "currentInstances": current,
    }


def task_model(task: AsyncTask, function: DeployedFunction, *, payload: bool) -> dict[str, Any]:
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


def _step_model(number: int, step: Step) -> dict[str, Any]:
    return {
        "eventId": number,
        "status": step.status,
        "timestamp": _milliseconds(step.time),
        "eventDetail": step.detail,
    }


def _whole(seconds: float) -> int | float:
    return int(seconds) if seconds == int(seconds) else seconds


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
