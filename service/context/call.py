"""What a handler can know about its call: `Context`, and the one variable that says which call runs
here.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self, cast

from .call_fields import CallFields
from .fields import Platform, set_once
from .record import CallRecord

__all__ = [
    "LOGGER",
    "RUNNING",
    "Context",
    "Platform",
    "TaskContext",
    "current_context",
    "give_state",
    "platform_of",
    "record_of",
]

NO_PLATFORM = Platform()

LOGGER = logging.getLogger("fc")
"""The logger that handlers get as `context.logger`; its lines carry the running call's request id.
"""


class Context(CallFields):
    """One call, as the handler sees it: the built-in Python runtime's names in both of their
    spellings (docs/platform.md section 3.2).

    Cheap: a field is read from the headers when it is asked for. The platform's fields cannot be
    set; a handler may set attributes of its own beside them.
    """

    __slots__ = ("_own", "_record", "_state", "deadline")
    deadline: float | None
    state: Any
    """What the function's `lifespan` has yielded."""
    _state: Any
    _record: CallRecord | None
    _own: dict[str, Any] | None
    """What `vars()` shows, and the handler's own attributes; None until there is need of it."""

    def __init__(
        self,
        headers: Mapping[str, str],
        request_id: str,
        deadline: float | None = None,
        platform: Platform = NO_PLATFORM,
        record: CallRecord | None = None,
    ) -> None:
        set_once(self, "_headers", headers)
        set_once(self, "request_id", request_id)
        set_once(self, "deadline", deadline)
        set_once(self, "_platform", platform)
        set_once(self, "_record", record)
        set_once(self, "_own", None)

    def __getattr__(self, name: str) -> Any:
        own = self._own
        if own is not None and name in own:
            return own[name]
        if name == "state":
            return self._yielded()
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self
        )

    def _yielded(self) -> Any:
        try:
            return object.__getattribute__(self, "_state")
        except AttributeError:
            raise AttributeError(
                "context.state is what `lifespan(context)` in the handler's module yields, and"
                " there is none, or it is not open",
                name="state",
                obj=self,
            ) from None

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(type(self), name):
            super().__setattr__(name, value)
        self._kept()[name] = value

    def __delattr__(self, name: str) -> None:
        if hasattr(type(self), name):
            super().__delattr__(name)
        if name not in self._kept():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        del self._kept()[name]

    def _kept(self) -> dict[str, Any]:
        if self._own is None:
            set_once(self, "_own", {})
        return cast("dict[str, Any]", self._own)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override] # read by vars()
        """The fields and the handler's own attributes; one that is added here is one of these."""
        own = self._kept()
        for name, value in {**super().__dict__, "requestId": self.request_id}.items():
            own.setdefault(name, value)
        return own

    def __copy__(self) -> Self:
        """Return a context of the same call, whose own attributes are set apart from these."""
        copied = type(self)(
            self._headers, self.request_id, self.deadline, self._platform, record_of(self)
        )
        if self._own is not None:
            set_once(copied, "_own", {**self._own})
        give_state_of(self, copied)
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = self.__copy__()
        if self._own is not None:
            set_once(copied, "_own", copy.deepcopy(self._own, memo))
        return copied

    @property
    def logger(self) -> logging.Logger:
        """A logger whose lines carry this call's request id."""
        return LOGGER

    def getLogger(self) -> logging.Logger:
        """Return `logger`, in the built-in runtime's older spelling."""
        return LOGGER

    def bind(self, /, **fields: object) -> None:
        """Have all lines that this call writes from now on carry these fields: those of its
        threads and tasks, prints and the service's own too. No other call's line has them.

        A value is taken as it is now: text, numbers, lists and mappings as JSON, anything else as
        its text; long ones are cut, and what has a credential's name is masked.
        """
        record_of(self).bind(fields)

    def __enter__(self) -> Self:
        """Make this call the current one here: `with contexts[i]:` in what works for several calls
        at once has `current_context()`, and the lines of the log, be of this one. Threads and tasks
        that are started within are this call's, too.
        """
        _LEFT.set((*_LEFT.get(), RUNNING.get(None)))
        RUNNING.set(self)
        return self

    def __exit__(self, *failure: object) -> None:
        *others, last = _LEFT.get()
        _LEFT.set(tuple(others))
        RUNNING.set(last)  # type: ignore[arg-type] # None: a context variable has no "unset"

    def client(self, what: str | Callable[..., Any], /, **options: Any) -> Any:
        """Return the one client that all calls of this process use: it is made by the first that
        asks, and asks for the credentials of the newest call whenever it needs some.

        `what` is a name (`"oss"`, `"oss.async"`, `"kms"`, `"oos"`, `"sls"`), with the options that
        the SDK's own Config has; or a function that makes a client, which is given these
        credentials in the form that each of the platform's SDKs takes, and the options.

        Raises ClientUnavailable if a package, credentials or a region is missing, ValueError for a
        name that is none, TypeError for options that there are not, and what a function raises.
        """
        from ..clients.registry import CLIENTS

        return CLIENTS.client_for(caller_of(self), _running_call, what, options)

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, never below 0; None if there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def __repr__(self) -> str:
        return f"Context(request_id={self.request_id!r}, function={self.function.name!r})"


class TaskContext(Context):
    """What a task of the instance has in the place of a call's context: its lines carry its id."""

    __slots__ = ()


RUNNING: ContextVar[Context] = ContextVar("fc_context")
"""The context of the call that runs here. Set by the middleware, read by logs and
`current_context`.
"""

_LEFT: ContextVar[tuple[Context | None, ...]] = ContextVar("fc_left", default=())
"""Whose contexts come back at the ends of the `with` blocks of others that are entered here."""

OF_ONE_CALL = frozenset[ContextVar[Any]]({RUNNING, _LEFT})
"""Variables that no call has of another one."""


def current_context() -> Context:
    """Return the running call's context, from anywhere in it, threads included.

    Raises LookupError outside of a call.
    """
    context = RUNNING.get(None)
    if context is None:
        raise LookupError("no call runs here: current_context() works inside a handler or a hook")
    if isinstance(context, TaskContext):
        raise LookupError(
            "this is a task of the instance, of no call: hand in what it needs as arguments"
        )
    return context


def caller_of(context: Context) -> tuple[Context, Platform, float]:
    """Return a call, the instance that it is of, and when it arrived: what a client is made for."""
    return context, context._platform, record_of(context).arrived


def _running_call() -> tuple[Context, Platform, float] | None:
    """Return the same of the call that runs here."""
    context = RUNNING.get(None)
    return None if context is None else caller_of(context)


def record_of(context: Context) -> CallRecord:
    """Return what is noted of a call; it is made here for what no ring has made one for."""
    record = context._record
    if record is None:
        record = CallRecord()
        set_once(context, "_record", record)
    return record


def platform_of(context: Context) -> Platform:
    """Return what the instance's environment says, as the context of a call of it has it."""
    return context._platform


def give_state(context: Context, state: object) -> None:
    """Let `context.state` be what the function's `lifespan` has yielded."""
    set_once(context, "_state", state)


def give_state_of(one: Context, other: Context) -> None:
    """Let a context have the state of another one, if that has any."""
    with suppress(AttributeError):
        set_once(other, "_state", object.__getattribute__(one, "_state"))
