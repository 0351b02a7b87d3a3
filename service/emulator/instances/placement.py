"""Which instance takes a call: its session's, else the least loaded one that has room
(docs/platform.md sections 7 and 13).

Where the platform's documents are silent, or would not do on a desk, this is what is done:

- An instance that is being stopped takes no place of another one.
- A call whose session's instance is full gets 429: no other one takes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import failures
from ..spec.model import DeployedFunction
from .instance import Instance
from .sessions import Sessions


class Placement:
    """Chooses among `instances`, the oldest first, which may change meanwhile. There may be `cap`
    of them.
    """

    def __init__(
        self,
        function: DeployedFunction,
        cap: int,
        instances: Sequence[Instance],
        sessions: Sessions,
    ) -> None:
        self._limit = function.concurrency
        self._cap = cap
        self._instances = instances
        self._sessions = sessions

    def holders(self) -> list[Instance]:
        """Return the instances that hold one of the places there are: all but those that end, or
        will do so once they have no call.
        """
        return [each for each in self._instances if each.closing is None and not each.retired]

    @property
    def room(self) -> int:
        """How many calls would be taken now."""
        slots = [self._limit - each.in_flight for each in self.holders()]
        return sum(slots) + (self._cap - len(slots)) * self._limit

    def find(self, session: str | None) -> Instance | None:
        """Return the instance for a call, None for a new one. Raises PlatformError 429 if its
        session's instance is full, or all are and there may be no other one.
        """
        found = self._sessions.instance_of(session) if session else None
        if session and found is not None and found.in_flight >= self._limit:
            raise failures.session_full(session, self._limit)
        found = found or self.with_room(session)
        if found is None and len(self.holders()) >= self._cap:
            raise failures.exhausted(self._cap, self._limit)
        return found

    def take(self, instance: Instance, session: str | None) -> None:
        """Take a slot of an instance, and have the session's further calls sent there."""
        instance.calls.reserve()
        if session and self._sessions.instance_of(session) is not instance:
            self._sessions.bind(session, instance)

    def with_room(self, session: str | None) -> Instance | None:
        """Return the least loaded instance that runs, else one that starts, else None; for a call
        of a session, of those that take one more.
        """
        best: Instance | None = None
        for each in self._instances:
            if each.in_flight >= self._limit or not each.takes_calls:
                continue
            if session and not self._sessions.has_place(each):
                continue
            better = best is None or (each.state, each.in_flight) < (best.state, best.in_flight)
            if better:  # "running" is less than "starting", and the oldest is the first
                best = each
        return best
