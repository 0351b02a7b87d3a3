"""What a log line has beside its message: fields of its call and its own, ids, a failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..protocol import SERVICE_LOGGER

OWN_NAMES = frozenset({"time", "level", "logger", "requestId", "message", "fieldsCut"})
"""Names that are the line's own."""


class LoggedFailure(msgspec.Struct, frozen=True):
    """What a line says of an exception."""

    kind: str
    """The exception's class; "" for a stack that no exception has."""
    message: str
    stack: list[str]
    is_told: bool = False
    """Whether the line's message tells the stack, too: text shows none behind it."""
    short: str = ""
    """The line's message in JSON, which has the stack apart; "" for the same as in text."""


class Details(msgspec.Struct, frozen=True):
    """What a line has beside its message. Fields are plain values (`context.plain`)."""

    logger: str = SERVICE_LOGGER
    bound: Mapping[str, Any] = {}
    """Fields of the call."""
    extra: Mapping[str, Any] = {}
    """Fields of this line."""
    ids: Mapping[str, str] = {}
    """The ids of the call's trace, if there is one. JSON has them."""
    failure: LoggedFailure | None = None


NO_DETAILS = Details()


def named_apart(details: Details) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the call's fields and the line's, each under a name that nothing else in the line has:
    one that is taken gets a prefix.
    """
    if not (details.bound or details.extra):
        return {}, {}
    taken = {*OWN_NAMES, *details.ids}
    if details.failure:
        taken.update(("errorType", "errorMessage", "stack"))
    return tuple(  # type: ignore[return-value] # of two
        _prefixed(prefix, fields, taken)
        for prefix, fields in (("bound_", details.bound), ("extra_", details.extra))
    )


def _prefixed(prefix: str, fields: Mapping[str, Any], taken: set[str]) -> dict[str, Any]:
    apart = {}
    for name, value in fields.items():
        while name in taken:
            name = prefix + name
        taken.add(name)
        apart[name] = value
    return apart
