"""What becomes of a result, and what is told of one that cannot become bytes."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import json
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Annotated, Any, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import orjson
import pydantic
import pydantic.dataclasses
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.calls.decode import decoder
from service.calls.encode import encode
from service.errors import UnserializableResult

SECRET = "hunter2"


ID = UUID(int=7)


BIG = 2**80


class Colour(enum.Enum):
    RED = "red"
    MANY = (1, 2)
    HUGE = BIG


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Point(NamedTuple):
    x: int
    y: Any


class Item(msgspec.Struct, rename="camel"):
    item_name: str
    price: Any = None


class Cat(msgspec.Struct, tag=True):
    name: str


class Tree(msgspec.Struct):
    value: int
    children: list[Tree] = []


@dataclasses.dataclass
class Order:
    number: int
    _note: Any = None


class Row(TypedDict):
    a: int


class Model(pydantic.BaseModel):
    a: int
    at: datetime | None = None


@pydantic.dataclasses.dataclass
class Parcel:
    weight: Annotated[int, pydantic.Field(gt=0)]


class Plain:
    """A class that nothing can decode or encode."""


class Asked:
    """An object with `to_json`."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def to_json(self) -> Any:
        return self.answer


class Failing:
    def to_json(self) -> Any:
        raise KeyError(SECRET)


class Measure(pydantic.BaseModel):
    size: float | None = None
    notes: dict[str, Any] = {}


class NaT(datetime):
    """What pandas' NaT is: a datetime that is not equal to itself."""

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = datetime.__hash__

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return "NaT"


NOT_A_TIME = NaT(2026, 1, 1)


class generic:  # numpy's own name
    """A number of numpy's, as far as this is about it."""

    def __init__(self, value: Any, kind: str) -> None:
        self.value = value
        self.dtype = SimpleNamespace(kind=kind)

    def item(self) -> Any:
        return self.value


class numpy_bool(generic):
    __module__ = "numpy"


numpy_bool.__name__ = "bool"


def complaint(result: Any) -> str:
    with pytest.raises(UnserializableResult) as caught:
        encode(result)
    assert SECRET not in str(caught.value)
    return str(caught.value)


