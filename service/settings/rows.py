"""A row of the table of settings: a name, a default, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
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


def row(group: str, default: T, kind: Kind, help: str, computed: str = "") -> T:
    """Return a field of `Settings`; `computed` is the default in words if it is no fixed value."""
    metadata = {"group": group, "kind": kind, "help": help, "computed": computed}
    return field(default=default, metadata=metadata)


Rows = Mapping[str, Row]
"""The table of settings, by name."""
