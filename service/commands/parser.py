"""The arguments of the command line: which command they name, its flags, and the help."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from .. import __version__
from ..errors import UsageError
from ..settings.flags import HelpSettings, add_setting_flags, flags_with_value

INSTALLED = "fc-event-service"
PROGRAM = INSTALLED if os.path.basename(sys.argv[0]) == INSTALLED else "python -m service"
"""The command as it was started."""

COMMANDS = {
    "serve": "serve the handler (what is done when no command is named)",
    "invoke": "call the handler once: result on stdout, log on stderr",
    "event": "list the sample events, or print one",
    "watch": "show a running service's calls as a table",
    "new": "write a new function's project, or one from a built-in runtime's",
    "check": "tell what of s.yaml, settings, code and lock fits, and what does not",
    "size": "measure the handler: how many calls at once, how much memory and CPU",
    "bundle": "make the code package: the function, its packages for the runtime, and its start",
    "emulate": "play Function Compute for the functions of s.yaml",
}
EXAMPLES = f"""\
examples:
  {PROGRAM}                              serve index.py's handler on port 9000
  {PROGRAM} --handler app.main --reload  serve app.py's main, anew after each change
  {PROGRAM} new my-function              write a new function's project
  {PROGRAM} invoke --event '{{"name":"x"}}'  call the handler once, without a server
  {PROGRAM} invoke @oss.put              the same with a trigger's sample event
  {PROGRAM} event                        the sample events
  {PROGRAM} --show-config                each setting, its value, and where it came from

Each setting can also stand in config/service.toml, or in the environment as SERVICE_<NAME>.
Exit codes: 0 stopped, 1 function error (invoke), 2 wrong usage or settings, 3 could not start,
130 or 143 invoke was stopped by SIGINT or SIGTERM; serve was, by a second one.
"""

AddFlags = Callable[[argparse.ArgumentParser], None]


def split_command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the command, "serve" if none is named, and the arguments without it.

    Options may stand before it. Raises UsageError for a word that is no command.
    """
    takes_value = flags_with_value()
    value_follows = False
    for place, argument in enumerate(arguments):
        if value_follows or argument.startswith("-"):
            value_follows = not value_follows and argument in takes_value
        elif argument in COMMANDS:
            return argument, [*arguments[:place], *arguments[place + 1 :]]
        elif place and "=" not in (before := arguments[place - 1]) and before.startswith("-"):
            continue  # of an option that only its command knows
        else:
            raise _no_command(argument)
    return "serve", list(arguments)


def _no_command(word: str) -> UsageError:
    import difflib  # after a mistake only

    near = difflib.get_close_matches(word, COMMANDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
    return UsageError(f"{word[:80]!r} is no command; {hint}")


def parser_of(command: str, add_flags: AddFlags) -> argparse.ArgumentParser:
    """Return the parser of a command, whose own flags `add_flags` adds."""
    whole = command == "serve"
    parser = CommandParser(
        prog=PROGRAM if whole else f"{PROGRAM} {command}",
        description=_all_commands() if whole else f"{COMMANDS[command].capitalize()}.",
        epilog=EXAMPLES if whole else f"{PROGRAM} --help lists all commands.",
        formatter_class=TerminalWide,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fc-event-service {__version__}")
    add_flags(parser)
    return parser


class CommandParser(argparse.ArgumentParser):
    """Has its flags in a group of its own. For one that is added to the parser itself argparse
    makes what writes the help, and on Python 3.14 imports what colours it: 5 ms of each start.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(add_help=False, **options)
        self._options = self.add_argument_group("options")
        self.add_argument("-h", "--help", action="help", help="show this help message and exit")

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """Add a flag, or what has no dash before its name."""
        if names[0].startswith("-"):
            return self._options.add_argument(*names, **options)
        return super().add_argument(*names, **options)


class TerminalWide(argparse.RawDescriptionHelpFormatter):
    """Writes the help as wide as the terminal is.

    argparse would import `shutil` for the width, which imports all that unpacks archives: 0.3 MB
    that no service needs.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns() - 2)


def columns() -> int:
    """Return how many characters a line of the terminal has, as `shutil.get_terminal_size` does."""
    with suppress(KeyError, ValueError):
        if (said := int(os.environ["COLUMNS"])) > 0:
            return said
    with suppress(AttributeError, ValueError, OSError):  # there is no stdout, or no terminal
        stdout: Any = sys.__stdout__
        return os.get_terminal_size(stdout.fileno()).columns or 80
    return 80


def _all_commands() -> str:
    commands = "\n".join(f"  {name:8} {what}" for name, what in COMMANDS.items())
    return (
        "Serves an event function of Alibaba Cloud Function Compute, many calls at once.\n\n"
        f"commands:\n{commands}\n\n{PROGRAM} COMMAND --help tells more of each."
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting, and the one that prints them."""
    parser.add_argument(
        "--show-config", action="store_true", help="print each setting, its value and its source"
    )
    parser.add_argument(
        "--help-settings",
        action=HelpSettings,
        help="tell the service's settings, which are flags, too",
    )
    add_setting_flags(parser)
