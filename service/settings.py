"""Every knob of the service, once: its default, what it takes, and where its value comes from."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from service.context import Platform
from service.errors import UsageError

T = TypeVar("T")

PREFIX = "SERVICE_"
MIB = 1024**2
GIB = 1024 * MIB
UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1024, "mib": MIB, "gib": GIB}
SIZE = re.compile(r"([0-9]{1,18}) ?([kmg]i?b|)", re.IGNORECASE)
NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
NAME = re.compile(r"[^\s:]+[.:][^\s:]+")
ADDRESSES = re.compile(r"[^\s/]+")
PROFILE = re.compile(r"\w[\w.-]*")
SECRET = re.compile("secret|token|passw|pwd|key|credential", re.IGNORECASE)
BUDGET = "half of FC_FUNCTION_MEMORY_SIZE (of 512 MB when unknown), at least max_body"
UNKNOWN_MEMORY = 512
"""MB that `body_budget` reckons with where the platform does not say: its own default."""
OPTIONS = {
    "config": ("DIR", "the directory of the settings' files [default: config, if there]"),
    "profile": ("NAME", "also read NAME.toml there; it wins over service.toml"),
}
"""The two flags that are no settings: they say where settings are."""


def plain(value: object) -> str:
    """A value as it is typed in a flag."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a setting takes: `allowed` in words; `read` makes a value of it or raises ValueError."""

    metavar: str
    allowed: str
    read: Callable[[object], Any]
    write: Callable[[object], str] = plain
    words: tuple[str, ...] = ()


def text(metavar: str, form: re.Pattern[str], allowed: str) -> Kind:
    """Text of a certain form."""

    def read(value: object) -> str:
        if isinstance(value, str) and form.fullmatch(value):
            return value
        raise ValueError

    return Kind(metavar, allowed, read)


def choice(*words: str) -> Kind:
    """One of a few words, in upper or lower case."""

    def read(value: object) -> str:
        for word in words:
            if isinstance(value, str) and value.casefold() == word.casefold():
                return word
        raise ValueError

    return Kind("WORD", ", ".join(words), read, words=words)


