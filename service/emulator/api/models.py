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
from .deployed import deployed_props, role_arn


def function_model(function: DeployedFunction, created: float) -> dict[str, Any]:
    """Return GetFunction's answer: the function as a deployment of the file leaves it. `created`
    (Unix seconds) is when the emulator read the file.

    `codeChecksum` and `codeSize` are those of the package that a deployment makes: there is none.
    """
    time = _moment(created)
    return {
        **deployed_props(function),
        "runtime": function.runtime,
        "functionName": function.name,
        "functionArn": function_arn(function),
        "functionId": function.name,
        "createdTime": time,
        "lastModifiedTime": time,
        "state": "Active",
        "lastUpdateStatus": "Successful",
    }


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


def trigger_model(trigger: Mapping[str, Any], created: float) -> dict[str, Any]:
    """Return GetTrigger's answer; the configuration is a text, as in the SDK.

    An HTTP trigger has no address here. What belongs to the platform alone (`targetArn`, `status`)
    is absent: `s plan` would take it for a difference.
    """
    config, time = trigger.get("triggerConfig", {}), _moment(created)
    model = {
        "triggerName": trigger["triggerName"],
        "triggerType": trigger["triggerType"],
        "triggerId": trigger["triggerName"],
        "triggerConfig": config if isinstance(config, str) else orjson.dumps(config).decode(),
        "qualifier": trigger.get("qualifier", "LATEST"),
        "description": trigger.get("description", ""),
        "createdTime": time,
        "lastModifiedTime": time,
    }
    if "sourceArn" in trigger:
        model["sourceArn"] = trigger["sourceArn"]
    if "invocationRole" in trigger:
        model["invocationRole"] = role_arn(trigger["invocationRole"])
    if trigger["triggerType"] == "http":
        model["httpTrigger"] = {"urlInternet": "", "urlIntranet": ""}
    return model


def async_config_model(function: DeployedFunction, created: float) -> dict[str, Any]:
    """Return GetAsyncInvokeConfig's answer; what the file leaves to the platform is absent."""
    time = _moment(created)
    said = section(function.props, "asyncInvokeConfig")
    return {
        **{key: value for key, value in said.items() if key != "qualifier"},
        "functionArn": function_arn(function),
        "createdTime": time,
        "lastModifiedTime": time,
    }


def concurrency_model(function: DeployedFunction) -> dict[str, Any]:
    """Return GetConcurrencyConfig's answer."""
    return {"functionArn": function_arn(function), **section(function.props, "concurrencyConfig")}


def vpc_model(function: DeployedFunction) -> dict[str, Any]:
    """Return ListVpcBindings' answer."""
    listed = section(function.props, "vpcBinding").get("vpcIds")
    return {"vpcIds": listed if isinstance(listed, list) else []}


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
        **(section(function.props, "scalingConfig") or {"minInstances": function.provisioned}),
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


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
