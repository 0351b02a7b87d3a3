"""What an annotation is made of."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, NamedTuple, Union

import msgspec
import pydantic
import pytest
import typing_extensions

from service.calls.annotations import (
    bare_annotation,
    decodes_itself,
    is_pydantics,
    name_of,
    parts_of,
    takes_none,
    union_members,
    with_arguments,
)
from service.events import CloudEvent, KafkaEvents, OssEvent

Alias = typing_extensions.TypeAliasType("Alias", Annotated[int | None, "said"])


class Model(pydantic.BaseModel):
    size: int


class Point(NamedTuple):
    x: Annotated[int, "x"]


@dataclasses.dataclass
class Order:
    models: list[Model]
    kind: Literal["a"]
    parent: Order | None = None
    at: Point | None = None


class Broken(msgspec.Struct):
    a: Nowhere  # type: ignore[name-defined] # noqa: F821 - the error is what is tested


BARE = [
    (int, int),
    (int | None, int),
    (Annotated[int, 1], int),
    (Alias, int),
    (int | str, int | str),
]


@pytest.mark.parametrize(("annotation", "bare"), BARE, ids=str)
def test_an_annotation_is_bare_beneath_what_is_said_of_it(annotation: Any, bare: Any) -> None:
    """`Annotated`, `| None` and an alias say something of a type, and do not change it."""
    assert bare_annotation(annotation) == bare


NONE = [(None, True), (int, False), (int | None, True), (Alias, True), (Any, False)]


@pytest.mark.parametrize(("annotation", "takes"), NONE, ids=str)
def test_none_is_taken_where_it_is_named(annotation: Any, takes: bool) -> None:
    """None is among what an annotation allows if it says so, in an alias too."""
    assert takes_none(annotation) == takes


def test_a_union_has_members() -> None:
    """Both forms of a union have members, None aside; anything else has none."""
    assert union_members(int | None | str) == (int, str)
    assert union_members(Union[int, None, "Order"])[0] is int
    assert union_members(list[int]) == ()


def test_what_decodes_itself() -> None:
    """Batches and CloudEvents decode themselves, with arguments too; a plain Struct does not."""
    assert decodes_itself(KafkaEvents)
    assert decodes_itself(CloudEvent[int])
    assert not decodes_itself(OssEvent)
    assert not decodes_itself(3)


def test_what_is_pydantics() -> None:
    """Models and constraints are pydantic's; other classes and remarks are not."""
    for part in (Model, pydantic.Field(gt=0), pydantic.AwareDatetime):
        assert is_pydantics(part)
    for part in (Order, "a remark", msgspec.Meta(gt=0), int):
        assert not is_pydantics(part)


def test_the_parts_are_those_of_fields_too() -> None:
    """Types within types are found with the field that they are in, a class in itself once."""
    parts = list(parts_of(dict[str, Alias | Order]))
    for part in (("", str), ("", "said"), ("Order.models", Model), ("Point.x", "x")):
        assert part in parts
    assert not any(where == "Model.size" for where, _ in parts)
    assert list(parts_of(Broken)) == [("", Broken)]


def test_an_annotation_is_named() -> None:
    """A class has its name, anything else its text."""
    assert name_of(Order) == "Order"
    assert name_of(int | None) == "int | None"


def test_arguments_are_replaced() -> None:
    """Unions, containers, generic classes and what is annotated get other arguments."""
    assert with_arguments(int | str, (int, bytes)) == int | bytes
    assert with_arguments(list[int], (str,)) == list[str]
    assert with_arguments(Annotated[int, 1], (str,)) == Annotated[str, 1]
    assert with_arguments(CloudEvent[int], (str,)) == CloudEvent[str]
