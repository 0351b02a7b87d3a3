"""What is wrong with a function's `props`: by the component's schema, and by the platform's own
rules (docs/platform.md sections 1.4, 5, 8 and 10).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, TypeGuard

from . import cron
from .document import Place, missing

Fault = tuple[Place, str]

RUNTIMES = ("custom", "custom.debian10", "custom.debian11", "custom.debian12", "custom-container")
TRIGGERS = {
    "cdn_events": "ICdnTriggerConfig",
    "eventbridge": "IEventBridge",
    "http": "IHttpTriggerConfig",
    "log": "ILogTriggerConfig",
    "mns_topic": "IMnsTriggerConfig",
    "oss": "IOssTriggerConfig",
    "tablestore": "IOtsConfig",
    "timer": "ITimerTriggerConfig",
}
"""The schema of `triggerConfig` for each type; the whole schema takes any of them for any type."""

CHECK = {
    "initialDelaySeconds": (0, 120),
    "periodSeconds": (1, 120),
    "timeoutSeconds": (1, 3),
    "failureThreshold": (1, 120),
    "successThreshold": (1, 120),
}
RANGES: dict[tuple[str, ...], tuple[int, int]] = {
    ("instanceLifecycleConfig", "initializer", "timeout"): (1, 300),
    ("instanceLifecycleConfig", "preStop", "timeout"): (1, 90),
    ("asyncInvokeConfig", "maxAsyncRetryAttempts"): (0, 8),
    ("asyncInvokeConfig", "maxAsyncEventAgeInSeconds"): (1, 2_592_000),
    ("provisionConfig", "defaultTarget"): (0, 10_000),
    ("scalingConfig", "minInstances"): (0, 10_000),
    ("concurrencyConfig", "reservedConcurrency"): (1, 10_000),
}
"""Whole numbers for which the schema has no range, or not the platform's."""
for _config in ("customRuntimeConfig", "customContainerConfig"):
    RANGES[_config, "port"] = (1, 65_535)
    RANGES |= {(_config, "healthCheckConfig", key): limits for key, limits in CHECK.items()}

MAX_ENVIRONMENT = 4096
"""Bytes of all names and values."""
MAX_URL = 2048

_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LONG = 300


@cache
def schema() -> dict[str, Any]:
    """Return the component fc3's schema of `props`."""
    file = resources.files("service.emulator").joinpath("fc3-schema.json")
    return dict(json.loads(file.read_text("utf-8")))


def faults(props: Mapping[str, Any]) -> dict[Place, str]:
    """Return what is wrong, by its place within the props. The first fault of a place stands."""
    found: dict[Place, str] = {} if "runtime" in props else {("runtime",): "is missing"}
    for check in (_by_schema, _name, _runtime, _ranges, _size, _environment, _hooks, _run, _timers):
        for place, text in check(props):
            found.setdefault(place, text)
    return found


def section(value: Any, *keys: str) -> Mapping[str, Any]:
    """Return the mapping at the end of `keys`, {} where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def triggers(props: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the triggers that are mappings, with their indexes."""
    listed = props.get("triggers")
    for index, trigger in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(trigger, Mapping):
            yield index, trigger


# --- the schema


def _by_schema(props: Mapping[str, Any]) -> Iterator[Fault]:
    # Without a runtime the schema takes the function for a container, and for a runtime that is not
    # played it asks for a handler.
    form = props if "runtime" in props else {**props, "runtime": "custom"}
    for error in _validator("").iter_errors({"handler": "handler", **form}):
        yield from _leaves(error, ())
    for index, trigger in triggers(props):
        kind = trigger.get("triggerType")
        if isinstance(kind, str) and kind in TRIGGERS:
            for error in _validator(TRIGGERS[kind]).iter_errors(trigger.get("triggerConfig", {})):
                yield from _leaves(error, ("triggers", index, "triggerConfig"))


@cache
def _validator(definition: str) -> Any:
    try:
        from jsonschema import Draft7Validator
    except ImportError as reason:
        raise missing(reason) from None
    whole = schema()
    if definition:
        whole = {"definitions": whole["definitions"], "$ref": f"#/definitions/{definition}"}
    return Draft7Validator(whole)


def _leaves(error: Any, before: Place) -> Iterator[Fault]:
    """What an error of the validator comes to, in the branch that was meant."""
    place = (*before, *error.absolute_path)
    if error.validator == "anyOf":
        meant = [each for each in error.context if each.schema_path[0] == _meant(error)]
        for each in meant:
            yield from _leaves(each, before)
        if not meant:
            yield place, f"{_cut(repr(error.instance))} is not {_choice(error.validator_value)}"
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                yield (*place, key), "is missing"
    elif error.validator == "type" and place[:1] == ("environmentVariables",) and len(place) == 2:
        yield place, "is not text: write it in quotes"
    else:
        yield place, _cut(error.message)


def _meant(error: Any) -> int:
    """The branch of an `anyOf` whose type the value has, -1 where there is no such branch."""
    others = {
        each.schema_path[0]
        for each in error.context
        if each.validator in ("type", "const") and not each.path
    }
    return next((n for n in range(len(error.validator_value)) if n not in others), -1)


