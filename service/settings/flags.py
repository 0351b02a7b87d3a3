"""The settings as flags of the command line."""

from __future__ import annotations

import argparse

from .kinds import ON
from .rows import Row
from .sources import SOURCE_OPTIONS
from .table import ROWS


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """Add one flag for each setting, and the two that say where the settings' files are.

    A flag that is not given leaves nothing in the namespace: `vars(args)` is what `load` takes.
    """
    where = parser.add_argument_group("Files")
    for name, (metavar, help) in SOURCE_OPTIONS.items():
        where.add_argument(f"--{name}", default=argparse.SUPPRESS, metavar=metavar, help=help)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for row in ROWS.values():
        if row.group not in groups:
            groups[row.group] = parser.add_argument_group(row.group)
        add_flag(groups[row.group], row)


def flags_with_value() -> set[str]:
    """Return the flags that are followed by a value."""
    switches = {row.flag for row in ROWS.values() if row.kind is ON}
    return (
        {row.flag for row in ROWS.values()} | {f"--{name}" for name in SOURCE_OPTIONS}
    ) - switches


def add_flag(group: argparse._ArgumentGroup, row: Row) -> None:
    """Add one setting's flag; a switch gets a second one that turns it off."""
    help = f"{row.help} [default: {row.default_text}]"
    if row.kind is ON:
        action = argparse.BooleanOptionalAction
        group.add_argument(row.flag, action=action, default=argparse.SUPPRESS, help=help)
    else:
        help = f"{row.help} [{row.kind.allowed}; default: {row.default_text}]"
        metavar = row.kind.metavar
        group.add_argument(row.flag, default=argparse.SUPPRESS, metavar=metavar, help=help)
