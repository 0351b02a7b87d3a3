"""Which values a setting takes: the kinds, how each is read, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..protocol import SESSION_HEADER_RULE, is_session_header

KIB = 1024
MIB = 1024**2
GIB = 1024 * MIB
UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1024, "mib": MIB, "gib": GIB}
SIZE = r"(?i)([0-9]{1,18}) ?([kmg]i?b|)"
SETTING_NAME = r"[^\s:]+[.:][^\s:]+"
HOST_PATTERN = r"\[[0-9a-fA-F:.%\w]+\]|[^\s/\[\]*]+"
LOGGER_NAME = r"[^\s=,]+"
NUMBER = r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?"


def plain(value: object) -> str:
    """Return a value as it is typed in a flag."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


class Kind(msgspec.Struct, frozen=True):
    """What a setting takes: `allowed` in words; `read` makes a value of it or raises ValueError."""

    metavar: str
    allowed: str
    read: Callable[[object], Any]
    write: Callable[[object], str] = plain
    words: tuple[str, ...] = ()


def name(*words: str) -> Kind:
    """Return a function's name with its module's, or one of the words."""

    def read(value: object) -> str:
        for word in words:
            if isinstance(value, str) and value.casefold() == word:
                return word
        if isinstance(value, str) and re.fullmatch(SETTING_NAME, value):
            return value
        raise ValueError

    allowed = " or ".join(("module.attr, pkg/mod.attr, pkg.mod:attr", *words))
    return Kind("NAME", allowed, read, words=words)


def host() -> Kind:
    """Return an address to listen on, as it is written in a URL too; `*` is every IPv4 address."""

    def read(value: object) -> str:
        if value == "*":
            return "0.0.0.0"
        if isinstance(value, str) and re.fullmatch(HOST_PATTERN, value):
            return value[1:-1] if value.startswith("[") else value
        raise ValueError

    return Kind("HOST", "an address, a host name or *", read)


def header_field() -> Kind:
    """Return the name of a header field, as session affinity takes it, or the word none."""

    def read(value: object) -> str | None:
        if value == "none":
            return None
        if isinstance(value, str) and is_session_header(value):
            return value
        raise ValueError

    allowed = f"{SESSION_HEADER_RULE}; or none"
    return Kind("NAME", allowed, read, words=("none",))


def folder() -> Kind:
    """Return the path of a folder, which need not be there yet."""

    def read(value: object) -> str:
        if isinstance(value, str) and value and value.isprintable():
            return value
        raise ValueError

    return Kind("DIR", "a folder's path", read)


def choice(*words: str) -> Kind:
    """One of a few words, in upper or lower case."""

    def read(value: object) -> str:
        for word in words:
            if isinstance(value, str) and value.casefold() == word.casefold():
                return word
        raise ValueError

    return Kind("WORD", ", ".join(words), read, words=words)


def switch() -> Kind:
    """Return true or false."""

    def read(value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise ValueError

    return Kind("", "true, false", read, words=("true", "false"))


def within(value: object, types: tuple[type, ...], low: float, high: float) -> float:
    """Return the number, if it is of one of the types and in the range. True is no number here."""
    if isinstance(value, bool) or not isinstance(value, types):
        raise ValueError
    if isinstance(value, int | float) and low <= value <= high:
        return value
    raise ValueError


def whole(low: int, high: int, *words: str) -> Kind:
    """Return a whole number in a range, or one of the words."""

    def read(value: object) -> object:
        return value if value in words else within(value, (int,), low, high)

    return Kind("N", " or ".join((f"{low}-{high}", *words)), read, words=words)


def seconds(low: float, high: float, *, optional: bool = False) -> Kind:
    """Seconds in a range; if `optional`, also the word none."""

    def read(value: object) -> float | None:
        if optional and value == "none":
            return None
        return float(within(value, (int, float), low, high))

    allowed = f"{low:g}-{high:g} seconds" + (" or none" if optional else "")
    return Kind("SECONDS", allowed, read, words=("none",) if optional else ())


def fraction() -> Kind:
    """Return a part of the whole, from 0 to 1."""

    def read(value: object) -> float:
        return float(within(value, (int, float), 0, 1))

    return Kind("SHARE", "0-1", read)


def levels(*words: str) -> Kind:
    """Return a level for each of some loggers: a table, or text as flags and variables have it."""
    level = choice(*words).read

    def read(value: object) -> tuple[tuple[str, str], ...]:
        if isinstance(value, str):
            parts = [] if value.strip().casefold() in ("", "none") else value.split(",")
            pairs = [part.partition("=")[::2] for part in parts]
        elif isinstance(value, Mapping):
            pairs = list(value.items())
        else:
            raise ValueError
        found = {logger.strip(): level(_stripped(word)) for logger, word in pairs}
        if not all(re.fullmatch(LOGGER_NAME, each) for each in found) or "root" in found:
            raise ValueError  # the root logger's is `log_level`
        return tuple(found.items())

    allowed = f"NAME=LEVEL,NAME=LEVEL or a table, with {', '.join(words)}; or none"
    return Kind("NAME=LEVEL,...", allowed, read, levels_text, words=("none",))


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def levels_text(value: Any) -> str:
    """Return levels as they are typed in a flag."""
    return ",".join(f"{logger}={level}" for logger, level in value) or "none"


def size(high: int) -> Kind:
    """Bytes: a number, or text with a unit."""

    def read(value: object) -> object:
        if isinstance(value, str) and (match := re.fullmatch(SIZE, value)):
            value = int(match[1]) * UNITS[match[2].casefold()]
        return within(value, (int,), 1, high)

    allowed = f"1 to {size_text(high)}: bytes, or with KB, MB, GB, KiB, MiB or GiB"
    return Kind("SIZE", allowed, read, size_text)


def size_text(value: object) -> str:
    """Return a number of bytes with the largest unit that divides it."""
    number = int(str(value))
    for unit in ("GiB", "MiB", "KiB"):
        if number % UNITS[unit.casefold()] == 0:
            return f"{number // UNITS[unit.casefold()]}{unit}"
    return str(number)


ON = switch()


def typed(value: object) -> object:
    """Return the text of a flag or a variable as TOML would have it: 9000, 0.5, true, or text."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.casefold() in ON.words:
        return text.casefold() == "true"
    if re.fullmatch(NUMBER, text):
        return float(text) if "." in text else int(text)
    return text
