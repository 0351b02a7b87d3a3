"""What an annotation makes of a body, and what is told of a body that does not fit."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import inspect
import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, TypedDict

import annotated_types
import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st

from service.calls.decode import decoder
from service.errors import InvalidEvent
from service.events import CloudEvent, EventBatch, MnsTopicEvent, TablestoreEvent

SECRET = "hunter2"


class Word(enum.StrEnum):
    YES = "yes"


class Item(msgspec.Struct, rename="camel"):
    item_name: str
    price: Any = None


class Cat(msgspec.Struct, tag=True):
    name: str


class Dog(msgspec.Struct, tag=True):
    name: str


class Tree(msgspec.Struct):
    value: int
    children: list[Tree] = []


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    a: int = 0


class Checked(msgspec.Struct):
    a: int

    def __post_init__(self) -> None:
        if self.a < 0:
            raise ValueError("a is below 0")


@dataclasses.dataclass
class Order:
    number: int
    _note: Any = None


class Row(TypedDict):
    a: int


class Model(pydantic.BaseModel):
    a: int
    at: datetime | None = None


class Broad(pydantic.BaseModel):
    a: int
    b: int
    c: int
    d: int
    e: list[int]


class Lion(pydantic.BaseModel):
    kind: Literal["lion"]


class Tiger(pydantic.BaseModel):
    kind: Literal["tiger"]


class Cage(pydantic.BaseModel):
    animal: Annotated[Lion | Tiger, pydantic.Field(discriminator="kind")]


@pydantic.dataclasses.dataclass
class Parcel:
    weight: Annotated[int, pydantic.Field(gt=0)]


class Folder(msgspec.Struct):
    models: list[Model]
    anything: object = None


class Reversed:
    """A class that decodes itself."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    @classmethod
    def __from_event__(cls, body: bytes) -> Self:
        if body == b"bad":
            raise ValueError("it is bad")
        if body == b"[]":
            b"\xff".decode()
        return cls(body[::-1])


class Needy(Reversed):
    __event_needs__: ClassVar[tuple[str, ...]] = ("json", "no_such_module")


class Plain:
    """A class that nothing can decode or encode."""


class Unresolved(msgspec.Struct):
    a: Nowhere  # type: ignore[name-defined] # noqa: F821 - the error is what is tested


class Unready(pydantic.BaseModel):
    a: Nowhere  # type: ignore[name-defined] # noqa: F821 - the error is what is tested


def refusal(annotation: Any, body: bytes) -> str:
    with pytest.raises(InvalidEvent) as caught:
        decoder(annotation)(body)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert caught.value.__context__ is None
    return str(caught.value)


class Doubtful(msgspec.Struct):
    item: Item | Tree


class Crate(msgspec.Struct):
    parcel: Parcel


class Bounded(msgspec.Struct):
    size: Annotated[int, pydantic.Field(gt=0)]


@attrs.define
class Plainest:
    size: int
    _note: str = ""


@attrs.define
class Converted:
    size: int = attrs.field(converter=int)


@attrs.define
class Aliased:
    size: int = attrs.field(alias="width")


@dataclasses.dataclass
class Delivery:
    parcel: Parcel
    at: str = ""


class Route(typing_extensions.TypedDict):  # pydantic wants it so before Python 3.12
    parcels: list[Parcel]


class Labelled(pydantic.BaseModel):
    size: int = pydantic.Field(alias="theSize")


@pydantic.dataclasses.dataclass
class Tag:
    name: str = pydantic.Field(alias="tagName")


Positive = Annotated[int, pydantic.Field(gt=0)]
Short = Annotated[str, msgspec.Meta(max_length=3)]


