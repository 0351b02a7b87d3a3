"""The console's part of `python -m service emulate`: its flags, and how long it is open."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ... import __version__
from ...console.opening import served_console
from ...console.places import TOKEN_FILE, ConsoleFlags, console_places
from ...settings.flags import add_console_places
from .emulator_source import EmulatorSource
from .recorder import Recorder


def add_console_flags(parser: argparse.ArgumentParser) -> None:
    """Add the console's flags."""
    parser.add_argument("--no-console", action="store_true", help="open no console")
    add_console_places(parser, "the API's")


def console_flags(flags: argparse.Namespace) -> ConsoleFlags | None:
    """Return what the command line says, None for no console. Raises UsageError."""
    return None if flags.no_console else console_places(flags, flags.port, flags.allow_host)


@asynccontextmanager
async def opened_console(
    source: EmulatorSource, recorder: Recorder, flags: ConsoleFlags, state: Path
) -> AsyncIterator[str]:
    """Serve the console meanwhile; the value is the address that opens it. The token is kept beside
    the file `state` unless it was given. Raises StartError if a port that the user named cannot be
    had.
    """
    token_file = state.parent / TOKEN_FILE.name
    async with served_console(source, flags, token_file, __version__) as (server, address):
        recorder.wake = server.hub.wake
        try:
            yield address
        finally:
            recorder.wake = _nobody
            await source.stop()


def _nobody() -> None:
    """Wake nobody: the console is closed."""
