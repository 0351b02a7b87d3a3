"""A function as the platform would run it, from `props` that are sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...protocol import SESSION_CALLS
from .document import section
from .doubts import REGION
from .functions import DESTINATION, destinations
from .launch import Launch, config_of, here
from .model import AsyncConfig, DeployedFunction, Destination, HealthCheck, Timer
from .rules import triggers
from .sessions import affinity

_GIVEN = {
    "handler": ("handler", str),
    "description": ("description", str),
    "instanceConcurrency": ("concurrency", int),
    "timeout": ("timeout", float),
    "memorySize": ("memory", int),
}
_CHECK = {
    "initialDelaySeconds": "initial_delay",
    "periodSeconds": "period",
    "timeoutSeconds": "timeout",
    "failureThreshold": "failures",
    "successThreshold": "successes",
}
_OUTCOMES = {"onSuccess": "on_success", "onFailure": "on_failure"}
_HOOK_TIMEOUT = 3.0
"""Seconds, if the file has none: the component fc3 fills them in."""


def function(
    said: Mapping[str, Any], props: Mapping[str, Any], code: Path, start: Launch, names: set[str]
) -> DeployedFunction:
    """Return a function: `props` in the platform's types, `said` as the file says them.

    `names` are those of the functions that can be sent results.
    """
    config = section(props, config_of(props))
    given = {field: kind(props[key]) for key, (field, kind) in _GIVEN.items() if key in props}
    if "port" in config:
        given["port"] = int(config["port"])
    provision, scaling = section(props, "provisionConfig"), section(props, "scalingConfig")
    provisioned = int(max(provision.get("defaultTarget", 0), scaling.get("minInstances", 0)))
    reserved = section(props, "concurrencyConfig").get("reservedConcurrency")
    sessions = affinity(props)
    if sessions is not None:
        given["concurrency"] = SESSION_CALLS
    return DeployedFunction(
        name=props["functionName"],
        region=str(props.get("region", REGION)),
        runtime=props["runtime"],
        code=code,
        command=start.command,
        environment=_environment(props, code, start),
        initializer_timeout=_hook_timeout(props, "initializer"),
        pre_stop_timeout=_hook_timeout(props, "preStop"),
        initializer=_hook_handler(props, "initializer"),
        pre_stop=_hook_handler(props, "preStop"),
        health=_health(config),
        asynchronous=_asynchronous(props, names),
        provisioned=provisioned,
        provisioned_freeze=provisioned > 0 and not provision.get("alwaysAllocateCPU", False),
        max_instances=None if reserved is None else int(reserved),
        timers=tuple(_timers(props)),
        sessions=sessions,
        props=said,
        **given,
    )


def _environment(props: Mapping[str, Any], code: Path, start: Launch) -> dict[str, str]:
    merged = {**start.variables, **section(props, "environmentVariables")}
    return {name: here(value, code) for name, value in merged.items()}


def _hook_handler(props: Mapping[str, Any], name: str) -> str:
    return str(section(props, "instanceLifecycleConfig", name).get("handler", ""))


def _hook_timeout(props: Mapping[str, Any], name: str) -> float | None:
    hook = section(props, "instanceLifecycleConfig", name)
    return float(hook.get("timeout", _HOOK_TIMEOUT)) if hook.get("handler") else None


def _health(config: Mapping[str, Any]) -> HealthCheck | None:
    check = section(config, "healthCheckConfig")
    if not check.get("httpGetUrl"):
        return None
    given = {field: check[key] for key, field in _CHECK.items() if key in check}
    return HealthCheck(check["httpGetUrl"], **given)


def _asynchronous(props: Mapping[str, Any], names: set[str]) -> AsyncConfig:
    config = section(props, "asyncInvokeConfig")
    given: dict[str, Any] = {
        _OUTCOMES[outcome]: Destination(found[1])
        for outcome, arn in destinations(props)
        if outcome in _OUTCOMES and (found := DESTINATION.fullmatch(arn)) and found[1] in names
    }
    if "maxAsyncRetryAttempts" in config:
        given["retries"] = int(config["maxAsyncRetryAttempts"])
    if "maxAsyncEventAgeInSeconds" in config:
        given["max_age"] = float(config["maxAsyncEventAgeInSeconds"])
    return AsyncConfig(task=config.get("asyncTask", False), **given)


def _timers(props: Mapping[str, Any]) -> Iterator[Timer]:
    for _, trigger in triggers(props):
        if trigger.get("triggerType") == "timer":
            config = trigger["triggerConfig"]
            yield Timer(
                trigger["triggerName"],
                config["cronExpression"],
                config.get("payload", ""),
                config.get("enable", True),
            )
