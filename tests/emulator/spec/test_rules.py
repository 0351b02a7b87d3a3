"""What the schema's objections count for, and the platform's own rules."""

from __future__ import annotations

from typing import Any

import pytest

from service.emulator.spec.rules import RANGES, counts, faults, is_number, triggers
from service.emulator.spec.schema import Objection, objections

LEAST = {"functionName": "fn", "region": "cn-hangzhou", "runtime": "custom", "code": "."}


def found(**props: Any) -> list[str]:
    """The places of the faults of a function with these props."""
    whole = {**LEAST, **props}
    told = faults(whole, list(objections(whole)))
    return [".".join(map(str, place)) for place in told]


def test_the_least_has_no_fault() -> None:
    """What a function needs is enough."""
    assert found() == []


@pytest.mark.parametrize("place", RANGES, ids=".".join)
def test_a_number_has_both_ends_of_its_range(place: tuple[str, ...]) -> None:
    """The least and the greatest are taken, and nothing beyond them."""
    low, high = RANGES[place]
    image = {"runtime": "custom-container"} if place[0] == "customContainerConfig" else {}
    for value, is_wrong in ((low, False), (high, False), (low - 1, True), (high + 1, True)):
        props: Any = value
        for key in reversed(place):
            props = {key: props}
        if image:
            props["customContainerConfig"]["image"] = "a/b"
        assert found(**image, **props) == ([".".join(place)] if is_wrong else [])


@pytest.mark.parametrize(
    ("place", "rule", "is_counted"),
    [
        (("timeout",), "maximum", True),
        (("timeout",), "type", True),
        (("region",), "enum", False),
        (("diskSize",), "enum", False),
        (("cpu",), "type", False),
        (("nasConfig", "mountPoints"), "required", False),
        (("gpuConfig", "gpuMemorySize"), "maximum", False),
        (("environmentVariables", "A"), "type", True),
        (("customRuntimeConfig", "args", 0), "type", True),
        (("triggers", 0), "type", True),
        (("triggers", 0, "triggerConfig", "methods"), "type", False),
    ],
)
def test_the_schema_counts_for_what_is_played(place: Any, rule: str, is_counted: bool) -> None:
    """Its lists may be older than the platform, and what is not played may be anything."""
    assert counts(Objection(place, "", rule), LEAST) is is_counted


def test_the_memory_of_a_gpu_function_may_be_larger() -> None:
    """Their sizes are newer than the schema."""
    assert found(memorySize=65536) == ["memorySize"]
    assert found(memorySize=65536, gpuConfig={"gpuType": "fc.gpu.ada.1"}) == []
    assert found(memorySize="much", gpuConfig={"gpuType": "fc.gpu.ada.1"}) == ["memorySize"]


def test_triggers_that_are_mappings_have_their_indexes() -> None:
    """What is none is passed over here: the schema tells it."""
    assert [*triggers({"triggers": ["x", {"a": 1}]})] == [(1, {"a": 1})]
    assert [*triggers({"triggers": "x"})] == []


@pytest.mark.parametrize(
    ("value", "told"),
    [(1, True), (0.5, True), (True, False), ("1", False), (None, False), (2**53, False)],
)
def test_a_number_is_one_that_stays_exact(value: object, told: bool) -> None:
    """Neither a switch, nor text, nor one that floats round."""
    assert is_number(value) is told


@pytest.mark.parametrize(
    ("name", "is_wrong"),
    [("A", False), ("a_1", False), ("_A", True), ("1A", True), ("A.B", True), ("FC_A", True)],
)
def test_variables_have_names_that_the_platform_takes(name: str, is_wrong: bool) -> None:
    """Letters, digits and _, beginning with a letter, and none of the platform's own."""
    assert found(environmentVariables={name: "x"}) == (
        [f"environmentVariables.{name}"] if is_wrong else []
    )


def test_a_variable_holds_no_nul() -> None:
    """The system could not start the process."""
    assert found(environmentVariables={"A": "b\0c"}) == ["environmentVariables.A"]