DECODED: dict[str, tuple[Any, bytes, Any]] = {
    "no-annotation": (inspect.Parameter.empty, b"\xff{", b"\xff{"),
    "bytes": (bytes, b"\xff{", b"\xff{"),
    "annotated-bytes": (Annotated[bytes, "raw"], b"\xff", b"\xff"),
    "optional-bytes": (bytes | None, b"\xff", b"\xff"),
    "bytearray": (bytearray, b"\xff", bytearray(b"\xff")),
    "memoryview": (memoryview, b"\xff", memoryview(b"\xff")),
    "text": (str, "früh".encode(), "früh"),
    "text-keeps-its-mark": (str, b"\xef\xbb\xbfa", "\ufeffa"),
    "optional-text": (str | None, b"null", "null"),
    "dict": (dict, b'{"a":[1,null]}', {"a": [1, None]}),
    "list": (list, b"[1.5,true]", [1.5, True]),
    "any": (Any, b' "x" ', "x"),
    "object": (object, b'{"a":1}', {"a": 1}),
    "byte-order-mark": (dict, b'\xef\xbb\xbf{"a":1}', {"a": 1}),
    "last-of-two-keys-wins": (dict, b'{"a":1,"a":2}', {"a": 2}),
    "largest-64-bit-int": (Any, b"18446744073709551615", 2**64 - 1),
    "int-over-64-bits": (dict, b'{"a":18446744073709551616}', {"a": 2**64}),
    "int-below-64-bits": (list, b"[-9223372036854775809]", [-(2**63) - 1]),
    "int-beyond-floats": (Any, b"9" * 400, int("9" * 400)),
    "parametrised-dict": (dict[str, int], b'{"a":1}', {"a": 1}),
    "list-of-structs": (list[Cat], b'[{"type":"Cat","name":"x"}]', [Cat("x")]),
    "tagged-union": (Cat | Dog, b'{"type":"Dog","name":"x"}', Dog("x")),
    "recursive-struct": (Tree, b'{"value":1,"children":[{"value":2}]}', Tree(1, [Tree(2)])),
    "dataclass": (Order, b'{"number":1}', Order(1)),
    "typed-dict": (Row, b'{"a":1}', {"a": 1}),
    "literal": (Literal["a", "b"], b'"b"', "b"),
    "optional-int": (int | None, b"null", None),
    "enum": (Word, b'"yes"', Word.YES),
    "decimal": (Decimal, b"1.10", Decimal("1.10")),
    "pydantic": (
        Model,
        b'{"a":1,"at":"2026-01-01T00:00:00Z"}',
        Model(a=1, at=datetime(2026, 1, 1, tzinfo=UTC)),
    ),
    "pydantic-after-byte-order-mark": (Model, b'\xef\xbb\xbf{"a":1}', Model(a=1)),
    "optional-pydantic": (Model | None, b"null", None),
    "list-of-pydantic": (list[Model], b'[{"a":1}]', [Model(a=1)]),
    "pydantic-in-a-struct": (Folder, b'{"models":[{"a":1}],"anything":3}', Folder([Model(a=1)], 3)),
    "pydantic-dataclass": (Parcel, b'{"weight":3}', Parcel(3)),
    "optional-pydantic-dataclass": (Parcel | None, b'{"weight":3}', Parcel(3)),
    "alias-of-a-pydantic-dataclass": (Tag | None, b'{"tagName":"a"}', Tag(tagName="a")),
    "annotated-pydantic-dataclass": (Annotated[Tag, 1], b'{"tagName":"a"}', Tag(tagName="a")),
    "list-of-pydantic-dataclasses": (list[Tag], b'[{"tagName":"a"}]', [Tag(tagName="a")]),
    "pydantic-dataclass-in-a-field": (
        Delivery,
        b'{"parcel":{"weight":3}}',
        Delivery(Parcel(3)),
    ),
    "pydantic-dataclass-in-a-typed-dict": (
        Route,
        b'{"parcels":[{"weight":3}]}',
        {"parcels": [Parcel(3)]},
    ),
    "pydantic-constraint": (Positive, b"3", 3),
    "pydantic-constraint-on-text": (
        Annotated[str, pydantic.StringConstraints(to_upper=True)],
        b"abc",
        "ABC",
    ),
    "msgspec-constraint-on-text": (Short, b"abc", "abc"),
    "attrs": (Plainest, b'{"size":3,"_note":"a"}', Plainest(3, "a")),
    "self-decoding-in-a-list": (list[MnsTopicEvent], b'[{"Message":"a"}]', [MnsTopicEvent("a")]),
    "struct-beside-pydantic": (
        dict[str, Item | Parcel],
        b'{"a":{"weight":3},"b":{"itemName":"x"}}',
        {"a": Parcel(3), "b": Item("x")},
    ),
    "large-int-in-a-nested-model": (
        Folder,
        b'{"models":[{"a":%d}]}' % (2**80),
        Folder([Model(a=2**80)]),
    ),
    "empty-for-an-optional-dict": (dict[str, int] | None, b"", None),
    "spaces-for-an-optional-model": (Model | None, b" \n", None),
    "empty-for-an-optional-struct": (Annotated[Item | None, 1], b"", None),
    "empty-for-an-optional-event": (TablestoreEvent | None, b"", None),
    "empty-for-optional-bytes": (bytes | None, b"", b""),
    "empty-for-optional-text": (str | None, b"", ""),
    "none-alone": (None, b"", None),
}


