"""What stands between `${` and `}`."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.emulator.spec.expressions import (
    CallExpression,
    Expression,
    Literal,
    Named,
    parse_expression,
)

EXPRESSIONS: dict[str, Expression] = {
    "vars.region": Named(("vars", "region")),
    " vars.my-fn.x ": Named(("vars", "my-fn", "x")),
    "vars.list.0": Named(("vars", "list", "0")),
    "vars.list[0].x": Named(("vars", "list", "0", "x")),
    "cwd": Named(("cwd",)),
    "env('A')": CallExpression("env", (Literal("A"),)),
    'env("A")': CallExpression("env", (Literal("A"),)),
    "env(A)": CallExpression("env", (Literal("A"),)),
    "env(A, B)": CallExpression("env", (Literal("A, B"),)),
    "path(./code)": CallExpression("path", (Literal("./code"),)),
    "env()": CallExpression("env", ()),
    "env('A', vars.x)": CallExpression("env", (Literal("A"), Named(("vars", "x")))),
    "env('A', vars.list[1])": CallExpression("env", (Literal("A"), Named(("vars", "list", "1")))),
    "env('A', vars['my key'].x)": CallExpression(
        "env", (Literal("A"), Named(("vars", "my key", "x")))
    ),
    "env('A', 60)": CallExpression("env", (Literal("A"), Literal(60))),
    "env('A', -0.5)": CallExpression("env", (Literal("A"), Literal(-0.5))),
    "env('A', true)": CallExpression("env", (Literal("A"), Literal(True))),
    "env('A', null)": CallExpression("env", (Literal("A"), Literal(None))),
    "env('A', 'b, c)')": CallExpression("env", (Literal("A"), Literal("b, c)"))),
    "env('A', 'it\\'s\\n')": CallExpression("env", (Literal("A"), Literal("it's\n"))),
    "yaml(file('./x'))": CallExpression("yaml", (CallExpression("file", (Literal("./x"),)),)),
    "base64('x')": CallExpression("base64", (Literal("x"),)),
}


@pytest.mark.parametrize(("code", "expression"), EXPRESSIONS.items(), ids=[*EXPRESSIONS])
def test_paths_and_calls_are_read(code: str, expression: Expression) -> None:
    """As Serverless Devs reads them."""
    assert parse_expression(code) == expression


NONE = [
    "a b",
    "a..b",
    "vars.x || 'y'",
    "env('A') || 'y'",
    "env('A').trim()",
    "env('A' 'B')",
    "env('A',",
    "env('A', vars[x])",
    "env('A', vars.)",
    "'text'",
    "(env('A'))",
    "env('A', `x`)",
]


@pytest.mark.parametrize("code", NONE)
def test_other_javascript_is_none_of_it(code: str) -> None:
    """Nothing is run, so what would have to be run is refused."""
    with pytest.raises(ValueError, match=f"^{re.escape(code)}$"):
        parse_expression(code)


@settings(max_examples=200)
@given(code=st.text("env('A').[]vars,0\"\\ x-", max_size=20))
def test_any_text_is_an_expression_or_none(code: str) -> None:
    """No text brings anything but a ValueError."""
    with suppress(ValueError):
        assert isinstance(parse_expression(code), Literal | Named | CallExpression)
