"""The commands that need no settings of the service, each imported when it runs."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

from .parser import AddFlags

PLAIN_COMMANDS = {
    "size": ".size:size_function",
    "event": ".event:print_event",
    "watch": ".watch:watch",
    "new": ".new:write_new",
    "check": ".check:check_deployment",
    "bundle": ".bundle:make_bundle",
    "emulate": "..emulator.command:emulate",
}
"""Commands that need no settings of the service: the module, which has `add_flags`, and in it the
function that runs with the flags and the working folder, and returns the exit code.
"""


def plain_command(command: str) -> tuple[AddFlags, Callable[[argparse.Namespace, Path], int]]:
    """Return what adds the flags of one of PLAIN_COMMANDS, and what runs it; nothing else is
    imported.
    """
    home, _, name = PLAIN_COMMANDS[command].partition(":")
    module = importlib.import_module(home, __package__)
    return module.add_flags, getattr(module, name)