ENCODED: dict[str, tuple[Any, bytes]] = {
    "bytes": (b"\xff", b"\xff"),
    "bytearray": (bytearray(b"\xff"), b"\xff"),
    "memoryview": (memoryview(b"abc")[::2], b"ac"),
    "text": ("früh", "früh".encode()),
    "text-enum": (Word.YES, b"yes"),
    "none": (None, b"null"),
    "nested-none": ({"a": None, "b": [1.5, "null"]}, b'{"a":null,"b":[1.5,"null"]}'),
    "true": (True, b"true"),
    "large-int": ({"a": BIG}, b'{"a":1208925819614629174706176}'),
    "large-negative-int": ([-BIG, True, False], b"[-1208925819614629174706176,true,false]"),
    "int-of-5000-digits": (10**5000, b"1" + b"0" * 5000),
    "decimal": ({"a": Decimal("1.10")}, b'{"a":1.10}'),
    "decimal-of-many-digits": (Decimal("0." + "1" * 50), b"0." + b"1" * 50),
    "decimal-with-exponent": ([Decimal("1E+1000")], b"[1E+1000]"),
    "datetime": (datetime(2026, 1, 2, 3, 4, 5), b'"2026-01-02T03:04:05"'),
    "aware-datetime": (
        [datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=8)))],
        b'["2026-01-02T00:00:00+08:00"]',
    ),
    "subclass-of-datetime": (
        [type("Moment", (datetime,), {})(2026, 1, 2, 3)],
        b'["2026-01-02T03:00:00"]',
    ),
    "date": (date(2026, 1, 2), b'"2026-01-02"'),
    "time": (time(3, 4), b'"03:04:00"'),
    "aware-time": ([time(3, 4, tzinfo=UTC)], b'["03:04:00+00:00"]'),
    "uuid": (ID, b'"00000000-0000-0000-0000-000000000007"'),
    "enum": ([Colour.RED, Level.LOW, Word.YES], b'["red",1,"yes"]'),
    "enum-of-a-tuple": ([Colour.MANY, None], b"[[1,2],null]"),
    "enum-of-a-large-int": (
        [Colour.HUGE, Level.LOW, Word.YES],
        b'[1208925819614629174706176,1,"yes"]',
    ),
    "tuple": ((1, (2,)), b"[1,[2]]"),
    "named-tuple": ([Point(1, None)], b"[[1,null]]"),
    "subclass-of-float": ([type("Metre", (float,), {})(1.5)], b"[1.5]"),
    "dataclass": (Order(1, None), b'{"number":1,"_note":null}'),
    "dataclass-with-large-int": (
        [Order(BIG, 1.5)],
        b'[{"number":1208925819614629174706176,"_note":1.5}]',
    ),
    "pydantic-dataclass": (Parcel(3), b'{"weight":3}'),
    "typed-dict": (Row(a=1), b'{"a":1}'),
    "struct": (Item("x", Decimal("1.0")), b'{"itemName":"x","price":1.0}'),
    "tagged-struct": ([Cat("x"), None], b'[{"type":"Cat","name":"x"},null]'),
    "struct-with-large-int": (
        Item("x", BIG),
        b'{"itemName":"x","price":1208925819614629174706176}',
    ),
    "struct-with-a-time": (
        Item("x", datetime(2026, 1, 2, tzinfo=UTC)),
        b'{"itemName":"x","price":"2026-01-02T00:00:00+00:00"}',
    ),
    "struct-of-own-kinds": (Item("x", [b"a", {1}]), b'{"itemName":"x","price":["YQ==",[1]]}'),
    "struct-with-model": (Item("x", Model(a=1)), b'{"itemName":"x","price":{"a":1,"at":null}}'),
    "model": (Model(a=1), b'{"a":1,"at":null}'),
    "nested-model": ({"m": [Model(a=BIG)]}, b'{"m":[{"a":1208925819614629174706176,"at":null}]}'),
    "model-beside-large-int": ([Model(a=1), BIG], b'[{"a":1,"at":null},1208925819614629174706176]'),
    "to-json-value": (Asked({"a": Asked(1)}), b'{"a":1}'),
    "to-json-text": ([Asked('{"a":1}')], b'["{\\"a\\":1}"]'),
    "to-json-of-a-large-int": (Asked(BIG), b"1208925819614629174706176"),
    "fragment": ([orjson.Fragment(b"1 "), BIG], b"[1 ,1208925819614629174706176]"),
    "int-key": ({1: 2, -1: 3}, b'{"1":2,"-1":3}'),
    "large-int-key": ({BIG: 1}, b'{"1208925819614629174706176":1}'),
    "float-key": ({1.5: 1, 2: BIG}, b'{"1.5":1,"2":1208925819614629174706176}'),
    "bool-key": ({True: 1}, b'{"true":1}'),
    "none-key": ({None: 1}, b'{"null":1}'),
    "uuid-key": ({ID: 1, "x": BIG}, b'{"00000000-0000-0000-0000-000000000007":1,"x":%d}' % BIG),
    "datetime-key": ({datetime(2026, 1, 2): 1}, b'{"2026-01-02T00:00:00":1}'),
    "aware-time-key": ({time(1, tzinfo=UTC): 1}, b'{"01:00:00+00:00":1}'),
    "enum-key": ({Colour.RED: 1, Level.LOW: 2}, b'{"red":1,"1":2}'),
    "large-enum-key": ({Colour.HUGE: 1}, b'{"1208925819614629174706176":1}'),
    "key-to-escape": ({'"': BIG}, b'{"\\"":1208925819614629174706176}'),
    "deep": (json.loads("[" * 260 + "]" * 260), b"[" * 260 + b"]" * 260),
}


class ndarray:
    def tolist(self) -> list[int]:
        return [1]


