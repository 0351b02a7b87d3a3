"""One place in a function's code that many calls at once meet, and what to do about it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Literal

Level = Literal["breaks", "may break", "fine"]

WILL_BREAK: Level = "breaks"
MAY_BREAK: Level = "may break"
FINE: Level = "fine"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A line of a function's code: `what` can happen if calls run at the same time, and `advice`.

    `level` is "breaks" for what goes wrong as soon as two calls meet, "may break" for what depends
    on more than the line tells, and "fine" for what was looked at and is safe.
    """

    file: str
    line: int
    rule: str
    level: Level
    what: str
    advice: str

    @property
    def place(self) -> str:
        """The file and line, as editors and terminals make a link of it."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Risk:
    """What a table of this wing says of a name: a finding that has no place yet."""

    rule: str
    level: Level
    what: str
    advice: str

    def at(self, file: str, node: ast.stmt | ast.expr) -> Finding:
        """Return the finding at a node of a file."""
        return Finding(file, node.lineno, self.rule, self.level, self.what, self.advice)
