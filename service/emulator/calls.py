"""One call as the emulator passes it on, what comes of it, and what the platform refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec


class Invocation(msgspec.Struct, frozen=True):
    """One event for one function."""

    function: str
    event: bytes
    request_id: str
    retry_count: int = 0
    tail: bool = False
    """True when the caller asked for the call's log (`x-fc-log-type: Tail`)."""
    session: str | None = None
    """The session that the caller named, "" if it wants a new one, None for a call of none, as
    asynchronous ones are.
    """


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer of an instance, or what the platform says in its place.

    `duration` is in seconds, `memory` the most that was seen of the instance's, in MB.
    """

    request_id: str
    body: bytes
    error_type: str = ""
    """`X-Fc-Error-Type`; "" if the function succeeded. The API's status is 200 in both cases."""
    instance_id: str = ""
    duration: float = 0.0
    memory: float = 0.0
    cold: bool = False
    """True when an instance had to be started for this call."""
    log: bytes | None = None
    """The last 4 KB of the call's log, if they were asked for and are the call's alone."""
    session: str = ""
    """The session that the call belonged to, "" if it had none."""


class InstanceView(Protocol):
    """One instance, as those see it who ask which there are; `created` is in Unix seconds."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def state(self) -> str:
        """`starting`, `running`, `unhealthy`, `stopping` or `stopped`."""

    @property
    def frozen(self) -> bool:
        """Whether its processes are stopped where they are."""

    @property
    def created(self) -> float:
        """When its start began."""

    @property
    def in_flight(self) -> int:
        """The calls that it has."""

    @property
    def provisioned(self) -> bool:
        """Whether it is there without a call having asked for it."""


class PlatformError(Exception):
    """What the API answers if no function could: `code` and `status` are the platform's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Invoker(Protocol):
    """The instances of one function, as those see them who have calls for it."""

    async def invoke(self, call: Invocation) -> Outcome:
        """Return the function's answer; a function error is one too. Cancelled: the caller left.

        Raises PlatformError if no instance could answer, 429 `ResourceExhausted` for example.
        """

    @property
    def room(self) -> int:
        """How many calls would be taken now without a 429."""
