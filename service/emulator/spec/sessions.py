"""Session affinity as the file says it: which calls belong together, and how many sessions an
instance has (docs/platform.md section 13).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from ...protocol import SESSION_CALLS, SESSION_COOKIE, SESSION_HEADER_RULE, is_session_header
from .document import FilePlace

HEADER, COOKIE = "HEADER_FIELD", "GENERATED_COOKIE"
OFF = ("", "NONE")
EXCLUSIVE = "SESSION_EXCLUSIVE"
"""The `instanceIsolationMode` in which an instance has one session."""

AFFINITY_CONFIG = "sessionAffinityConfig"
SESSION_RANGES = {
    "sessionConcurrencyPerInstance": (1, 200),
    "sessionTTLInSeconds": (1, 21_600),
    "sessionIdleTimeoutInSeconds": (0, 21_600),
}


@dataclass(frozen=True, slots=True)
class SessionAffinity:
    """How a function's sessions are told and kept; times in seconds."""

    header: str = ""
    """The header field that brings a session, "" if the platform's cookie does."""
    per_instance: int = 20
    ttl: float = 21_600.0
    idle: float = 1800.0
    reuse: bool = True
    """False: an id whose session has ended is refused (`disableSessionIdReuse`)."""

    @property
    def field(self) -> str:
        """What messages call the place in which a session stands."""
        return f"header field {self.header}" if self.header else f"cookie {SESSION_COOKIE}"


def affinity(props: Mapping[str, Any]) -> SessionAffinity | None:
    """Return the session affinity of sound props, None without one that is played."""
    kind, config = props.get("sessionAffinity", ""), _config(props)
    if kind not in (HEADER, COOKIE):
        return None
    per_instance = int(config.get("sessionConcurrencyPerInstance", 20))
    return SessionAffinity(
        header=str(config["affinityHeaderFieldName"]) if kind == HEADER else "",
        per_instance=1 if props.get("instanceIsolationMode") == EXCLUSIVE else per_instance,
        ttl=float(config.get("sessionTTLInSeconds", 21_600)),
        idle=float(config.get("sessionIdleTimeoutInSeconds", 1800)),
        reuse=config.get("disableSessionIdReuse") is not True,
    )


def affinity_faults(props: Mapping[str, Any]) -> Iterator[tuple[FilePlace, str]]:
    """Yield what is wrong with a function's session affinity, each with its place."""
    kind = props.get("sessionAffinity", "")
    if not isinstance(kind, str) or kind in OFF:
        return
    said = props.get(AFFINITY_CONFIG, {})
    config = _config(props)
    if isinstance(said, str) and not config:
        yield (AFFINITY_CONFIG,), "is text that is no JSON object"
        return
    for key, (low, high) in SESSION_RANGES.items():
        value = config.get(key)
        if value is not None and not (_is_whole(value) and low <= value <= high):
            told = f"{value!r:.100} is not a whole number from {low} to {high}"
            yield (AFFINITY_CONFIG, key), told
    if kind == HEADER:
        yield from _header(config)
    ttl, idle = (config.get(f"session{part}InSeconds") for part in ("TTL", "IdleTimeout"))
    if _is_whole(ttl) and _is_whole(idle) and idle > ttl:
        place = (AFFINITY_CONFIG, "sessionIdleTimeoutInSeconds")
        yield place, f"{idle} is more than sessionTTLInSeconds, which is {ttl}"


def _header(config: Mapping[str, Any]) -> Iterator[tuple[FilePlace, str]]:
    place = (AFFINITY_CONFIG, "affinityHeaderFieldName")
    name = config.get("affinityHeaderFieldName")
    if name is None:
        yield place, f"is missing: {HEADER} needs the header field that brings a session"
    elif not isinstance(name, str) or not is_session_header(name):
        yield place, f"{name!r:.100} is not {SESSION_HEADER_RULE}"


def affinity_doubts(props: Mapping[str, Any]) -> Iterator[tuple[FilePlace, str]]:
    """Yield what is played otherwise than sound props say, each with its place."""
    kind = props.get("sessionAffinity", "")
    if kind in OFF:
        if props.get(AFFINITY_CONFIG):
            yield (AFFINITY_CONFIG,), "is not played without sessionAffinity"
        return
    if kind not in (HEADER, COOKIE):
        yield (
            ("sessionAffinity",),
            f"{kind!r:.100} is not played: a session's calls go to any instance; played are"
            f" {HEADER} and {COOKIE}, and MCP's sessions come over HTTP triggers only",
        )
        return
    concurrency = props.get("instanceConcurrency")
    if concurrency is not None and concurrency != SESSION_CALLS:
        yield (
            ("instanceConcurrency",),
            f"{concurrency} is not played: session affinity sets it to {SESSION_CALLS}, and it"
            " cannot be changed then",
        )


def _config(props: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration, which may be the text of a JSON object too."""
    said = props.get(AFFINITY_CONFIG, {})
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except (ValueError, RecursionError):
            return {}
    return said if isinstance(said, Mapping) else {}


def _is_whole(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0
