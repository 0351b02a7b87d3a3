"""What of a function's `props` is not played on a desk, in one sentence each.

Silent are keys that change nothing there (description, region, cpu, diskSize, internetAccess, tags
and the like), and values that ask for nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from . import cron
from .document import Place, at
from .rules import TRIGGERS, schema, section, triggers

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
    "sessionAffinity": "a session's calls go to any instance",
    "sessionAffinityConfig": "a session's calls go to any instance",
    "tracingConfig": "calls carry no trace",
    "vpcConfig": "instances are in this machine's network",
}
"""Keys of which a user would want to know what is done instead."""

NESTED = {
    ("customContainerConfig", "image"): "entrypoint and command run on this machine instead",
    ("instanceLifecycleConfig", "initializer", "command"): "the hook is left out",
    ("instanceLifecycleConfig", "preStop", "command"): "the hook is left out",
    ("provisionConfig", "scheduledActions"): "there are always `defaultTarget` instances",
    ("provisionConfig", "targetTrackingPolicies"): "there are always `defaultTarget` instances",
    ("scalingConfig", "horizontalScalingPolicies"): "there are always `minInstances`",
    ("scalingConfig", "scheduledPolicies"): "there are always `minInstances`",
    ("scalingConfig", "residentPoolId"): "instances are this machine's processes",
}

SAMPLES = {
    "cdn_events": "cdn.refreshed",
    "eventbridge": "eventbridge.oss",
    "log": "sls",
    "mns_topic": "mns.topic",
    "oss": "oss.put",
    "tablestore": "tablestore",
}
"""The sample event of each trigger that does not fire on a desk."""


def warnings(props: Mapping[str, Any], place: Place) -> Iterator[str]:
    """Yield what is not played of a function's props, each with its place. The props are sound."""
    for inside, keys in _unknown(props, schema(), ()):
        yield f"{at((*place, *inside))}: {keys}"
    for key in sorted(schema()["properties"].keys() - PLAYED - QUIET):
        value = props.get(key)
        if value and not (key == "logConfig" and value == "auto"):
            yield f"{at((*place, key))}: is not played{_instead(INSTEAD.get(key))}"
    for path, what in NESTED.items():
        if section(props, *path[:-1]).get(path[-1]):
            yield f"{at((*place, *path))}: is not played: {what}"
    yield from _destinations(props, place)
    for index, trigger in triggers(props):
        yield from _trigger(trigger, (*place, "triggers", index), props["functionName"])


def _instead(what: str | None) -> str:
    return f": {what}" if what else ""


def _destinations(props: Mapping[str, Any], place: Place) -> Iterator[str]:
    path = ("asyncInvokeConfig", "destinationConfig")
    for outcome, target in section(props, *path).items():
        arn = target.get("destination", "")
        if arn and not arn.startswith("acs:fc:"):
            where = at((*place, *path, outcome, "destination"))
            yield f"{where}: is not played: only functions of this file are sent results"


def _trigger(trigger: Mapping[str, Any], place: Place, function: str) -> Iterator[str]:
    kind = trigger["triggerType"]
    if kind == "timer":
        expression = trigger["triggerConfig"]["cronExpression"]
        for doubt in cron.parse(expression).doubts:
            yield f"{at((*place, 'triggerConfig', 'cronExpression'))}: {doubt}"
    elif kind == "http":
        yield f"{at(place)}: an http trigger is not played: the emulator sends events only"
    else:
        yield (
            f"{at(place)}: does not fire on a desk; send its event with"
            f" `python -m service invoke @{SAMPLES[kind]} --function {function}`"
        )


def _unknown(value: Any, form: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, str]]:
    """Keys that the component's schema does not name: most often they are misspelt."""
    if "$ref" in form:
        form = schema()["definitions"][form["$ref"].rpartition("/")[2]]
    known = form.get("properties", {})
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unknown(each, form.get("items", {}), (*place, index))
    if not isinstance(value, Mapping) or not known:
        return
    for key, each in value.items():
        if key in known:
            yield from _unknown(each, _form(value, key, known), (*place, key))
        else:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield (*place, key), f"the component has no such key, it is left out{hint}"


def _form(value: Mapping[str, Any], key: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a key's value. A trigger's configuration has that of its type."""
    if key == "triggerConfig":
        return {"$ref": f"#/definitions/{TRIGGERS[value['triggerType']]}"}
    form: Mapping[str, Any] = known[key]
    return form
