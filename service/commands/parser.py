"""The arguments of the command line: which command they name, its flags, and the help."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from .. import __version__
from ..errors import UsageError
from ..settings.flags import add_setting_flags, flags_with_value

INSTALLED = "fc-event-service"
PROGRAM = INSTALLED if os.path.basename(sys.argv[0]) == INSTALLED else "python -m service"
"""The command as it was started."""

COMMANDS = {
    "serve": "serve the handler (what is done when no command is named)",
    "invoke": "call the handler once: result on stdout, log on stderr",
    "event": "list the sample events, or print one",
    "watch": "show a running service's calls as a table",
    "emulate": "play Function Compute for the functions of s.yaml",
}
EXAMPLES = f"""\
examples:
  {PROGRAM}                              serve index.py's handler on port 9000
  {PROGRAM} --handler app.main --reload  serve app.py's main, anew after each change
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
    commands = "\n".join(f"  {name:8} {what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=PROGRAM if command == "serve" else f"{PROGRAM} {command}",
        description="Serves an event function of Alibaba Cloud Function Compute,"
        f" many calls at once.\n\ncommands:\n{commands}\n\n"
        f"{PROGRAM} COMMAND --help tells more of each.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fc-event-service {__version__}")
    add_flags(parser)
    return parser


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting, and the one that prints them."""
    parser.add_argument(
        "--show-config", action="store_true", help="print each setting, its value and its source"
    )
    add_setting_flags(parser)
