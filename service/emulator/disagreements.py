"""Where a function's `s.yaml` and the settings of this service disagree (docs/deployment.md, "What
has to agree"). Each is played as it is written.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from ..errors import StartError
from ..names import COMMAND, NAME, SHORT
from ..protocol import HOOK_NAMES
from ..settings.flags import add_setting_flags
from ..settings.load import Loaded, load_settings
from ..settings.table import ROWS, Settings
from .account import Account
from .instances.contract import environment
from .spec.model import DeployedFunction
from .spec.sessions import SessionAffinity

MEGABYTE = 1024**2


def disagreements(function: DeployedFunction) -> Iterator[str]:
    """Yield a sentence for each, with both values and what happens.

    What the service has by default counts if the function's command runs the service. Behind
    another one, a script for example, only what a variable of the service says is known to be
    meant.
    """
    ours = service_flags(function.command)
    try:
        loaded = settings_on_instance(function)
    except StartError:  # the service says it itself, at its start
        return
    for name, platform, what in compared_settings(function, loaded.settings):
        if ours is not None or loaded.sources[name] == f"environment {ROWS[name].variable}":
            yield f"{function.name}: {platform}, {setting_said(name, loaded)}: {what}"
    if ours is not None:
        for _hook, what in hooks_not_run(function, loaded.settings):
            yield f"{function.name}: {what}"


def settings_on_instance(function: DeployedFunction) -> Loaded:
    """Return the settings that the service has on an instance of a function. Raises StartError for
    those that it refuses.
    """
    variables = environment(
        function, "", function.port, Account(), home="/", temporary="/tmp", desk={}
    )
    return load_settings(service_flags(function.command) or {}, variables, function.code)


def hooks_not_run(function: DeployedFunction, mine: Settings) -> Iterator[tuple[str, str]]:
    """Yield each hook that the file names and the service does not find, with a sentence: a custom
    runtime is told when to run a hook, not which (docs/platform.md section 1.1).
    """
    configured = {
        "initializer": ("initializer", function.initializer),
        "pre_stop": ("preStop", function.pre_stop),
    }
    for setting, (hook, named) in configured.items():
        unset = getattr(mine, setting) is None
        if named and unset and re.split(r"[.:]", named)[-1] not in HOOK_NAMES[setting]:
            found = " or ".join(HOOK_NAMES[setting])
            yield (
                hook,
                f"{hook}.handler is {named}, {ROWS[setting].variable} is not set:"
                f" the service runs {found} of the handler's module, if it is there, and not"
                f" {named}",
            )


def service_flags(command: Sequence[str]) -> dict[str, object] | None:
    """Return the service's flags in a command, None if the command does not run it."""
    place = _end_of_start(command)
    if place is None:
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_setting_flags(parser)
    try:
        return vars(parser.parse_known_args(command[place:])[0])
    except argparse.ArgumentError:  # the service says it itself
        return None


def _end_of_start(command: Sequence[str]) -> int | None:
    """Return where the service's arguments begin in a command, None if it does not run it."""
    if PurePath(command[0]).name == COMMAND:
        return 1
    for place in range(len(command) - 1):
        if command[place] == "-m" and command[place + 1] in (NAME, SHORT):
            return place + 2
    return None


def compared_settings(function: DeployedFunction, mine: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield setting, the platform's value in words, and what happens, if the two disagree."""
    calls = f"instanceConcurrency is {function.concurrency}"
    if function.sessions is not None:
        calls += ", which session affinity sets"
        yield from _sessions(function.sessions, mine)
    if mine.concurrency < function.concurrency:
        what = "further calls wait in the instance, and are refused (429) when its queue is full"
        yield "concurrency", calls, what
    if mine.concurrency > function.concurrency:
        yield "concurrency", calls, "an instance is sent fewer calls than it could take"
    if mine.port != function.port:
        what = "the service does not listen where the platform connects, and no instance starts"
        yield "port", f"the port is {function.port}", what
    limit = function.initializer_timeout
    if limit is not None and mine.initialize_timeout >= limit:
        what = "the platform gives up before the service can say why"
        yield "initialize_timeout", f"initializer.timeout is {limit:g}", what
    limit = function.pre_stop_timeout
    if limit is not None and mine.drain_timeout >= limit:
        what = (
            "the platform may end the instance before its calls are finished and pre_stop has run"
        )
        yield "drain_timeout", f"preStop.timeout is {limit:g}", what
    if mine.body_budget > function.memory * MEGABYTE // 2:
        what = "events that are held together may take more than half of it"
        yield "body_budget", f"memorySize is {function.memory} MB", what


def _sessions(affinity: SessionAffinity, mine: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield what does not fit a function's session affinity."""
    header, told = affinity.header, f"sessions come in the {affinity.field}"
    if header.lower() != (mine.session_header or "").lower():
        yield "session_header", told, "context.session_id does not have them"
    if mine.workers != 1:
        yield "workers", told, "a session's calls go to any of them"


def setting_said(name: str, loaded: Loaded) -> str:
    """Return a setting's value, and where it was said."""
    source, row = loaded.sources[name], ROWS[name]
    value = row.kind.write(getattr(loaded.settings, name))
    if source == f"environment {row.variable}":
        return f"{row.variable} is {value}"
    return f"the service's {name} is {value} ({source})"
