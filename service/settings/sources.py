"""Where settings are said: flags, environment and TOML files, and which of them wins."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..errors import StartError, UsageError
from .kinds import typed
from .refusals import displayed, nearest, question, shown, unknown
from .rows import PREFIX, Rows

PROFILE = re.compile(r"\w[\w.-]*")

SOURCE_OPTIONS = {
    "config": ("DIR", "the directory of the settings' files [default: config, if there]"),
    "profile": ("NAME", "also read NAME.toml there; it wins over service.toml"),
}
"""The two flags that are no settings: they say where settings are."""


class Word(msgspec.Struct, frozen=True):
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
    """Return what the environment says. An empty variable says nothing, as in the shell's `NAME=
    run`.

    Raises UsageError for a name that is a setting's but for a slip; others with our prefix may be
    the function's (`unclaimed`).
    """
    names = {row.variable: name for name, row in rows.items()}
    for variable, text in environ.items():
        if variable in names and text:
            yield Word(names[variable], typed(text), f"environment {variable}")
    for variable in unclaimed(rows, environ):
        if meant := nearest(variable, known_variables(rows)):
            raise unknown("environment", variable, environ[variable], [meant])


def unclaimed(rows: Rows, environ: Mapping[str, str]) -> list[str]:
    """Return the variables that begin as settings do and are none."""
    known = known_variables(rows)
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def known_variables(rows: Rows) -> list[str]:
    """Return the names in the environment that mean something to the service."""
    return [
        *(row.variable for row in rows.values()),
        *(PREFIX + option.upper() for option in SOURCE_OPTIONS),
    ]


def files(
    rows: Rows, flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path
) -> Iterator[Word]:
    """Return what the profile's file and then service.toml say, of those that there are."""
    config, profile = (option(name, flags, environ) for name in SOURCE_OPTIONS)
    folder = cwd / (str(config.value) if config else "config")
    if config and not os.path.isdir(folder):
        raise UsageError(f"{config.source} = {shown(config.value)}: there is no such directory")
    if profile:
        path = folder / f"{profile.value}.toml"
        if not PROFILE.fullmatch(str(profile.value)) or not os.path.isfile(path):
            raise missing(profile, folder, cwd)
        yield from entries(rows, path, cwd)
    if is_there(folder / "service.toml", cwd):
        yield from entries(rows, folder / "service.toml", cwd)


def is_there(path: Path, cwd: Path) -> bool:
    """Return whether there is a file, or something of its name that cannot be read: what a person
    wrote is not passed over. Raises StartError for a link that leads nowhere.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as reason:
        raise StartError(f"{displayed(path, cwd)}: cannot be read: {reason.strerror}") from None
    else:
        return True
    for part in (path.parent, path):
        if part.is_symlink():
            raise StartError(
                f"{displayed(part, cwd)}: is a link to {os.readlink(part)}, which is not there:"
                " mend the link or remove it"
            )
    return False


def option(name: str, flags: Mapping[str, object], environ: Mapping[str, str]) -> Word | None:
    """Return what is said of an option that is no setting: it tells where settings are."""
    if flags.get(name) is not None:
        return Word(name, flags[name], f"flag --{name}")
    variable = PREFIX + name.upper()
    if environ.get(variable):
        return Word(name, environ[variable], f"environment {variable}")
    return None


def missing(profile: Word, folder: Path, cwd: Path) -> UsageError:
    """Return the refusal of a profile that has no file; it names those that have one."""
    there = sorted(path.stem for path in folder.glob("*.toml"))
    return UsageError(
        f"{profile.source} = {shown(profile.value)}: no such profile in {displayed(folder, cwd)}"
        f"; allowed: {', '.join(there)}{question(str(profile.value), there)}"
    )


def entries(rows: Rows, path: Path, cwd: Path) -> Iterator[Word]:
    """Return what one file says."""
    source = displayed(path, cwd)
    for name, value in parsed(path, source).items():
        if name not in rows:
            raise unknown(source, name, value, rows)
        yield Word(name, value, source)


def parsed(path: Path, source: str) -> dict[str, Any]:
    """Return the file's TOML. A byte order mark is no fault: some editors leave one."""
    import tomllib  # many have no such file

    try:
        data = path.read_bytes()
    except OSError as error:
        raise StartError(f"{source}: cannot be read: {error.strerror}") from None
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{source}: line {line}: not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        last = f"line {len(data.splitlines())}, the end of the file"
        reason = str(error).replace("end of document", last)
        raise UsageError(f"{source}: not TOML: {reason}") from None
