"""What the component fc3's own schema says against a function's `props`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from .document import FilePlace, missing_key

_LONG = 300


@dataclass(frozen=True, slots=True)
class Objection:
    """One thing that the schema does not take: where, in words, and the schema's rule."""

    place: FilePlace
    text: str
    rule: str


@cache
def component_schema() -> dict[str, Any]:
    """Return the component's schema of `props`."""
    file = resources.files(__package__.rpartition(".")[0]).joinpath("fc3-schema.json")
    return dict(json.loads(file.read_text("utf-8")))


def objections(value: Any, definition: str = "") -> Iterator[Objection]:
    """Yield what the schema says against props, or against a value of one of its definitions."""
    for error in _validator(definition).iter_errors(value):
        yield from _leaves(error)


def cut(message: str) -> str:
    """Return the message in a length that can be read."""
    return message if len(message) <= _LONG else f"{message[:_LONG]}..."


@cache
def _validator(definition: str) -> Any:
    try:
        from jsonschema import Draft7Validator
    except ImportError as reason:
        raise missing_key(reason) from None
    whole = component_schema()
    if definition:
        whole = {"definitions": whole["definitions"], "$ref": f"#/definitions/{definition}"}
    return Draft7Validator(whole)


def _leaves(error: Any) -> Iterator[Objection]:
    """Yield what an error of the validator comes to, in the branch that was meant."""
    place = tuple(error.absolute_path)
    if error.validator == "anyOf":
        meant = [each for each in error.context if each.schema_path[0] == _meant(error)]
        for each in meant:
            yield from _leaves(each)
        if not meant:
            text = f"{cut(repr(error.instance))} is not {_choice(error.validator_value)}"
            yield Objection(place, text, "type")
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                yield Objection((*place, key), "is missing", "required")
    else:
        yield Objection(place, cut(error.message), str(error.validator))


def _meant(error: Any) -> int:
    """Return the branch of an `anyOf` whose type the value has, -1 if there is no such branch."""
    others = {
        each.schema_path[0]
        for each in error.context
        if each.validator in ("type", "const") and not each.path
    }
    return next((n for n in range(len(error.validator_value)) if n not in others), -1)


def _choice(branches: list[dict[str, Any]]) -> str:
    """Return what an `anyOf` takes, in words."""
    return " or ".join(
        repr(branch["const"]) if "const" in branch else branch.get("type", "object")
        for branch in branches
    )