def _choice(branches: list[dict[str, Any]]) -> str:
    """What an `anyOf` takes, in words."""
    return " or ".join(
        repr(branch["const"]) if "const" in branch else branch.get("type", "object")
        for branch in branches
    )


def _cut(message: str) -> str:
    return message if len(message) <= _LONG else f"{message[:_LONG]}..."


# --- the platform's rules


def _name(props: Mapping[str, Any]) -> Iterator[Fault]:
    name = props.get("functionName")
    if isinstance(name, str) and not _FUNCTION.fullmatch(name):
        yield (
            ("functionName",),
            f"{name!r} is not 1 to 64 letters, digits, _ and -, beginning with a letter or _",
        )


def _runtime(props: Mapping[str, Any]) -> Iterator[Fault]:
    runtime = props.get("runtime")
    if runtime not in RUNTIMES and isinstance(runtime, str):
        yield (
            ("runtime",),
            f"{runtime!r} is a runtime that brings the platform's own server; the emulator plays"
            f" {', '.join(RUNTIMES)}",
        )


def _ranges(props: Mapping[str, Any]) -> Iterator[Fault]:
    for place, (low, high) in RANGES.items():
        value = section(props, *place[:-1]).get(place[-1])
        if value is not None and not (
            _is_number(value) and value % 1 == 0 and low <= value <= high
        ):
            yield place, f"{_cut(repr(value))} is not a whole number from {low} to {high}"


def _size(props: Mapping[str, Any]) -> Iterator[Fault]:
    cpu, memory = props.get("cpu"), props.get("memorySize", 512)
    if (cpu is None) != (props.get("diskSize") is None):
        here, other = ("diskSize", "cpu") if cpu is None else ("cpu", "diskSize")
        yield (other,), f"is missing: the platform takes {here} and {other} together only"
    if not _is_number(cpu) or not _is_number(memory) or cpu <= 0:
        return
    if abs(cpu * 20 - round(cpu * 20)) > 1e-6:
        yield ("cpu",), f"{cpu} is not a multiple of 0.05"
    elif not 1 <= memory / 1024 / cpu <= 4:
        yield (
            ("memorySize",),
            f"{memory} MB for {cpu} vCPU: the platform takes 1 to 4 GB for each vCPU, here"
            f" {1024 * cpu:g} to {4096 * cpu:g}",
        )


def _environment(props: Mapping[str, Any]) -> Iterator[Fault]:
    variables = section(props, "environmentVariables")
    texts = {str(name): value for name, value in variables.items() if isinstance(value, str)}
    size = sum(len(f"{name}{value}".encode()) for name, value in texts.items())
    if size > MAX_ENVIRONMENT:
        yield (
            ("environmentVariables",),
            f"names and values have {size} bytes, the platform takes {MAX_ENVIRONMENT}",
        )
    for name in map(str, variables):
        place = ("environmentVariables", name)
        if name.startswith("FC_"):
            yield place, "names that begin with FC_ are the platform's own"
        elif not _VARIABLE.fullmatch(name):
            yield place, "a name is letters, digits and _, beginning with a letter"


def _hooks(props: Mapping[str, Any]) -> Iterator[Fault]:
    for name in ("initializer", "preStop"):
        hook = section(props, "instanceLifecycleConfig", name)
        if hook.get("handler") and hook.get("command"):
            yield (
                ("instanceLifecycleConfig", name),
                "has a handler and a command, the platform takes one of them",
            )


def _run(props: Mapping[str, Any]) -> Iterator[Fault]:
    container = props.get("runtime") == "custom-container"
    key = "customContainerConfig" if container else "customRuntimeConfig"
    config = section(props, key)
    if container and config and "image" not in config:
        yield (key, "image"), "is missing"
    if container and config and not config.get("entrypoint") and not config.get("command"):
        yield (
            (key, "entrypoint"),
            "is missing, and command too: what the image would run is not known on a desk",
        )
    if "healthCheckConfig" in config:
        place = (key, "healthCheckConfig", "httpGetUrl")
        url = section(config, "healthCheckConfig").get("httpGetUrl")
        if url is None:
            yield place, "is missing"
        elif isinstance(url, str) and not (url.startswith("/") and len(url) <= MAX_URL):
            yield place, f"{_cut(url)!r} is not a path: / and up to {MAX_URL - 1} characters more"


def _timers(props: Mapping[str, Any]) -> Iterator[Fault]:
    names: dict[Any, int] = {}
    for index, trigger in triggers(props):
        name = trigger.get("triggerName")
        if isinstance(name, str) and names.setdefault(name, index) != index:
            yield (
                ("triggers", index, "triggerName"),
                f"{name!r} is the name of triggers[{names[name]}] too",
            )
        expression = section(trigger, "triggerConfig").get("cronExpression")
        if trigger.get("triggerType") == "timer" and isinstance(expression, str):
            try:
                cron.parse(expression)
            except ValueError as reason:
                yield ("triggers", index, "triggerConfig", "cronExpression"), str(reason)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53
