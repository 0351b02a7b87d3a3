"""`s.yaml` as the emulator reads it: each function with what the platform would do for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import UsageError
from .document import at, load
from .functions import DESTINATION, Functions
from .model import AsyncConfig, Destination, Function, HealthCheck, Spec, Timer
from .rules import section, triggers


def read(path: Path, *, code: Path | None = None, environ: Mapping[str, str] | None = None) -> Spec:
    """Read a file of Serverless Devs: edition 3.0.0, component fc3.

    `code` takes the place of each function's `code`; `environ` that of this process's environment,
    for `${env(...)}`. Raises UsageError, which lists all that is wrong, each with its place.
    """
    return _spec(str(path), load(path), path.parent, code, environ)


def read_mapping(
    document: Mapping[str, Any],
    *,
    folder: Path,
    code: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Spec:
    """Read what a file would hold; relative paths in it are relative to `folder`."""
    return _spec("the spec", document, folder, code, environ)


def _spec(
    name: str,
    document: Any,
    folder: Path,
    code: Path | None,
    environ: Mapping[str, str] | None,
) -> Spec:
    if code is not None and not code.is_dir():
        raise UsageError(f"--code {code}: is no directory")
    if not isinstance(document, Mapping):
        raise UsageError(f"{name}: is not a mapping with edition, resources and so on")
    found = Functions(document, folder, code, os.environ if environ is None else environ)
    try:
        found.read()
    except RecursionError:
        raise UsageError(f"{name}: contains itself, or is nested too deep") from None
    if found.faults:
        lines = [f"{at(place)}: {text}" for place, text in found.faults.items()]
        first = f"{name}: " if len(lines) == 1 else f"{name} has {len(lines)} faults:\n  "
        raise UsageError(first + "\n  ".join(lines))
    functions = [_function(props, found.codes[place]) for place, props in found.props.items()]
    return Spec({function.name: function for function in functions}, tuple(found.warnings))


# --- one function, whose props are sound by now

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
_HOOK_TIMEOUT = 3.0
"""Seconds, where the file has none: the component fc3 fills them in."""

_CODE = re.compile(r"(?<![\w./~-])/code(?![\w.-])")


def _function(props: Mapping[str, Any], code: Path) -> Function:
    container = props["runtime"] == "custom-container"
    config = section(props, "customContainerConfig" if container else "customRuntimeConfig")
    given = {field: kind(props[key]) for key, (field, kind) in _GIVEN.items() if key in props}
    if "port" in config:
        given["port"] = int(config["port"])
    provision, scaling = section(props, "provisionConfig"), section(props, "scalingConfig")
    provisioned = int(max(provision.get("defaultTarget", 0), scaling.get("minInstances", 0)))
    reserved = section(props, "concurrencyConfig").get("reservedConcurrency")
    return Function(
        name=props["functionName"],
        region=props["region"],
        runtime=props["runtime"],
        code=code,
        command=tuple(_here(part, code) for part in _command(config, container)),
        environment={
            name: _here(value, code)
            for name, value in section(props, "environmentVariables").items()
        },
        initializer_timeout=_hook_timeout(props, "initializer"),
        pre_stop_timeout=_hook_timeout(props, "preStop"),
        health=_health(config),
        asynchronous=_asynchronous(section(props, "asyncInvokeConfig")),
        provisioned=provisioned,
        provisioned_freeze=provisioned > 0 and not provision.get("alwaysAllocateCPU", False),
        max_instances=None if reserved is None else int(reserved),
        timers=tuple(_timers(props)),
        props=props,
        **given,
    )


def _command(config: Mapping[str, Any], container: bool) -> list[str]:
    """What starts an instance (docs/platform.md section 9)."""
    if container:
        return [*config.get("entrypoint", []), *config.get("command", [])]
    return [*(config.get("command") or ["/code/bootstrap"]), *config.get("args", [])]


def _here(text: str, code: Path) -> str:
    """The text with each path below `/code` as it is on this desk."""
    return _CODE.sub(lambda _found: str(code), text)


def _hook_timeout(props: Mapping[str, Any], name: str) -> float | None:
    hook = section(props, "instanceLifecycleConfig", name)
    return float(hook.get("timeout", _HOOK_TIMEOUT)) if hook.get("handler") else None


def _health(config: Mapping[str, Any]) -> HealthCheck | None:
    check = section(config, "healthCheckConfig")
    if not check:
        return None
    given = {field: check[key] for key, field in _CHECK.items() if key in check}
    return HealthCheck(check["httpGetUrl"], **given)


def _asynchronous(config: Mapping[str, Any]) -> AsyncConfig:
    given: dict[str, Any] = {
        outcome: Destination(found[1])
        for outcome, key in (("on_success", "onSuccess"), ("on_failure", "onFailure"))
        if (arn := section(config, "destinationConfig", key).get("destination"))
        and (found := DESTINATION.fullmatch(arn))
    }
    if "maxAsyncRetryAttempts" in config:
        given["retries"] = int(config["maxAsyncRetryAttempts"])
    if "maxAsyncEventAgeInSeconds" in config:
        given["max_age"] = float(config["maxAsyncEventAgeInSeconds"])
    return AsyncConfig(task=config.get("asyncTask", False), **given)


def _timers(props: Mapping[str, Any]) -> Iterator[Timer]:
    for _, trigger in triggers(props):
        config = trigger["triggerConfig"]
        if trigger["triggerType"] == "timer":
            yield Timer(
                trigger["triggerName"],
                config["cronExpression"],
                config.get("payload", ""),
                config["enable"],
            )
