"""What may stand between `${` and `}`: a path such as `vars.region`, or a call such as
`env('NAME', vars.other)`.

Serverless Devs runs a call as JavaScript. Of that, calls, paths and plain values are read here, and
nothing is run. If no argument is quoted, all between the brackets is one text: `path(./code)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CALL = re.compile(r"[A-Za-z_]\w*\(.*\)", re.DOTALL)
_QUOTED = re.compile(r"'.+'|\".+\"", re.DOTALL)
_BARE = re.compile(r"([A-Za-z_]\w*)\((.*)\)", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])"""
    r"""|(?P<name>[A-Za-z_$][\w$-]*)|(?P<sign>[()\[\],.])|(?P<end>\Z))""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None, "undefined": None}


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is written as it is."""

    value: object


@dataclass(frozen=True, slots=True)
class Named:
    """A value that stands elsewhere: `vars.list.0` is ("vars", "list", "0")."""

    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallExpression:
    """A function with its arguments."""

    name: str
    arguments: tuple[Expression, ...]


Expression = Literal | Named | CallExpression


def parse_expression(code: str) -> Expression:
    """Return what is meant by the code. Raises ValueError if it is none of the above."""
    code = code.strip()
    if _CALL.fullmatch(code):
        bare = _BARE.fullmatch(code)
        if bare and not _QUOTED.search(code):
            return CallExpression(bare[1], (Literal(bare[2].strip()),) if bare[2].strip() else ())
        return _Parser(code).whole()
    steps = tuple(code.replace("[", ".").replace("]", "").split("."))
    if not all(re.fullmatch(r"[\w$-]+", step) for step in steps):
        raise ValueError(code)
    return Named(steps)


class _Parser:
    """Reads an expression's tokens from the left to the right."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._place = 0
        self._kind = self._value = ""
        self._forward()

    def whole(self) -> Expression:
        """Return the expression that all of the code is."""
        found = self._expression()
        if self._kind != "end":
            raise ValueError(self._code)
        return found

    def _forward(self) -> None:
        token = _TOKEN.match(self._code, self._place)
        if token is None or token.lastgroup is None:
            raise ValueError(self._code)
        self._kind, self._value = token.lastgroup, token[token.lastgroup]
        self._place = token.end()

    def _take(self, kind: str) -> str:
        if self._kind != kind:
            raise ValueError(self._code)
        value = self._value
        self._forward()
        return value

    def _sign(self, sign: str) -> bool:
        found = self._kind == "sign" and self._value == sign
        if found:
            self._forward()
        return found

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise ValueError(self._code)

    def _expression(self) -> Expression:
        if self._kind == "text":
            return Literal(_ESCAPE.sub(_unescaped, self._take("text")[1:-1]))
        if self._kind == "number":
            text = self._take("number")
            return Literal(float(text) if "." in text else int(text))
        name = self._take("name")
        if self._sign("("):
            return CallExpression(name, self._arguments())
        if name in _WORDS:
            return Literal(_WORDS[name])
        return Named((name, *self._steps()))

    def _arguments(self) -> tuple[Expression, ...]:
        found: list[Expression] = []
        while not self._sign(")"):
            if found:
                self._expect(",")
            found.append(self._expression())
        return tuple(found)

    def _steps(self) -> list[str]:
        found = []
        while self._kind == "sign" and self._value in ".[":
            if self._sign("."):
                found.append(self._take("name" if self._kind == "name" else "number"))
            else:
                self._forward()
                step = self._expression()
                if not isinstance(step, Literal):
                    raise ValueError(self._code)
                found.append(str(step.value))
                self._expect("]")
        return found


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[1])
