"""What a deployment may refuse though it is played here, in one sentence each: values that the
component's schema does not know, sizes that do not fit, and what is taken for a missing key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .document import section
from .launch import config_of
from .rules import SchemaFault, counts, is_number, triggers
from .schema import Objection
from .sessions import affinity_doubts
from .unplayed import INSTEAD

REGION = "cn-hangzhou"
"""The region of a function that has none."""


def doubts(props: Mapping[str, Any], found: list[Objection]) -> Iterator[SchemaFault]:
    """Yield what is doubtful in sound props, each with its place within them.

    `found` are the schema's objections to the props.
    """
    for objection in found:
        key = objection.place[0] if objection.place else ""
        if objection.rule == "required" or counts(objection, props):
            continue
        if key not in INSTEAD and key not in ("code", "provisionConfig", "triggers"):
            yield objection.place, f"{objection.text}, says the component's schema"
    if "region" not in props:
        yield ("region",), f"is missing: {REGION} is played"
    yield from _size(props)
    key = config_of(props)
    check = section(props, key, "healthCheckConfig")
    if check and not check.get("httpGetUrl"):
        yield (key, "healthCheckConfig", "httpGetUrl"), "is missing: no check is made"
    yield from affinity_doubts(props)
    for index, trigger in triggers(props):
        config = section(trigger, "triggerConfig")
        if trigger.get("triggerType") == "timer" and "enable" not in config:
            yield ("triggers", index, "triggerConfig", "enable"), "is missing: the timer fires"


def _size(props: Mapping[str, Any]) -> Iterator[SchemaFault]:
    cpu, memory = props.get("cpu"), props.get("memorySize", 512)
    if section(props, "gpuConfig"):
        return
    if (cpu is None) != (props.get("diskSize") is None):
        here, other = ("diskSize", "cpu") if cpu is None else ("cpu", "diskSize")
        yield (other,), f"is missing: the platform takes {here} and {other} together only"
    if not is_number(cpu) or not is_number(memory) or cpu <= 0:
        return
    if abs(cpu * 20 - round(cpu * 20)) > 1e-6:
        yield ("cpu",), f"{cpu} is not a multiple of 0.05"
    elif not 1 <= memory / 1024 / cpu <= 4:
        yield (
            ("memorySize",),
            f"{memory} MB for {cpu} vCPU: the platform takes 1 to 4 GB for each vCPU, here"
            f" {1024 * cpu:g} to {4096 * cpu:g}",
        )
