"""A row of the table of settings: a name, a default, and what it is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from .kinds import Kind

T = TypeVar("T")

PREFIX = "SERVICE_"
"""What a setting's name begins with in the environment."""


class Row(msgspec.Struct, frozen=True):
    """A row of the table: a setting's name, its default, what it takes, and what it is for."""

    name: str
    default: Any
    group: str
    kind: Kind
    help: str
    computed: str

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def default_text(self) -> str:
        """The default, in words where it is worked out."""
        return self.computed or self.kind.write(self.default)


Rows = Mapping[str, Row]
"""The table of settings, by name."""


class RowsInOrder:
    """Notes the rows of a table as the fields of its class are written down."""

    def __init__(self) -> None:
        self._said: list[tuple[Any, str, Kind, str, str]] = []

    def row(self, group: str, default: T, kind: Kind, help: str, computed: str = "") -> T:
        """Return the default of a field; `computed` says it in words if it is no fixed value."""
        self._said.append((default, group, kind, help, computed))
        return default

    def named(self, names: Iterable[str]) -> Rows:
        """Return the rows. `names` are those of the fields, of which the first ones have rows."""
        return {name: Row(name, *said) for name, said in zip(names, self._said, strict=False)}
