"""What of a function's `props` is not played on a desk, in one sentence each.

Silent are keys that change nothing there (description, region, cpu, diskSize, internetAccess, tags
and the like), and values that ask for nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from . import cron
from .document import FilePlace, section
from .schema import component_schema

PLAYED = {
    "asyncInvokeConfig",
    "code",
    "concurrencyConfig",
    "customContainerConfig",
    "customRuntimeConfig",
    "environmentVariables",
    "functionName",
    "handler",
    "instanceConcurrency",
    "instanceLifecycleConfig",
    "memorySize",
    "provisionConfig",
    "region",
    "runtime",
    "scalingConfig",
    "sessionAffinity",
    "sessionAffinityConfig",
    "timeout",
    "triggers",
}
QUIET = {
    "annotations",
    "cpu",
    "description",
    "diskSize",
    "enableLongLiving",
    "endpoint",
    "internetAccess",
    "resourceGroupId",
    "supplement",
    "tags",
    "vpcBinding",
}
"""What a call on a desk does not feel."""

INSTEAD = {
    "customDNS": "names are looked up as this machine does",
    "gpuConfig": "instances see this machine's devices",
    "layers": "no layer is unpacked to /opt",
    "logConfig": "the log is on this terminal, and in no log store",
    "nasConfig": "nothing is mounted",
    "ossMountConfig": "nothing is mounted",
    "role": "the credentials of an instance open nothing",
    "tracingConfig": "calls carry no trace",
    "vpcConfig": "instances are in this machine's network",
}
"""Keys of which a user would want to know what is done instead."""

NESTED = {
    ("instanceLifecycleConfig", "initializer", "command"): "the hook is left out",
    ("instanceLifecycleConfig", "preStop", "command"): "the hook is left out",
    ("provisionConfig", "scheduledActions"): "there are always `defaultTarget` instances",
    ("provisionConfig", "targetTrackingPolicies"): "there are always `defaultTarget` instances",
    ("scalingConfig", "horizontalScalingPolicies"): "there are always `minInstances`",
    ("scalingConfig", "scheduledPolicies"): "there are always `minInstances`",
    ("scalingConfig", "residentPoolId"): "instances are this machine's processes",
}

TIMER = {"$ref": "#/definitions/ITimerTriggerConfig"}
SAMPLES = {
    "cdn_events": "cdn.refreshed",
    "eventbridge": "eventbridge.oss",
    "log": "sls",
    "mns_topic": "mns.topic",
    "oss": "oss.put",
    "tablestore": "tablestore",
}
"""The sample event of each trigger that does not fire on a desk."""


def unplayed(props: Mapping[str, Any]) -> Iterator[tuple[FilePlace, str]]:
    """Yield what is not played of a function's props, each with its place. The props are sound."""
    yield from _unknown(props, component_schema(), ())
    for key in sorted(component_schema()["properties"].keys() - PLAYED - QUIET):
        value = props.get(key)
        if value and not (key == "logConfig" and str(value).startswith("auto")):
            what = INSTEAD.get(key)
            yield (key,), f"is not played: {what}" if what else "is not played"
    for path, what in NESTED.items():
        if section(props, *path[:-1]).get(path[-1]):
            yield path, f"is not played: {what}"
    listed = props.get("triggers", [])
    for index, trigger in enumerate(listed):
        yield from _trigger(trigger, ("triggers", index), props["functionName"])


def _trigger(
    trigger: Mapping[str, Any], place: FilePlace, function: str
) -> Iterator[tuple[FilePlace, str]]:
    kind = trigger.get("triggerType")
    if kind == "timer":
        for doubt in cron.parse_cron(trigger["triggerConfig"]["cronExpression"]).doubts:
            yield (*place, "triggerConfig", "cronExpression"), doubt
    elif kind == "http":
        yield place, "an http trigger is not played: the emulator sends events only"
    elif kind in SAMPLES:
        yield (
            place,
            "does not fire on a desk; send its event with"
            f" `python -m service invoke @{SAMPLES[kind]} --function {function}`",
        )
    else:
        yield place, f"a trigger of the type {kind!r} is not played"


def _unknown(
    value: Any, form: Mapping[str, Any], place: FilePlace
) -> Iterator[tuple[FilePlace, str]]:
    """Yield keys that the component's schema does not name: most often they are misspelt."""
    if "$ref" in form:
        form = component_schema()["definitions"][form["$ref"].rpartition("/")[2]]
    known = form.get("properties", {})
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unknown(each, form.get("items", {}), (*place, index))
    if not isinstance(value, Mapping) or not known:
        return
    for key, each in value.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield (*place, key), f"the component has no such key, it is left out{hint}"
        elif key != "triggerConfig":
            yield from _unknown(each, known[key], (*place, key))
        elif value.get("triggerType") == "timer":
            yield from _unknown(each, TIMER, (*place, key))
