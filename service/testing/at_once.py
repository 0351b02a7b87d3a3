"""`fc_at_once`: many calls in flight together, and where one of them saw what is another's."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterable, Sequence
from traceback import walk_stack
from typing import Any

from msgspec.structs import replace

from ..calls.callables import place_of
from ..calls.function import Handlers
from ..instance.assembly import Service
from .call_logs import CallLogs
from .cross_check import CrossCheck, watched
from .findings import CallOutcome, blocked_within, found_of_calls, found_of_tasks
from .gates import MeetingGate
from .instances import NamedHandler, TestedInstance
from .invoking import value_of
from .marks import CallMarks
from .module_state import constants_of, modules_of, near
from .samples import event_body
from .watching import StateWatch

SWITCH_SECONDS = 1e-4
"""Seconds after which Python lets another thread run meanwhile: much sooner than usual."""


class CallsMixed(AssertionError):
    """Calls in flight together were not apart. `findings` has a text for each thing that was
    found.
    """

    def __init__(self, findings: Sequence[str], together: int, calls: int) -> None:
        self.findings = list(findings)
        shown = "\n".join(f"- {finding}" for finding in findings)
        super().__init__(f"{together} of {calls} calls were in flight together:\n{shown}")


def events_of(events: object, n: int) -> list[bytes]:
    """Return `n` events: those of a list again and again, what a function makes of each number, or
    the same one each time. Raises ValueError if there is none.
    """
    if callable(events):
        return [event_body(events(number)) for number in range(n)]
    several = list(events) if isinstance(events, list | tuple) else [events]
    if not several or n < 1:
        raise ValueError("fc_at_once needs at least one event, and n of 1 at least")
    bodies = [event_body(each) for each in several]
    return [bodies[number % len(bodies)] for number in range(n)]


async def call_at_once(
    handler: NamedHandler,
    events: object,
    log: CallLogs,
    *,
    n: int,
    shared: Iterable[str],
    ignore: Iterable[str],
    values: dict[str, Any],
    settings: dict[str, Any],
) -> list[Any]:
    """Return the results of `n` calls that were in flight together, in the order of their events.

    Raises CallsMixed if one of them saw what is another's, failed, blocked the loop, or left tasks
    running. `shared` names what modules share on purpose, `ignore` kinds of findings.
    """
    __tracebackhide__ = True
    around = {(frame.f_code.co_filename, frame.f_code.co_name) for frame, _ in walk_stack(None)}
    bodies = events_of(events, n)
    instance = TestedInstance(
        handler, log, {"concurrency": n, "queue": n, "background": "warn", **settings}
    )
    instance.is_shown = n == 1  # many calls' records bury what was found
    check = _checked(instance, _user_call(handler, instance.handlers), bodies, set(shared))
    outcomes = await _all_at_once(instance, check, bodies, values)
    findings = {
        **found_of_calls(check, outcomes),
        "blocked": blocked_within(log.lines(), around),
        "tasks": found_of_tasks(check, log.lines(), instance.left),
    }
    ignored = set(ignore)
    told = [text for kind, texts in findings.items() if kind not in ignored for text in texts]
    if told:
        raise CallsMixed(told, check.entry.together, n)
    return [value_of(outcome) for outcome in outcomes if isinstance(outcome, bytes)]


def _user_call(handler: NamedHandler, handlers: Handlers) -> Any:
    function = handlers.handler
    first = function.routes[0] if function.routes else function
    found = first.call if isinstance(handler, str) or function.routes else handler
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return found


def _checked(
    instance: TestedInstance, call: Any, bodies: list[bytes], shared: set[str]
) -> CrossCheck:
    """Have an instance serve a handler whose calls are looked at; return what is noted of them."""
    run, n = secrets.token_hex(4), len(bodies)
    ids = [f"fc-at-once-{run}-{number}" for number in range(n)]
    modules = modules_of(sys.modules[getattr(call, "__module__", None) or "builtins"])
    marks = CallMarks(bodies, ids, constants_of(modules))
    check = CrossCheck(
        ids,
        marks,
        StateWatch(modules, marks, shared, n),
        MeetingGate(n),
        MeetingGate(n),
        near(place_of(call)).replace(" line ", ":"),
    )
    instance.change(lambda handlers: replace(handlers, handler=watched(handlers.handler, check)))
    return check


async def _all_at_once(
    instance: TestedInstance, check: CrossCheck, bodies: list[bytes], values: dict[str, Any]
) -> list[CallOutcome]:
    interval = sys.getswitchinterval()

    async def one(service: Service, number: int) -> bytes:
        try:
            own = {**values, "request_id": check.ids[number]}
            return await instance.call(service, bodies[number], own)
        finally:
            check.lose(number)

    async with instance.running() as service:
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            await service.lifecycle.initialized()
            calls = (one(service, number) for number in range(len(bodies)))
            return await asyncio.gather(*calls, return_exceptions=True)
        finally:
            sys.setswitchinterval(interval)
            check.entry.open()
            check.exit.open()