@pytest.mark.parametrize(("annotation", "body", "value"), DECODED.values(), ids=DECODED)
def test_decoded(annotation: Any, body: bytes, value: Any) -> None:
    """A body becomes what the annotation asks for."""
    decoded = decoder(annotation)(body)
    assert decoded == value
    assert type(decoded) is type(value)


REFUSED: dict[str, tuple[Any, bytes, str]] = {
    "text-that-is-not-utf8": (str, b"abc\xff", "not UTF-8 text: byte 3 does not fit"),
    "empty": (dict, b"", "the body is empty"),
    "only-spaces": (Any, b" \n", "the body is empty"),
    "only-a-byte-order-mark": (dict, b"\xef\xbb\xbf", "the body is empty"),
    "many-byte-order-marks": (dict, b"\xef\xbb\xbf" * 5000, "not JSON: "),
    "list-for-dict": (dict, b"[]", "$: Expected `object`, got `array`"),
    "dict-for-list": (list, b"{}", "$: Expected `array`, got `object`"),
    "broken-json": (
        dict,
        b'{"a":1,\n}',
        "not JSON: trailing comma is not allowed (line 1, column 7)",
    ),
    "trailing-text": (Any, b'{"a":1} hunter2', "not JSON: unexpected content after document"),
    "nan": (Any, b"NaN", "not JSON: unexpected character"),
    "infinity": (list, b"[-Infinity]", "not JSON: "),
    "float-over-64-bits": (Any, b"1e999", "$: Number out of range"),
    "int-of-5000-digits": (Any, b"9" * 5000, "$: Integer value out of range"),
    "escaped-lone-surrogate": (Any, b'"\\ud800"', "not JSON: no low surrogate in string"),
    "bare-lone-surrogate": (Any, b'"\xed\xa0\x80"', "not JSON: str is not valid UTF-8"),
    "deep-json": (Any, b"[" * 200_000, "$: nested too deeply"),
    "deep-json-for-pydantic": (Model, b"[" * 200_000, "$: Invalid JSON: recursion limit exceeded"),
    "wrong-type-deep-inside": (
        Tree,
        b'{"value":1,"children":[{"value":"hunter2"}]}',
        "$.children[0].value: Expected `int`, got `str`",
    ),
    "wrong-value-of-a-dict": (
        dict[str, int],
        b'{"hunter2":"x"}',
        "$[...]: Expected `int`, got `str`",
    ),
    "wrong-key-of-a-dict": (
        dict[int, int],
        b'{"hunter2":1}',
        "$ (a key): Expected `int`, got `str`",
    ),
    "not-in-the-enum": (Word, b'"hunter2"', "$: Invalid enum value"),
    "not-in-the-literal": (
        Row | Literal["a"],
        b'"hunter2\\n` - at `$.x`"',
        "$: Invalid enum value",
    ),
    "unknown-tag": (Cat | Dog, b'{"type":"hunter2"}', "$.type: Invalid value"),
    "unknown-field": (Strict, b'{"b":1}', "$: Object contains unknown field `b`"),
    "own-check": (list[Checked], b'[{"a":-1}]', "$[0]: a is below 0"),
    "pydantic-field": (Model, b'{"a":"hunter2"}', "$.a: Input should be a valid integer"),
    "pydantic-broken": (Model, b'{"a":', "$: Invalid JSON: EOF while parsing"),
    "pydantic-empty": (Model, b"", "the body is empty"),
    "pydantic-tag": (
        Cage,
        b'{"animal":{"kind":"hunter2"}}',
        "$.animal: Input tag of 'kind' does not match",
    ),
    "pydantic-many": (
        Broad,
        b'{"e":["hunter2"]}',
        "$.a: Field required; $.b: Field required; $.c: Field required; and 2 more",
    ),
    "nested-pydantic": (
        list[Model],
        b'[{"a":1},{"a":"hunter2"}]',
        "$[1].a: Input should be a valid integer",
    ),
    "pydantic-dataclass": (Parcel, b'{"weight":0}', "$.weight: Input should be greater than 0"),
    "pydantic-dataclass-in-a-list": (
        list[Parcel],
        b'[{"weight":0}]',
        "$[0].weight: Input should be greater than 0",
    ),
    "pydantic-dataclass-of-an-optional": (
        Parcel | None,
        b'{"weight":0}',
        "$.weight: Input should be greater than 0",
    ),
    "pydantic-dataclass-in-a-dataclass": (
        Delivery,
        b'{"parcel":{"weight":0}}',
        "$.parcel.weight: Input should be greater than 0",
    ),
    "pydantic-dataclass-in-a-cloud-event": (
        CloudEvent[Parcel],
        b'{"id":"1","source":"s","type":"t","data":{"weight":0}}',
        "$.data.weight: Input should be greater than 0",
    ),
    "pydantic-dataclass-in-a-batch": (
        EventBatch[CloudEvent[Parcel]],
        b'[{"id":"1","source":"s","type":"t","data":{"weight":0}}]',
        "$[0].data.weight: Input should be greater than 0",
    ),
    "pydantic-constraint": (Positive, b"0", "$: Input should be greater than 0"),
    "pydantic-constraint-on-text": (
        Annotated[str, pydantic.StringConstraints(max_length=3)],
        b"hunter2",
        "$: String should have at most 3 characters",
    ),
    "msgspec-constraint-on-text": (Short, b"hunter2", "$: Expected `str` of length <= 3"),
    "pydantic-constraint-in-a-list": (list[Positive], b"[1,0]", "$[1]: Input should be greater"),
    "a-field-by-its-name": (list[Labelled], b'[{"size":1}]', "$[0].theSize: Field required"),
    "self-decoding-in-a-list": (list[MnsTopicEvent], b'[{"Message":1}]', "$[0].Message: Expected"),
    "own-decoder": (Reversed, b"bad", "$: it is bad"),
    "own-decoder-of-text": (Reversed, b"[]", "a string is not UTF-8"),
}


