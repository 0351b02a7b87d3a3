"""Names and values of any kind, as lines carry them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.context.call import Context
from service.context.plain import (
    MASK,
    MAX_NAME,
    MAX_TEXT,
    is_credential,
    plain_fields,
    plain_value,
)


class Mute:
    """A value that has no text."""

    def __str__(self) -> str:
        raise ValueError("not to be shown")

    __repr__ = __str__


class MuteText(str):
    """Text whose methods fail."""

    __slots__ = ()

    def __str__(self) -> str:
        raise ValueError

    __repr__ = __len__ = __str__  # type: ignore[assignment] # that is what is tested


class Endless:
    """A value whose text never ends by itself."""

    def __str__(self) -> str:
        return f"<{self}>"


def holding_itself() -> Any:
    """A mapping and a list that hold each other."""
    value: dict[str, Any] = {"items": []}
    value["items"].append(value)
    return value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, 7),
        (0.5, 0.5),
        (True, True),
        (None, None),
        ("text", "text"),
        ([1, (2, None)], [1, [2, None]]),
        ({"a": {1: "b"}}, {"a": {"1": "b"}}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (math.nan, "nan"),
        ([math.inf], ["inf"]),
        (10**30, "1" + "0" * 30),
        (b"\xff", "b'\\xff'"),
        ({3}, "{3}"),
        (ValueError("why"), "why"),
        (Mute(), "<Mute without text: ValueError>"),
        ([Mute()], ["<Mute without text: ValueError>"]),
        (MuteText("text"), "text"),
        (Endless(), "<Endless without text: RecursionError>"),
        (10**5000, "<int without text: ValueError>"),
        (Context({"x-fc-access-key-id": "id"}, "r1").credentials, "Credentials(***)"),
        (Context({"x-fc-access-key-id": "id"}, "r1").credentials.to_json(), "{***}"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_plain_json_or_text(value: object, shown: object) -> None:
    """What JSON has stays what it is, also within others; anything else is its text, or a note that
    it has none.
    """
    assert plain_value("name", value) == shown


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1_000_000,
        ["x" * 1_000] * 1_000,
        {str(number): number for number in range(10_000)},
        list(range(1_000_000)),
        holding_itself(),
        "\x01" * 1_000_000,
    ],
    ids=["text", "texts", "mapping", "list", "itself", "control"],
)
def test_what_is_long_or_without_end_is_cut_and_says_so(value: object) -> None:
    """A value of 1 MB, and one that holds itself, take a few KB."""
    shown = plain_value("name", value)
    written = orjson.dumps(shown)
    assert len(written) < MAX_TEXT * 7
    assert b"cut: " in written or b'"..."' in written


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *((name, True) for name in ("password", "db_passwd", "PWD", "apiKey", "api-key")),
        *((name, True) for name in ("x-fc-security-token", "accessKeyId", "Authorization")),
        *((name, True) for name in ("client_secret", "set-cookie", "token", "credentials")),
        *((name, False) for name in ("key", "object_key", "tokens", "token_count", "keyboard")),
        *((name, False) for name in ("order_id", "author", "", "pass")),
    ],
)
def test_a_credentials_name_is_known(name: str, is_one: bool) -> None:
    """In any spelling; an object's key and a model's tokens are none."""
    assert is_credential(name) is is_one


def test_a_credential_is_masked_at_any_depth() -> None:
    """Its value is not looked at."""
    fields = {"token": Mute(), "headers": [{"Authorization": "Bearer x", "host": "y"}]}
    assert plain_fields(fields) == {
        "token": MASK,
        "headers": [{"Authorization": MASK, "host": "y"}],
    }


def test_names_stay_two_if_they_are_cut_to_the_same() -> None:
    """No field takes another one's place."""
    first, second = "n" * 200 + "1", "n" * 200 + "2"
    shown = plain_fields({first: 1, second: 2})
    assert list(shown.values()) == [1, 2]
    assert all(len(name) < MAX_NAME + 40 for name in shown)


CHANGES: list[Callable[[], Any]] = [Mute, lambda: MuteText("x"), Endless, holding_itself]
ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters()),
        st.binary(),
        st.dates(),
        st.decimals(),
        st.sampled_from(CHANGES).map(lambda make: make()),
    ),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=10,
)


@settings(max_examples=settings().max_examples // 2)  # an example of it is large
@given(st.dictionaries(st.text(st.characters()), ANYTHING))
def test_nothing_fails(fields: dict[str, Any]) -> None:
    """Whatever the values are, each name has one that JSON can hold."""
    shown = plain_fields(fields)
    assert len(shown) == len(fields)
    text = repr(shown).encode("utf-8", "backslashreplace")
    assert len(text) < 100_000
