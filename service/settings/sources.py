"""Where settings are said: flags, environment and TOML files, and which of them wins."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .kinds import PREFIX, Knob, plain, typed

PROFILE = re.compile(r"\w[\w.-]*")
SECRET = re.compile("secret|token|passw|pwd|key|credential", re.IGNORECASE)
LOGIN = re.compile(r"://\S*@")
"""In an address that brings a user's name and password along."""

OPTIONS = {
    "config": ("DIR", "the directory of the settings' files [default: config, if there]"),
    "profile": ("NAME", "also read NAME.toml there; it wins over service.toml"),
}
"""The two flags that are no settings: they say where settings are."""

Rows = Mapping[str, Knob]
"""The table of settings, by name."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one source says of one name."""

    name: str
    value: object
    source: str


def spoken(
    rows: Rows, flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path
) -> Iterator[Word]:
    """Everything that the sources say, in the order in which they win."""
    for name, row in rows.items():
        if flags.get(name) is not None:
            yield Word(name, typed(flags[name]), f"flag {row.flag}")
    yield from variables(rows, environ)
    # SERVICE_PORT stands above these two: it was set for this service, by somebody who knows it.
    for variable in ("FC_CUSTOM_LISTEN_PORT", "FC_SERVER_PORT"):
        if environ.get(variable):
            yield Word("port", typed(environ[variable]), f"environment {variable}")
    yield from files(rows, flags, environ, cwd)


def variables(rows: Rows, environ: Mapping[str, str]) -> Iterator[Word]:
    """What the environment says. An empty variable says nothing, as in the shell's `NAME= run`."""
    names = {row.variable: name for name, row in rows.items()}
    known = [*names, *(PREFIX + option.upper() for option in OPTIONS)]
    for variable, text in environ.items():
        if variable in names and text:
            yield Word(names[variable], typed(text), f"environment {variable}")
        if variable.startswith(PREFIX) and variable not in known:
            raise unknown("environment", variable, text, known)


def files(
    rows: Rows, flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path
) -> Iterator[Word]:
    """What the profile's file and then service.toml say, of those that there are."""
    config, profile = (option(name, flags, environ) for name in OPTIONS)
    folder = cwd / (str(config.value) if config else "config")
    if config and not os.path.isdir(folder):
        raise UsageError(f"{config.source} = {shown(config.value)}: there is no such directory")
    if profile:
        path = folder / f"{profile.value}.toml"
        if not PROFILE.fullmatch(str(profile.value)) or not os.path.isfile(path):
            raise missing(profile, folder, cwd)
        yield from entries(rows, path, cwd)
    if os.path.exists(folder / "service.toml"):
        yield from entries(rows, folder / "service.toml", cwd)


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


def entries(rows: Rows, path: Path, cwd: Path) -> Iterator[Word]:
    """What one file says."""
    source = displayed(path, cwd)
    for name, value in parsed(path, source).items():
        if name not in rows:
            raise unknown(source, name, value, rows)
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


def refused(source: str, name: str, value: str, allowed: str) -> UsageError:
    """A value that is not allowed."""
    return UsageError(f"{source}: {name} = {value} is not allowed; allowed: {allowed}")


def unknown(source: str, name: str, value: object, known: Iterable[str]) -> UsageError:
    """A name that is no setting. Its value may be anything: a secret is not shown."""
    secret = SECRET.search(name) or LOGIN.search(str(value))
    said = "***" if secret else shown(value)
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