@pytest.mark.parametrize(("annotation", "body", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(annotation: Any, body: bytes, message: str) -> None:
    """A body that does not fit is InvalidEvent with the path and the reason, never the value."""
    assert refusal(annotation, body).startswith(message)


def test_constraints_that_nothing_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constraint of annotated_types is refused at load where there is no pydantic to check it."""
    monkeypatch.delitem(sys.modules, "pydantic")
    with pytest.raises(TypeError, match="its constraints are checked by pydantic alone; add it"):
        decoder(Annotated[int, annotated_types.Gt(0)])


def test_an_alias_of_a_type() -> None:
    """An alias stands for what it names (`type Event = ...` of Python 3.12)."""
    alias = typing_extensions.TypeAliasType("alias", Annotated[Item | None, 1])
    assert decoder(alias)(b"") is None
    assert decoder(list[alias])(b'[{"itemName":"x"}]') == [Item("x")]


def test_nothing_of_others_is_imported() -> None:
    """Types that have nothing of pydantic's, attrs' or numpy's bring none of these."""
    code = (
        "import sys, dataclasses\n"
        "from service.calls.decode import decoder\n"
        "from service.calls.encode import encode\n"
        "from service.events import CloudEvent, OssEvent, TimerEvent\n"
        "A = dataclasses.make_dataclass('A', [('a', int)])\n"
        "B = dataclasses.make_dataclass('B', [('b', int)])\n"
        "decoder(A | B), decoder(OssEvent | TimerEvent), decoder(CloudEvent[A])\n"
        "encode([A(1), {1, 2} and 1.5])\n"
        "print({'pydantic', 'numpy', 'annotated_types'} & {*sys.modules})"
    )
    # No environment: a tracer in it would import modules of its own.
    done = subprocess.run(
        [sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_long_reason() -> None:
    """A reason is cut before a name from the body makes it long."""
    assert len(refusal(Strict, json.dumps({"x" * 9999: 1}).encode())) == 300


@pytest.mark.parametrize("annotation", [Reversed, Reversed | None, Annotated[Reversed, 1]])
def test_own_decoder(annotation: Any) -> None:
    """A class with `__from_event__` gets the body as it came."""
    assert decoder(annotation)(b"abc").body == b"cba"


UNDECODABLE: dict[str, tuple[Any, str]] = {
    "a-class": (Plain, "an event cannot become Plain: Plain is unknown; allowed are bytes, str"),
    "a-class-in-a-list": (list[Plain], r"an event cannot become list\[.*Plain\]: Plain is unknown"),
    "a-class-in-a-union": (Plain | None, "Plain is unknown"),
    "a-class-in-a-tuple": (tuple[int, Plain], "Plain is unknown"),
    "a-class-in-a-dict": (dict[str, Plain], "Plain is unknown"),
    "a-callable": (Callable[[], int], "is unknown"),
    "a-number": (3, "an event cannot become 3: "),
    "a-name": ("dict", "an event cannot become dict: "),
    "two-untagged-structs-in-a-field": (Doubtful, "cannot become Doubtful: .*must be tagged"),
    "pydantics-dataclass-in-a-struct": (
        Crate,
        "Crate.parcel: a dataclass of pydantic's is not checked .* make Parcel a pydantic.BaseMod",
    ),
    "pydantics-constraint-in-a-struct": (
        list[Bounded],
        r"Bounded.size: FieldInfo is checked by pydantic alone: say msgspec.Meta\(...\)",
    ),
    "a-converter-of-attrs": (Converted, r"Converted.size: the converter of attrs' is not heeded"),
    "an-alias-of-attrs": (list[Aliased], r"Aliased.size: the alias of attrs' is not heeded"),
    "a-field-of-nowhere": (Unresolved, "an event cannot become Unresolved: .*Nowhere"),
    "a-pydantic-field-of-nowhere": (Unready, "an event cannot become Unready: .*not fully defined"),
    "a-missing-module": (
        Needy,
        "Needy needs no_such_module, which is missing: pip install no_such_",
    ),
}


@pytest.mark.parametrize(("annotation", "message"), UNDECODABLE.values(), ids=UNDECODABLE)
def test_undecodable(annotation: Any, message: str) -> None:
    """An annotation that nothing can decode is refused at load, by name."""
    with pytest.raises(TypeError, match=message):
        decoder(annotation)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)


JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))


built = cache(decoder)


ANNOTATIONS = [
    str,
    dict,
    list,
    Any,
    int,
    Tree,
    Cat | Dog,
    Order,
    Row,
    Model,
    list[Model],
    Folder,
    Parcel | None,
    CloudEvent[Parcel],
    Item | Tree | Row,
]


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=lambda a: getattr(a, "__name__", str(a)))
@settings(max_examples=settings().max_examples // 8)  # each of the many kinds of types has its own
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body(annotation: Any, body: bytes) -> None:
    """Any body at all is a value or InvalidEvent, and nothing else."""
    with contextlib.suppress(InvalidEvent):
        built(annotation)(body)
