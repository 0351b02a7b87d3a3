"""Every setting of the service, once: its default, what it takes, and what it is for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ..context import Platform
from ..errors import UsageError
from .kinds import GIB, MIB, ON, Knob, choice, knob, seconds, size, size_text, text, whole
from .sources import OPTIONS, Word, question, refused, shown, spoken

__all__ = ["KNOBS", "Loaded", "Settings", "add_flags", "load", "show", "size_text"]

NAME = re.compile(r"[^\s:]+[.:][^\s:]+")
ADDRESSES = re.compile(r"[^\s/]+")
BUDGET = "half of FC_FUNCTION_MEMORY_SIZE (of 512 MB when unknown), at least max_body"
UNKNOWN_MEMORY = 512
"""MB that `body_budget` reckons with where the platform does not say: its own default."""

FUNCTION, ADDRESS, LIMITS = "Function", "Address", "How many at once"
TIMES, BODIES, LOGS, PROCESS = "Time limits", "Bodies", "Logs and errors", "Process"

DOTTED = text("NAME", NAME, "module.attr or pkg.mod:attr")
HOST = text("HOST", ADDRESSES, "an address or a host name")
LEVEL = choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMAT = choice("text", "json")
LEFT = choice("wait", "warn", "cancel")
LOOP = choice("auto", "asyncio", "uvloop")
DAY = seconds(0.1, 86_400)
DAY_OR_ZERO = seconds(0, 86_400)
DAY_OR_NONE = seconds(0.1, 86_400, optional=True)


@dataclass(frozen=True, slots=True)
class Settings:
    """The table: each setting's name, type, group, default, what it takes, and what it is for.

    `queue` and `body_budget` have here the value they get when nothing at all is set.
    """

    handler: str = knob(
        FUNCTION, "index.handler", DOTTED, "the function that is called with each event"
    )
    initializer: str | None = knob(
        FUNCTION,
        None,
        DOTTED,
        "runs once, before the first event",
        "`initialize` or `initializer` in the handler's module",
    )
    pre_stop: str | None = knob(
        FUNCTION,
        None,
        DOTTED,
        "runs once, before the instance is destroyed",
        "`pre_stop` in the handler's module",
    )
    pre_freeze: str | None = knob(
        FUNCTION,
        None,
        DOTTED,
        "runs before each freeze (Function Compute 2)",
        "`pre_freeze` in the handler's module",
    )
    host: str = knob(ADDRESS, "0.0.0.0", HOST, "where to listen; the platform needs 0.0.0.0")
    port: int = knob(ADDRESS, 9000, whole(0, 65535), "the port; 0 takes any that is free")
    concurrency: int = knob(
        LIMITS, 100, whole(1, 200), "calls that run at once; the same as instanceConcurrency"
    )
    queue: int = knob(
        LIMITS,
        100,
        whole(0, 10_000),
        "calls that wait; more are refused (429)",
        "the same as concurrency",
    )
    workers: int | Literal["auto"] = knob(
        LIMITS, 1, whole(1, 64, "auto"), "processes; auto makes one for each CPU"
    )
    timeout: float | None = knob(
        TIMES, None, DAY_OR_NONE, "a call's time where the platform names none"
    )
    deadline_margin: float = knob(
        TIMES, 0.2, seconds(0, 60), "a call is ended so long before its time is up"
    )
    initialize_timeout: float = knob(TIMES, 300.0, DAY, "the initializer's time")
    drain_timeout: float = knob(TIMES, 60.0, DAY_OR_ZERO, "how long a stop waits for running calls")
    header_timeout: float = knob(TIMES, 20.0, DAY, "from a request's first byte to its last header")
    body_timeout: float = knob(TIMES, 60.0, DAY, "how long an event or an answer may stand still")
    stall_after: float = knob(
        TIMES, 0.5, seconds(0, 3600), "a loop that is blocked so long is reported; 0: never"
    )
    max_body: int = knob(BODIES, 32 * MIB, size(GIB), "the largest event; more is refused (413)")
    body_budget: int = knob(
        BODIES, 256 * MIB, size(64 * GIB), "events in memory together; more wait", BUDGET
    )
    log_level: str = knob(LOGS, "INFO", LEVEL, "the least severe line that is written")
    log_format: Literal["text", "json"] = knob(LOGS, "text", FORMAT, "the form of a line")
    error_trace: bool = knob(LOGS, False, ON, "send a failed call's stack trace to its caller")
    background: Literal["wait", "warn", "cancel"] = knob(
        PROCESS, "warn", LEFT, "what becomes of tasks that a call leaves behind"
    )
    loop: Literal["auto", "asyncio", "uvloop"] = knob(
        PROCESS, "auto", LOOP, "the event loop; auto is uvloop where it is installed"
    )
    python_parser: bool = knob(PROCESS, False, ON, "serve even where aiohttp's C parser is missing")
    function_handler: str = ""
    """FC_FUNCTION_HANDLER, unless a flag or SERVICE_HANDLER overrules it. Not a setting: no row."""

    @property
    def handlers(self) -> tuple[str, ...]:
        """The names under which the handler is looked for: the first that resolves is served."""
        return tuple(dict.fromkeys(filter(None, (self.function_handler, self.handler))))


KNOBS: Mapping[str, Knob] = {
    row.name: Knob(row.name, row.default, **row.metadata)
    for row in fields(Settings)
    if row.metadata
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, where each comes from in words, and what the platform says of the instance."""

    settings: Settings
    sources: Mapping[str, str]
    platform: Platform


