"""What is wrong with a function's `props`, so that it cannot be played or the platform refuses it
(docs/platform.md sections 1.4, 5, 8 and 10).

Only what is played is looked at: of the rest, `doubts` and `unplayed` warn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from . import cron
from .document import FilePlace, section
from .launch import CONTAINER, CUSTOM, PYTHON, config_of, kind_of
from .schema import Objection, cut, objections
from .sessions import affinity_faults
from .typed import CHECKS, CONFIGS
from .unplayed import PLAYED

SchemaFault = tuple[FilePlace, str]

CHECKED: frozenset[tuple[str, ...]] = frozenset(
    {
        *((key,) for key in PLAYED - {"code"}),
        ("asyncInvokeConfig", "asyncTask"),
        ("asyncInvokeConfig", "destinationConfig"),
        ("asyncInvokeConfig", "destinationConfig", "onFailure"),
        ("asyncInvokeConfig", "destinationConfig", "onFailure", "destination"),
        ("asyncInvokeConfig", "destinationConfig", "onSuccess"),
        ("asyncInvokeConfig", "destinationConfig", "onSuccess", "destination"),
        *((config, key) for config in CONFIGS for key in ("args", "command", "entrypoint")),
        *((config, "healthCheckConfig") for config in CONFIGS),
        *((config, "healthCheckConfig", "httpGetUrl") for config in CONFIGS),
        *(("instanceLifecycleConfig", hook) for hook in ("initializer", "preStop")),
        *(("instanceLifecycleConfig", hook, "handler") for hook in ("initializer", "preStop")),
        ("provisionConfig", "alwaysAllocateCPU"),
    }
)
"""What the schema's objections count for. Numbers have their ranges below."""
ITEMS = ("args", "command", "entrypoint")
UNSURE = ("const", "enum", "pattern", "required")
"""Rules of the schema that may be older than the platform, or that a part of the file lacks."""

HEALTH = {
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
    **{(config, "port"): (1, 65_535) for config in CONFIGS},
    **{(config, "healthCheckConfig", key): HEALTH[key] for config in CONFIGS for key in CHECKS},
}
"""Whole numbers for which the schema has no range, or not the platform's."""

MAX_ENVIRONMENT = 4096
"""Bytes of all names and values."""
MAX_URL = 2048

_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def faults(props: Mapping[str, Any], found: list[Objection]) -> dict[FilePlace, str]:
    """Return what is wrong, by its place within the props. The first fault of a place stands.

    `found` are the schema's objections to the props.
    """
    told = {each.place: each.text for each in found if counts(each, props)}
    checks = (_needed, _name, _ranges, _environment, _hooks, _run, _timers, affinity_faults)
    for check in checks:
        for place, text in check(props):
            told.setdefault(place, text)
    return told


def counts(objection: Objection, props: Mapping[str, Any]) -> bool:
    """Tell whether an objection of the schema is to something that is played."""
    place = objection.place
    if objection.rule in UNSURE:
        return False
    if place == ("memorySize",) and objection.rule != "type":
        return not section(props, "gpuConfig")  # sizes of GPU functions are newer than the schema
    if len(place) == 2 and place[0] in ("environmentVariables", "triggers"):
        return True
    if len(place) == 3 and place[0] in CONFIGS and place[1] in ITEMS:
        return True
    return place in CHECKED


def triggers(props: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the triggers that are mappings, with their indexes."""
    listed = props.get("triggers")
    for index, trigger in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(trigger, Mapping):
            yield index, trigger


def _needed(props: Mapping[str, Any]) -> Iterator[SchemaFault]:
    needed = ["functionName", "runtime"]
    if kind_of(props) == PYTHON:
        needed.append("handler")
    if kind_of(props) == CONTAINER:
        needed.append("customContainerConfig")
    for key in needed:
        if key not in props:
            yield (key,), "is missing"


def _name(props: Mapping[str, Any]) -> Iterator[SchemaFault]:
    name = props.get("functionName")
    if isinstance(name, str) and not _FUNCTION.fullmatch(name):
        yield (
            ("functionName",),
            f"{cut(repr(name))} is not 1 to 64 letters, digits, _ and -, beginning with a letter"
            " or _",
        )


def _ranges(props: Mapping[str, Any]) -> Iterator[SchemaFault]:
    for place, (low, high) in RANGES.items():
        value = section(props, *place[:-1]).get(place[-1])
        if value is not None and not (is_number(value) and value % 1 == 0 and low <= value <= high):
            yield place, f"{cut(repr(value))} is not a whole number from {low} to {high}"


def _environment(props: Mapping[str, Any]) -> Iterator[SchemaFault]:
    variables = section(props, "environmentVariables")
    texts = {str(name): value for name, value in variables.items() if isinstance(value, str)}
    size = sum(len(f"{name}{value}".encode(errors="replace")) for name, value in texts.items())
    if size > MAX_ENVIRONMENT:
        yield (
            ("environmentVariables",),
            f"names and values have {size} bytes, the platform takes {MAX_ENVIRONMENT}",
        )
    for name, value in variables.items():
        place = ("environmentVariables", name)
        if name.startswith("FC_"):
            yield place, "names that begin with FC_ are the platform's own"
        elif not _VARIABLE.fullmatch(name):
            yield place, "a name is letters, digits and _, beginning with a letter"
        elif isinstance(value, str) and "\0" in value:
            yield place, "has a NUL, which no variable can hold"


def _hooks(props: Mapping[str, Any]) -> Iterator[SchemaFault]:
    for name in ("initializer", "preStop"):
        hook = section(props, "instanceLifecycleConfig", name)
        if hook.get("handler") and hook.get("command"):
            yield (
                ("instanceLifecycleConfig", name),
                "has a handler and a command, the platform takes one of them",
            )


def _run(props: Mapping[str, Any]) -> Iterator[SchemaFault]:
    key = config_of(props)
    config = section(props, key)
    if kind_of(props) == CONTAINER and config and "image" not in config:
        yield (key, "image"), "is missing"
    if kind_of(props) in (CONTAINER, CUSTOM):
        url = section(config, "healthCheckConfig").get("httpGetUrl")
        if isinstance(url, str) and not (url.startswith("/") and len(url) <= MAX_URL):
            place = (key, "healthCheckConfig", "httpGetUrl")
            yield (
                place,
                f"{cut(repr(url))} is not a path: / and up to {MAX_URL - 1} characters more",
            )


def _timers(props: Mapping[str, Any]) -> Iterator[SchemaFault]:
    names: dict[Any, int] = {}
    for index, trigger in triggers(props):
        name = trigger.get("triggerName")
        if isinstance(name, str) and names.setdefault(name, index) != index:
            yield (
                ("triggers", index, "triggerName"),
                f"{name!r} is the name of triggers[{names[name]}] too",
            )
        if trigger.get("triggerType") == "timer":
            for inside, text in _timer(trigger):
                yield ("triggers", index, *inside), text


def _timer(trigger: Mapping[str, Any]) -> Iterator[SchemaFault]:
    if not isinstance(trigger.get("triggerName"), str):
        yield ("triggerName",), "is missing" if "triggerName" not in trigger else "is not text"
    config = trigger.get("triggerConfig", {})
    for objection in objections(config, "ITimerTriggerConfig"):
        if objection.place != ("enable",) or objection.rule != "required":
            yield ("triggerConfig", *objection.place), objection.text
    expression = section(config).get("cronExpression")
    if isinstance(expression, str):
        try:
            cron.parse_cron(expression)
        except ValueError as reason:
            yield ("triggerConfig", "cronExpression"), str(reason)


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether a value is a number that arithmetic keeps exact."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53