def switch() -> Kind:
    """True or false."""

    def read(value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise ValueError

    return Kind("", "true, false", read, words=("true", "false"))


def within(value: object, types: tuple[type, ...], low: float, high: float) -> float:
    """The number, when it is of one of the types and in the range. True is no number here."""
    if isinstance(value, bool) or not isinstance(value, types):
        raise ValueError
    if isinstance(value, int | float) and low <= value <= high:
        return value
    raise ValueError


def whole(low: int, high: int, *words: str) -> Kind:
    """A whole number in a range, or one of the words."""

    def read(value: object) -> object:
        return value if value in words else within(value, (int,), low, high)

    return Kind("N", " or ".join((f"{low}-{high}", *words)), read, words=words)


def seconds(low: float, high: float, *, optional: bool = False) -> Kind:
    """Seconds in a range; where `optional`, also the word none."""

    def read(value: object) -> float | None:
        if optional and value == "none":
            return None
        return float(within(value, (int, float), low, high))

    allowed = f"{low:g}-{high:g} seconds" + (" or none" if optional else "")
    return Kind("SECONDS", allowed, read, words=("none",) if optional else ())


def size(high: int) -> Kind:
    """Bytes: a number, or text with a unit."""

    def read(value: object) -> object:
        if isinstance(value, str) and (match := SIZE.fullmatch(value)):
            value = int(match[1]) * UNITS[match[2].casefold()]
        return within(value, (int,), 1, high)

    allowed = f"1 to {size_text(high)}: bytes, or with KB, MB, GB, KiB, MiB or GiB"
    return Kind("SIZE", allowed, read, size_text)


def size_text(value: object) -> str:
    """A number of bytes with the largest unit that divides it."""
    number = int(str(value))
    for unit in ("GiB", "MiB", "KiB"):
        if number % UNITS[unit.casefold()] == 0:
            return f"{number // UNITS[unit.casefold()]}{unit}"
    return str(number)


@dataclass(frozen=True, slots=True)
class Knob:
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


def knob(group: str, default: T, kind: Kind, help: str, computed: str = "") -> T:
    """A row of `Settings`; `computed` is the default in words where it is no fixed value."""
    row = {"group": group, "kind": kind, "help": help, "computed": computed}
    return field(default=default, metadata=row)


FUNCTION, ADDRESS, LIMITS = "Function", "Address", "How many at once"
TIMES, BODIES, LOGS, PROCESS = "Time limits", "Bodies", "Logs and errors", "Process"

DOTTED = text("NAME", NAME, "module.attr or pkg.mod:attr")
HOST = text("HOST", ADDRESSES, "an address or a host name")
ON = switch()
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
    body_timeout: float = knob(TIMES, 60.0, DAY, "how long a body may stand still on its way")
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


@dataclass(frozen=True, slots=True)
class Word:
    """What one source says of one name."""

    name: str
    value: object
    source: str


def load(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> Loaded:
    """The settings. `flags` may hold the command line's other flags too: they are passed over."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for word in spoken(flags, environ, cwd):
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


def spoken(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> Iterator[Word]:
    """Everything that the sources say, in the order in which they win."""
    for name, row in KNOBS.items():
        if flags.get(name) is not None:
            yield Word(name, typed(flags[name]), f"flag {row.flag}")
    yield from variables(environ)
    # SERVICE_PORT stands above these two: it was set for this service, by somebody who knows it.
    for variable in ("FC_CUSTOM_LISTEN_PORT", "FC_SERVER_PORT"):
        if environ.get(variable):
            yield Word("port", typed(environ[variable]), f"environment {variable}")
    yield from files(flags, environ, cwd)


def typed(value: object) -> object:
    """The text of a flag or a variable as TOML would have it: 9000, 0.5, true, or text."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.casefold() in ON.words:
        return text.casefold() == "true"
    if NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text


def variables(environ: Mapping[str, str]) -> Iterator[Word]:
    """What the environment says. An empty variable says nothing, as in the shell's `NAME= run`."""
    rows = {row.variable: row for row in KNOBS.values()}
    known = [*rows, *(PREFIX + option.upper() for option in OPTIONS)]
    for variable, text in environ.items():
        if variable in rows and text:
            yield Word(rows[variable].name, typed(text), f"environment {variable}")
        if variable.startswith(PREFIX) and variable not in known:
            raise unknown("environment", variable, text, known)


def files(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> Iterator[Word]:
    """What the profile's file and then service.toml say, of those that there are."""
    config, profile = (option(name, flags, environ) for name in OPTIONS)
    folder = cwd / (str(config.value) if config else "config")
    if config and not os.path.isdir(folder):
        raise UsageError(f"{config.source} = {shown(config.value)}: there is no such directory")
    if profile:
        path = folder / f"{profile.value}.toml"
        if not PROFILE.fullmatch(str(profile.value)) or not os.path.isfile(path):
            raise missing(profile, folder, cwd)
        yield from entries(path, cwd)
    if os.path.exists(folder / "service.toml"):
        yield from entries(folder / "service.toml", cwd)


def option(name: str, flags: Mapping[str, object], environ: Mapping[str, str]) -> Word | None:
    """What is said of an option that is no setting: it tells where settings are."""
    if flags.get(name) is not None:
        return Word(name, flags[name], f"flag --{name}")
    variable = PREFIX + name.upper()
    if environ.get(variable):
        return Word(name, environ[variable], f"environment {variable}")
    return None


def missing(profile: Word, folder: Path, cwd: Path) -> UsageError:
    """A profile that has no file, with those that have one."""
    there = sorted(path.stem for path in folder.glob("*.toml"))
    return UsageError(
        f"{profile.source} = {shown(profile.value)}: no such profile in {displayed(folder, cwd)}"
        f"; allowed: {', '.join(there)}{question(str(profile.value), there)}"
    )


def entries(path: Path, cwd: Path) -> Iterator[Word]:
    """What one file says."""
    source = displayed(path, cwd)
    for name, value in parsed(path, source).items():
        if name not in KNOBS:
            raise unknown(source, name, value, KNOBS)
        yield Word(name, value, source)


def parsed(path: Path, source: str) -> dict[str, Any]:
    """The file's TOML. A byte order mark is no fault: some editors leave one."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{source}: cannot be read: {error.strerror}") from None
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{source}: line {line}: not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        last = f"line {len(data.splitlines())}, the end of the file"
        reason = str(error).replace("end of document", last)
        raise UsageError(f"{source}: not TOML: {reason}") from None


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
    """What the platform says of the instance (fc-platform.md section 5)."""
    return Platform(
        instance_id=environ.get("FC_INSTANCE_ID", ""),
        access_key_id=environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", ""),
        access_key_secret=environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ""),
        security_token=environ.get("ALIBABA_CLOUD_SECURITY_TOKEN", ""),
    )


def refused(source: str, name: str, value: str, allowed: str) -> UsageError:
    """A value that is not allowed."""
    return UsageError(f"{source}: {name} = {value} is not allowed; allowed: {allowed}")


def unknown(source: str, name: str, value: object, known: Iterable[str]) -> UsageError:
    """A name that is no setting. Its value may be anything: a secret is not shown."""
    said = "***" if SECRET.search(name) else shown(value)
    hint = question(name, known) or "; `python -m service --help` lists them all"
    # Without its quotes, and yet with nothing in it that could begin a second line.
    return UsageError(f"{source}: {shown(name)[1:-1]} = {said}: there is no such setting{hint}")


def question(word: str, known: Iterable[str]) -> str:
    """Did you mean the known word that is nearest? Empty when none is near."""
    folded = {each.removeprefix(PREFIX).casefold(): each for each in known}
    near = difflib.get_close_matches(word.removeprefix(PREFIX).casefold(), folded, n=1)
    return f"; did you mean {folded[near[0]]}?" if near else ""


def shown(value: object) -> str:
    """A value for a message of one line. What is inside of a table or a list stays there."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else plain(value)
    return text if len(text) <= 80 else text[:77] + "..."


def displayed(path: Path, cwd: Path) -> str:
    """The path as a person at `cwd` would type it."""
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


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
