"""The settings as flags of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from .kinds import GIB, ON, Kind, fraction, size, typed, whole
from .rows import Row
from .sources import SOURCE_OPTIONS
from .table import ROWS


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """Add one flag for each setting, and the two that say where the settings' files are.

    A flag that is not given leaves nothing in the namespace: `vars(args)` is what `load` takes.
    They are told by `--help-settings`, and not by `--help`, where they would hide the few flags of
    the command's own.
    """
    _add_all(parser, _Untold)


class HelpSettings(argparse.Action):
    """Prints what `add_setting_flags` has added, and ends the program: `--help-settings`."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        """Print them, in the form of a help."""
        print(settings_help(parser.prog), end="")  # noqa: T201 - as argparse prints its own
        parser.exit()


def settings_help(program: str) -> str:
    """Return what there is to know of each setting."""
    parser = argparse.ArgumentParser(
        usage=f"{program} [SETTING ...]",
        description="Each can also stand in config/service.toml, or in the environment as"
        " SERVICE_<NAME>; a flag stands above both. --show-config tells what each is.",
        add_help=False,
    )
    tell_setting_flags(parser)
    return parser.format_help()


def tell_setting_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags in their groups, each with its help."""
    _add_all(parser, lambda parser, title: parser.add_argument_group(title))


class _Untold:
    """In the place of a group of flags: they are added, and the help does not tell them."""

    def __init__(self, parser: argparse.ArgumentParser, _: str) -> None:
        self._parser = parser

    def add_argument(self, *names: str, **options: Any) -> None:
        """Add a flag without its help."""
        self._parser.add_argument(*names, **options | {"help": argparse.SUPPRESS})


def _add_all(parser: argparse.ArgumentParser, group_of: Callable[..., Any]) -> None:
    where = group_of(parser, "Files")
    for name, (metavar, help) in SOURCE_OPTIONS.items():
        where.add_argument(f"--{name}", default=argparse.SUPPRESS, metavar=metavar, help=help)
    groups: dict[str, Any] = {}
    for row in ROWS.values():
        if row.group not in groups:
            groups[row.group] = group_of(parser, row.group)
        add_flag(groups[row.group], row)


def add_record_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of recordings. They are no settings: no variable has a service write events to
    a disk.
    """
    group = parser.add_argument_group("Recording")
    group.add_argument(
        "--record",
        metavar="DIR",
        help="write each call's event, headers, result and log lines into DIR, for `invoke --replay"
        " DIR`; credentials are replaced",
    )
    group.add_argument(
        "--record-rate",
        type=_value_of(fraction()),
        default=1.0,
        metavar="SHARE",
        help="record such a share of the calls [0-1; default: 1]",
    )
    group.add_argument(
        "--record-bytes",
        type=_value_of(size(1024 * GIB)),
        default="256MiB",
        metavar="SIZE",
        help="stop to record when DIR has so many bytes [default: 256MiB]",
    )


def add_console_places(parser: argparse.ArgumentParser, beside: str) -> None:
    """Add the flags that say where the console is and what opens it; its port is by default the one
    after that of `beside`.
    """
    parser.add_argument(
        "--console-port",
        type=_value_of(whole(0, 65_535)),
        metavar="PORT",
        help=f"the console's port, 0 for any that is free [default: the one after {beside}]",
    )
    parser.add_argument(
        "--console-host",
        default="127.0.0.1",
        metavar="HOST",
        help="the console's address; one that others can reach needs --console-token"
        " [default: 127.0.0.1]",
    )
    parser.add_argument(
        "--console-token",
        metavar="TEXT",
        help="what opens the console [default: a random one, kept in .emulator/console-token]",
    )


def _value_of(kind: Kind) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return kind.read(typed(text))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {kind.allowed}") from None

    return read


def flags_with_value() -> set[str]:
    """Return the flags that are followed by a value."""
    switches = {row.flag for row in ROWS.values() if row.kind is ON}
    return (
        {row.flag for row in ROWS.values()} | {f"--{name}" for name in SOURCE_OPTIONS}
    ) - switches


def add_flag(group: Any, row: Row) -> None:
    """Add one setting's flag; a switch gets a second one that turns it off."""
    help = f"{row.help} [default: {row.default_text}]"
    if row.kind is ON:
        action = argparse.BooleanOptionalAction
        group.add_argument(row.flag, action=action, default=argparse.SUPPRESS, help=help)
    else:
        help = f"{row.help} [{row.kind.allowed}; default: {row.default_text}]"
        metavar = row.kind.metavar
        group.add_argument(row.flag, default=argparse.SUPPRESS, metavar=metavar, help=help)