def load(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> Loaded:
    """The settings. `flags` may hold the command line's other flags too: they are passed over."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for word in spoken(KNOBS, flags, environ, cwd):
        value = checked(word)
        if word.name not in values:
            values[word.name], sources[word.name] = value, word.source
    complete(values, sources, environ)
    function_handler = environ.get("FC_FUNCTION_HANDLER", "")
    row = KNOBS["handler"]
    overruling = (f"flag {row.flag}", f"environment {row.variable}")
    if function_handler and sources["handler"] not in overruling:
        values["function_handler"] = function_handler
        sources["handler"] += f", after FC_FUNCTION_HANDLER {shown(function_handler)}"
    settings = Settings(**values)
    agree(settings, sources)
    return Loaded(settings, sources, platform(environ))


def checked(word: Word) -> Any:
    """The value in its final form; UsageError when it is not allowed."""
    kind = KNOBS[word.name].kind
    try:
        return kind.read(word.value)
    except ValueError:
        allowed = kind.allowed + question(str(word.value), kind.words)
        raise refused(word.source, word.name, shown(word.value), allowed) from None


def complete(values: dict[str, Any], sources: dict[str, str], environ: Mapping[str, str]) -> None:
    """Fill in what nothing was said of."""
    given = set(values)
    for name, row in KNOBS.items():
        values.setdefault(name, row.default)
        sources.setdefault(name, f"default: {row.computed}" if row.computed else "default")
    if "queue" not in given:
        values["queue"] = values["concurrency"]
    if "body_budget" not in given:
        # Never below max_body: a body that is larger than the whole budget would wait for ever.
        values["body_budget"] = max(memory(environ) * MIB // 2, values["max_body"])


def memory(environ: Mapping[str, str]) -> int:
    """The function's memory in MB."""
    text = environ.get("FC_FUNCTION_MEMORY_SIZE", "")
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else UNKNOWN_MEMORY


def agree(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuse two settings that are allowed by themselves and cannot work together."""
    if settings.body_budget < settings.max_body:
        raise against(settings, sources, "body_budget", "at least", "max_body")
    if settings.timeout is not None and settings.timeout <= settings.deadline_margin:
        raise against(settings, sources, "timeout", "more than", "deadline_margin")


def against(
    settings: Settings, sources: Mapping[str, str], name: str, relation: str, other: str
) -> UsageError:
    """A setting that does not fit another one."""
    mine, yours = (KNOBS[each].kind.write(getattr(settings, each)) for each in (name, other))
    allowed = f"{relation} {other}, which is {yours} ({sources[other]})"
    return refused(sources[name], name, mine, allowed)


def platform(environ: Mapping[str, str]) -> Platform:
    """What the platform says of the instance (docs/platform.md section 5)."""
    return Platform(
        instance_id=environ.get("FC_INSTANCE_ID", ""),
        access_key_id=environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", ""),
        access_key_secret=environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ""),
        security_token=environ.get("ALIBABA_CLOUD_SECURITY_TOKEN", ""),
    )


def show(loaded: Loaded) -> str:
    """One setting a line: name, value, and where it comes from."""
    rows = []
    for name, row in KNOBS.items():
        value = getattr(loaded.settings, name)
        # A hook that is not named is looked for in the handler's module: it is not "none".
        written = "-" if value is None and row.computed else row.kind.write(value)
        rows.append((name, written, loaded.sources[name]))
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:{first}}  {value:{second}}  {source}" for name, value, source in rows)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add one flag for each setting, and the two that say where the settings' files are.

    A flag that is not given leaves nothing in the namespace: `vars(args)` is what `load` takes.
    """
    where = parser.add_argument_group("Files")
    for name, (metavar, help) in OPTIONS.items():
        where.add_argument(f"--{name}", default=argparse.SUPPRESS, metavar=metavar, help=help)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for row in KNOBS.values():
        if row.group not in groups:
            groups[row.group] = parser.add_argument_group(row.group)
        add_flag(groups[row.group], row)


def flags_with_value() -> set[str]:
    """Return the flags that are followed by a value."""
    switches = {row.flag for row in KNOBS.values() if row.kind is ON}
    return ({row.flag for row in KNOBS.values()} | {f"--{name}" for name in OPTIONS}) - switches


def add_flag(group: argparse._ArgumentGroup, row: Knob) -> None:
    """Add one setting's flag; a switch gets a second one that turns it off."""
    help = f"{row.help} [default: {row.default_text}]"
    if row.kind is ON:
        action = argparse.BooleanOptionalAction
        group.add_argument(row.flag, action=action, default=argparse.SUPPRESS, help=help)
    else:
        help = f"{row.help} [{row.kind.allowed}; default: {row.default_text}]"
        metavar = row.kind.metavar
        group.add_argument(row.flag, default=argparse.SUPPRESS, metavar=metavar, help=help)
