"""Files that extend files, and resources that extend templates."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.emulator.spec.document import load_document
from service.emulator.spec.extending import Sources, merged, without_nothing
from service.errors import UsageError


def sources(folder: Path, text: str, **files: str) -> Sources:
    """A file with others beside it."""
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content)
    (folder / "s.yaml").write_text(text)
    return Sources(load_document(folder / "s.yaml"))


def test_mappings_are_joined_and_all_else_is_replaced() -> None:
    """Lists are not joined, and nothing takes a value away."""
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 1, "e": 5}
    over = {"a": {"c": [3], "x": 0}, "d": {"y": 1}, "e": None}
    assert merged(base, over) == {"a": {"b": 1, "c": [3], "x": 0}, "d": {"y": 1}, "e": None}
    assert base["a"] == {"b": 1, "c": [1, 2]}


def test_keys_that_have_nothing_are_dropped() -> None:
    """At any depth of mappings."""
    assert without_nothing({"a": None, "b": {"c": None, "d": 0}}) == {"b": {"d": 0}}


def test_a_file_stands_over_the_one_that_it_extends(tmp_path: Path) -> None:
    """A key without a value does not hide the base's."""
    found = sources(
        tmp_path,
        "extend: base.yaml\nvars: {a: 1, b:}\n",
        base="edition: 3.0.0\nvars: {a: 0, b: 2}\n",
    )
    assert found.value == {"extend": "base.yaml", "edition": "3.0.0", "vars": {"a": 1, "b": 2}}


def test_a_place_is_told_in_the_file_in_which_it_stands(tmp_path: Path) -> None:
    """Faults name the base's line for what the base says."""
    found = sources(tmp_path, "extend: base.yaml\nvars: {a: 1}\n", base="vars:\n  b: 2\n")
    assert found.position(("vars", "a")) == f"{tmp_path}/s.yaml:2:8"
    assert found.position(("vars", "b")) == f"{tmp_path}/base.yaml:2:3"
    assert found.folder_of(("vars", "b")) == tmp_path


def test_a_base_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With the line that names it."""
    with pytest.raises(UsageError, match=r"s\.yaml:2:1: extend: base\.yaml is not there"):
        sources(tmp_path, "edition: 3.0.0\nextend: base.yaml\n")


def test_a_base_that_is_no_mapping_is_told(tmp_path: Path) -> None:
    """Text or a list is no file of Serverless Devs."""
    with pytest.raises(UsageError, match=r"base\.yaml: is not a mapping"):
        sources(tmp_path, "extend: base.yaml\n", base="- a\n")


def test_a_base_of_a_base_is_warned_of(tmp_path: Path) -> None:
    """Serverless Devs goes one file deep, so we do, and say so."""
    found = sources(tmp_path, "extend: base.yaml\n", base="extend: other.yaml\n", other="a: 1\n")
    assert found.warnings == [
        f"{tmp_path}/base.yaml: extend: is not followed: Serverless Devs goes one file deep"
    ]
    assert "a" not in found.value


TEMPLATE = """\
template:
  t: {timeout: 30, role: x, nas: {a: 1, b: 2}}
resources:
  fn:
    extend: {extend}
    props: {timeout: 60}
"""
EXTENDS = {
    "{name: t}": {"timeout": 60, "role": "x", "nas": {"a": 1, "b": 2}},
    "{name: t, ignore: [role, nas.a, no.such]}": {"timeout": 60, "nas": {"b": 2}},
    "{name: t, ignore: role}": {"timeout": 60, "nas": {"a": 1, "b": 2}},
    "{}": {"timeout": 60},
    "t": {"timeout": 60},
}


@pytest.mark.parametrize(("extend", "props"), EXTENDS.items())
def test_a_template_is_below_a_resources_props(
    tmp_path: Path, extend: str, props: dict[str, object]
) -> None:
    """But for the keys that the resource ignores."""
    found = sources(tmp_path, TEMPLATE.replace("{extend}", extend))
    assert found.value["resources"]["fn"]["props"] == props
    assert found.warnings == []


def test_a_template_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    """Serverless Devs takes it for an empty one without a word."""
    found = sources(tmp_path, TEMPLATE.replace("{extend}", "{name: u}"))
    assert found.warnings == [
        "resources.fn.extend.name: template has no 'u', so nothing is extended"
    ]
