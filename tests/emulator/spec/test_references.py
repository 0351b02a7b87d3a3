"""What references name, by themselves: files are read in test_read and test_cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.emulator.spec.references import MOST, References
from service.errors import UsageError

PLACE = ("resources", "fn", "props", "description")


def references(folder: Path, value: Any = "", environ: Any = None, **top: Any) -> References:
    """The references of a file whose function `fn` has the description `value`."""
    props = {"region": "cn-hangzhou", "description": value}
    document = {"access": "me", "resources": {"fn": {"component": "fc3", "props": props}}, **top}
    return References(document, environ or {}, lambda _place: folder)


def test_a_value_without_references_is_itself(tmp_path: Path) -> None:
    """Whatever its type; a dollar is a character like others."""
    found = references(tmp_path)
    for value in (1, True, 0.5, "$x {y} $5", ["a", {"b": 1}]):
        assert found.resolve(value, PLACE) == value
    assert not found.faults


def test_what_has_nothing_is_left_out(tmp_path: Path) -> None:
    """Keys and items with nothing are not there; empty ones are."""
    found = references(tmp_path).resolve(
        {"a": None, "b": {"c": None}, "d": [None, "x", []], "e": ""}, ("vars",)
    )
    assert found == {"b": {}, "d": ["x", []], "e": ""}


def test_a_reference_reads_what_stands_later_in_the_file(tmp_path: Path) -> None:
    """The order in which things are written does not matter, nor how many lead to another."""
    found = references(
        tmp_path, vars={"a": "${vars.b}", "b": "${vars.c}-x", "c": "${vars.d}", "d": 5}
    )
    assert found.resolve("${vars.a}", PLACE) == "5-x"
    assert found.resolve("${vars.d}", PLACE) == 5


def test_a_path_leads_through_a_reference(tmp_path: Path) -> None:
    """What a variable holds by another reference has parts, too."""
    (tmp_path / "x.json").write_text('{"size": {"large": 2048}}')
    found = references(tmp_path, vars={"file": "${json(file('./x.json'))}"})
    assert found.resolve("${vars.file.size.large}", PLACE) == 2048


def test_files_start_from_the_folder_of_the_file(tmp_path: Path) -> None:
    """Relative paths are relative to it, and absolute ones are taken as they are."""
    (tmp_path / "x.txt").write_text("text")
    found = references(tmp_path)
    assert found.resolve("${cwd}", PLACE) == str(tmp_path)
    assert found.resolve("${path('./x.txt')}", PLACE) == f"{tmp_path}/x.txt"
    assert found.resolve(f"${{file('{tmp_path}/x.txt')}}", PLACE) == "text"


def test_what_a_file_holds_is_looked_at_once_more(tmp_path: Path) -> None:
    """But not a third time: a file that names itself comes to an end."""
    (tmp_path / "x.txt").write_text("in ${this.name}")
    (tmp_path / "self.txt").write_text("${file('./self.txt')}")
    found = references(tmp_path)
    assert found.resolve("${file('./x.txt')}", PLACE) == "in fn"
    assert found.resolve("${file('./self.txt')}", PLACE) == "${file('./self.txt')}"


def test_this_is_the_resource_in_which_it_stands(tmp_path: Path) -> None:
    """Its name, its component, its props, and the file's access."""
    found = references(tmp_path)
    text = "${this.name} ${this.component} ${this.access} ${this.props.region}"
    assert found.resolve(text, PLACE) == "fn fc3 me cn-hangzhou"
    assert found.resolve("${this.name}", ("vars", "x")) == "${this.name}"
    assert found.faults == {("vars", "x"): "${this.name} has a meaning within a resource only"}


def test_str_is_a_value_by_its_name_or_the_text(tmp_path: Path) -> None:
    """`str(vars.size)` and `str('vars.size')` are the same there, so they are here."""
    found = references(tmp_path, vars={"size": 1024})
    assert found.resolve("${str(vars.size)}", PLACE) == "1024"
    assert found.resolve("${str('vars.size')}", PLACE) == "1024"
    assert found.resolve("${str('vars.nothing')}", PLACE) == "vars.nothing"


def test_a_ring_is_told_where_it_closes(tmp_path: Path) -> None:
    """Values that need each other have none."""
    found = references(tmp_path, vars={"a": "${vars.b}", "b": "x-${vars.a}"})
    assert found.resolve("${vars.a}", PLACE) == "x-${vars.a}"
    assert found.faults == {
        ("vars", "b"): "${vars.a} leads back to itself: vars.a -> vars.b -> vars.a"
    }
    assert found.met == 1


def test_a_deployments_outputs_are_those_of_the_props_that_are_known(tmp_path: Path) -> None:
    """The rest stays, and is warned of."""
    found = references(tmp_path)
    assert found.resolve("${resources.fn.output.region}", PLACE) == "cn-hangzhou"
    assert not found.warnings
    text = "x-${resources.fn.output.url.system_url}"
    assert found.resolve(text, PLACE) == text
    assert [*found.warnings] == [PLACE]


def test_aliases_of_aliases_come_to_an_end(tmp_path: Path) -> None:
    """What stands for more values than a machine can hold is refused."""
    value: Any = "x"
    for _ in range(40):
        value = [value, value]
    with pytest.raises(UsageError, match=rf"vars\.a: stands for more than {MOST:,} values"):
        references(tmp_path).resolve(value, ("vars", "a"))
