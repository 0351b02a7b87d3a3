"""Which instance each session of a function is bound to, and until when.

Where the platform's documents are silent, this is what is done:

- A session ends with its instance: its next call begins it anew in another one, whose memory knows
  nothing of it.
- Its idle time runs while it has no call. What it holds is let go of when somebody asks.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ..calls import PlatformError
from ..spec.sessions import SessionAffinity
from .instance import Instance

SESSION_ID = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,63}")

KEPT_ENDED = 10_000
"""Ids of sessions that have ended, if none may be used again."""


@dataclass(slots=True)
class Session:
    """One session, its times in seconds: `used` is when its last call ended."""

    instance: Instance
    began: float
    used: float


class Sessions:
    """The sessions of one function, which has none without an affinity. `now` tells the time in
    seconds.
    """

    def __init__(self, affinity: SessionAffinity | None, now: Callable[[], float]) -> None:
        self._has_any = affinity is not None
        self._affinity = affinity or SessionAffinity()
        self._now = now
        self._sessions: dict[str, Session] = {}
        self._calls = Counter[str]()
        self._next_end = 0.0
        """No session ends before this."""
        self._ended: OrderedDict[str, None] = OrderedDict()

    def named(self, given: str | None) -> str | None:
        """Return the id of a call's session: None for a call of none, a new one for "". Raises
        PlatformError 400 for an id that the platform does not take.
        """
        if given is None or not self._has_any:
            return None
        if not given:
            return secrets.token_hex(16)
        if not SESSION_ID.fullmatch(given):
            raise _refused(
                f"the session id {given[:64]!r} is not 1 to 64 letters, digits, _ and -, beginning"
                " with no -"
            )
        self._let_go()
        if given in self._ended:
            raise _refused(f"the session {given!r} has ended, and disableSessionIdReuse is set")
        return given

    def instance_of(self, session: str) -> Instance | None:
        """Return the instance that a session is bound to, None if to none that takes calls."""
        found = self._sessions.get(session)
        if found is None:
            return None
        if not found.instance.takes_calls:
            del self._sessions[session]
            return None
        return found.instance

    def has_place(self, instance: Instance) -> bool:
        """Return whether an instance may have one session more."""
        self._let_go()
        bound = sum(each.instance is instance for each in self._sessions.values())
        return bound < self._affinity.per_instance

    def bind(self, session: str, instance: Instance) -> None:
        """Have a session's calls sent to an instance from now on."""
        self._sessions[session] = Session(instance, self._now(), self._now())
        self._next_end = min(self._next_end, self._end_of(session))

    def begin(self, session: str) -> None:
        """Note that a call of the session begins."""
        self._calls[session] += 1

    def end(self, session: str) -> None:
        """Note that a call of the session has ended."""
        self._calls[session] -= 1
        if not self._calls[session]:
            del self._calls[session]
        if found := self._sessions.get(session):
            found.used = self._now()
            self._next_end = min(self._next_end, self._end_of(session))

    def held_until(self, instance: Instance) -> float:
        """Return until when the sessions of an instance last if no call comes, 0 without any."""
        bound = (name for name, each in self._sessions.items() if each.instance is instance)
        return max(map(self._end_of, bound), default=0.0)

    def _end_of(self, name: str) -> float:
        session = self._sessions[name]
        end = session.began + self._affinity.ttl
        return end if name in self._calls else min(end, session.used + self._affinity.idle)

    def _let_go(self) -> None:
        """Forget the sessions whose time is up."""
        now = self._now()
        if now < self._next_end:
            return
        ends = {name: self._end_of(name) for name in self._sessions}
        for name in [name for name, end in ends.items() if end <= now]:
            del self._sessions[name], ends[name]
            if not self._affinity.reuse:
                self._ended[name] = None
        self._next_end = min(ends.values(), default=now)
        while len(self._ended) > KEPT_ENDED:
            self._ended.popitem(last=False)


def _refused(reason: str) -> PlatformError:
    return PlatformError(400, "InvalidArgument", reason)