@pytest.fixture
def numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A numpy that the function has imported."""
    monkeypatch.setitem(sys.modules, "numpy", SimpleNamespace(generic=generic))


NUMPY: dict[str, tuple[Any, bytes]] = {
    "bool": ({"ok": numpy_bool(True, "b")}, b'{"ok":true}'),
    "int": ([generic(7, "i"), generic(8, "u")], b"[7,8]"),
    "float": (generic(1.5, "f"), b"1.5"),
    "key": ({generic(7, "i"): 1}, b'{"7":1}'),
    "beside-a-large-int": ([generic(7, "i"), BIG], b"[7,1208925819614629174706176]"),
}


@pytest.mark.usefixtures("numpy")
@pytest.mark.parametrize(("result", "body"), NUMPY.values(), ids=NUMPY)
def test_numbers_of_numpy(result: Any, body: bytes) -> None:
    """A bool or a number of numpy's is what Python's own would be."""
    assert encode(result) == body


@pytest.mark.usefixtures("numpy")
def test_what_numpy_has_that_json_has_not() -> None:
    """A NaN, a time and an array of numpy's are told, by names that are not Python's own."""
    assert complaint([generic(float("nan"), "f")]).startswith("result[0]: a float that is not")
    assert complaint(numpy_bool(b"", "V")) == "result: numpy.bool cannot become JSON"
    assert complaint({"a": ndarray()}) == (
        "result.a: ndarray cannot become JSON; call its tolist()"
    )


@pytest.mark.parametrize(
    "word", ["null", "NaN and Infinity"], ids=["null-beside", "words-like-numbers"]
)
def test_a_model_that_looks_as_if(word: str) -> None:
    """A None and a text of pydantic's are no NaN."""
    body = {"size": None, "notes": {"a": word}}
    assert json.loads(encode(Measure(notes={"a": word}))) == body


@pytest.mark.parametrize(("result", "body"), ENCODED.values(), ids=ENCODED)
def test_encoded(result: Any, body: bytes) -> None:
    """A result becomes bytes: bytes and text as they are, anything else as JSON."""
    assert encode(result) == body


CYCLE: list[Any] = []
CYCLE.append({"again": CYCLE})


LOOP = Tree(1)
LOOP.children.append(LOOP)


UNENCODABLE: dict[str, tuple[Any, str]] = {
    "set": ({"items": [1, {SECRET}]}, "result.items[1]: set cannot become JSON; return a list"),
    "frozenset": (frozenset(), "result: frozenset cannot become JSON; return a list"),
    "bytes-inside": (
        [b"hunter2"],
        "result[0]: bytes cannot become JSON; return it alone, or as base",
    ),
    "object": (Plain(), "result: Plain cannot become JSON"),
    "class": ([Asked], "result[0]: type cannot become JSON"),
    "function": ({"f": complaint}, "result.f: function cannot become JSON"),
    "generator": ((x for x in "ab"), "result: generator cannot become JSON; return a list"),
    "complex": ([1j], "result[0]: complex cannot become JSON"),
    "lone-surrogate": ("\ud800", "result: a str with a lone surrogate is not Unicode text"),
    "lone-surrogate-inside": (["\ud800"], "result[0]: a str with a lone surrogate is not"),
    "lone-surrogate-key": ({"\ud800": 1}, "result: a str with a lone surrogate is not"),
    "below-a-lone-surrogate-key": ({"a": {"ü\ud800": 1}}, "result.a: a str with a lone surrogate"),
    "cycle": (CYCLE, "result: list is nested too deeply or holds itself"),
    "struct-cycle": ([LOOP], "result[0]: Tree cannot become JSON: RecursionError"),
    "nan": ({"a": [float("nan")]}, "result.a[0]: a float that is not finite has no form in JSON"),
    "infinity": (float("-inf"), "result: a float that is not finite"),
    "nan-in-a-struct": (Item("x", float("nan")), "result.price: a float that is not finite"),
    "nan-in-a-tuple": (({"a": None}, float("nan")), "result[1]: a float that is not finite"),
    "nan-in-a-model": (
        [Measure(size=float("nan"))],
        "result[0].size: a float that is not finite has no form in JSON",
    ),
    "nan-deep-in-a-model": (
        Measure(notes={"a": [1, float("inf")]}),
        "result.notes.a[1]: a float that is not finite",
    ),
    "no-time": ({"at": NOT_A_TIME}, "result.at: a NaT is no time and has no form in JSON"),
    "no-time-in-a-struct": (Item("x", NOT_A_TIME), "result: a NaT is no time"),
    "no-time-as-key": ({NOT_A_TIME: 1}, "result: a NaT is no time"),
    "nan-key": ({float("nan"): 1}, "result: a float that is not finite"),
    "decimal-nan": (
        [Decimal("sNaN")],
        "result[0]: a Decimal that is not finite has no form in JSON",
    ),
    "decimal-key": ({Decimal(1): 1}, "result: a key of type Decimal cannot become JSON text"),
    "tuple-key": ({"a": {(1, 2): 1}}, "result.a: a key of type tuple cannot become JSON text"),
    "enum-key-of-a-tuple": (
        {Colour.MANY: 1},
        "result: a key of type tuple cannot become JSON text",
    ),
    "odd-key": ({"a b": {1: set()}}, "result['a b'][1]: set cannot"),
    "huge-int-key": ({10**5000: {None: set()}}, "result[int][NoneType]: set cannot"),
    "set-in-a-dataclass": (Order(1, {1}), "result._note: set cannot become JSON; return a list"),
    "object-in-a-struct": ([Item("x", Plain())], "result[0]: Plain cannot become JSON"),
    "failing-to-json": ([Failing()], "result[0]: Failing cannot become JSON: KeyError while"),
    "to-json-of-itself": (Asked(set()), "result: set cannot become JSON"),
}


@pytest.mark.parametrize(("result", "message"), UNENCODABLE.values(), ids=UNENCODABLE)
def test_unencodable(result: Any, message: str) -> None:
    """A result that JSON has no form for is an error that names the type and where it is."""
    assert complaint(result).startswith(message)


def test_coroutine() -> None:
    """A coroutine that nobody awaited is an error that says so."""
    coroutine = asyncio.sleep(0)
    assert complaint([coroutine]) == "result[0]: coroutine cannot become JSON; await it"
    coroutine.close()


def test_cause() -> None:
    """What went wrong in a `to_json` of the user's is kept as the cause, for the log."""
    with pytest.raises(UnserializableResult) as caught:
        encode(Failing())
    assert isinstance(caught.value.__cause__, KeyError)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)


JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))


# A signaling NaN is no key: it cannot be hashed.
DECIMALS = st.decimals().filter(lambda value: not value.is_snan())


HARD = (
    LEAVES
    | st.floats()
    | st.text(st.characters())
    | DECIMALS
    | st.datetimes()
    | st.times()
    | st.uuids()
    | st.binary()
    | st.complex_numbers()
    | st.sampled_from([Colour.MANY, Colour.HUGE, Plain(), Failing(), Model(a=1), Plain, object()])
)


KEYS = (
    st.none()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.uuids()
    | DECIMALS
    | st.binary()
    | st.sampled_from(Colour)
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(KEYS, inner)
        | st.builds(Item, TEXTS, inner)
        | st.builds(Order, st.integers(), inner)
        | st.builds(Asked, inner)
    )


def checked_json(body: bytes) -> None:
    """Every JSON that comes out is JSON to the strictest reader, big numbers aside."""
    json.loads(body, parse_constant=pytest.fail)


@settings(max_examples=settings().max_examples // 3)  # an example of it is large
@given(JSON)
def test_round_trip(value: Any) -> None:
    """A JSON value survives the way out and in again, ints of any size included."""
    body = json.dumps(value) if isinstance(value, str) else encode(value).decode()
    assert decoder(Any)(body.encode()) == value


@given(st.recursive(HARD, containers))
def test_any_result(result: Any) -> None:
    """Any result at all is JSON or UnserializableResult, and nothing else."""
    try:
        body = encode([result])
    except UnserializableResult:
        return
    checked_json(body)
