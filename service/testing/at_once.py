"""`fc_at_once`: many calls in flight together, and where one of them saw what is another's."""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from traceback import walk_stack
from typing import Any

from msgspec.structs import replace

from ..calls import tracebacks
from ..calls.callables import place_of
from ..calls.function import Function, Handlers
from ..context.call import Context, current_context, record_of
from ..errors import ServiceError
from ..instance.assembly import Service
from .call_logs import CallLogs, LoggedLine
from .gates import MeetingGate
from .instances import NamedHandler, TestedInstance
from .invoking import value_of
from .marks import CallMarks, Foreign, leaves_of
from .module_state import constants_of, modules_of, near, slots_of
from .samples import event_body
from .watching import StateWatch

MOST_TOLD = 10
"""Findings of one kind that are told one by one."""

SWITCH_SECONDS = 1e-4
"""Seconds after which Python lets another thread run meanwhile: much sooner than usual."""


BLOCKED = re.compile(r"event loop has been blocked for \S+ s at (.+):\d+ in (.+?); ")

ForeignPart = tuple[str, int, Foreign]
"""The name of a field, the call that has it, and what in it is another's."""


class CallsMixed(AssertionError):
    """Calls in flight together were not apart. `findings` has a text for each thing that was
    found.
    """

    def __init__(self, findings: Sequence[str], together: int, calls: int) -> None:
        self.findings = list(findings)
        shown = "\n".join(f"- {finding}" for finding in findings)
        super().__init__(f"{together} of {calls} calls were in flight together:\n{shown}")


@dataclass
class CrossCheck:
    """What is noted of the calls that run together."""

    marks: CallMarks
    watch: StateWatch
    entry: MeetingGate
    exit: MeetingGate
    place: str
    ids: dict[str, int]
    met: set[int] = field(default_factory=set)
    seen: dict[int, Context] = field(default_factory=dict)


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
    bodies = events_of(events, n)
    around = {(frame.f_code.co_filename, frame.f_code.co_name) for frame, _ in walk_stack(None)}
    run = secrets.token_hex(4)
    ids = [f"fc-at-once-{run}-{number}" for number in range(n)]
    instance = TestedInstance(
        handler, log, {"concurrency": n, "queue": n, "background": "warn", **settings}
    )
    instance.is_shown = n == 1  # many calls' records bury what was found
    names = set(shared)
    modules = modules_of(_home(handler, instance.handlers))
    marks = CallMarks(bodies, ids, constants_of(modules))
    check = CrossCheck(
        marks,
        StateWatch(modules, marks, names, n),
        MeetingGate(n),
        MeetingGate(n),
        near(place_of(_user_call(handler, instance.handlers)).replace(" line ", ":")),
        {request_id: number for number, request_id in enumerate(ids)},
    )
    instance.change(lambda handlers: replace(handlers, handler=_watched(handlers.handler, check)))
    __tracebackhide__ = True
    outcomes = await _all_at_once(instance, check, bodies, ids, values)
    exempt = [value for name, _, value in slots_of(modules) if check.watch.is_shared(name)]
    findings = _findings(check, outcomes, log, exempt, set(ignore))
    findings["blocked"] = _cut([*blocked_within(log.lines(), around)])
    if instance.left and not findings["tasks"]:
        findings["tasks"] = [f"tasks were left running: {', '.join(instance.left[:MOST_TOLD])}"]
    told = [text for kind, texts in findings.items() if kind not in set(ignore) for text in texts]
    if told:
        raise CallsMixed(told, check.entry.together, n)
    return [value_of(outcome) for outcome in outcomes if isinstance(outcome, bytes)]


async def _all_at_once(
    instance: TestedInstance,
    check: CrossCheck,
    bodies: list[bytes],
    ids: list[str],
    values: dict[str, Any],
) -> list[bytes | BaseException]:
    interval = sys.getswitchinterval()

    async def one(service: Service, number: int) -> bytes:
        try:
            own = {**values, "request_id": ids[number]}
            return await instance.call(service, bodies[number], own)
        finally:
            if number not in check.met:  # it never came to its handler
                check.met.add(number)
                _lose(check)

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


def _lose(check: CrossCheck) -> None:
    check.entry.lose()
    check.exit.lose()
    check.watch.ended()


# --- the handler, with gates around it


def _home(handler: NamedHandler, handlers: Handlers) -> Any:
    call = _user_call(handler, handlers)
    return sys.modules[getattr(call, "__module__", None) or "builtins"]


def _user_call(handler: NamedHandler, handlers: Handlers) -> Any:
    function = handlers.handler
    first = function.routes[0] if function.routes else function
    found = first.call if isinstance(handler, str) or function.routes else handler
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return found


def _watched(function: Function, check: CrossCheck) -> Function:
    """Return a function whose calls begin together, end together, and are looked at between."""
    if function.routes:
        routes = tuple(_watched(route, check) for route in function.routes)
        return replace(function, routes=routes)
    wrappers = {"async": _watched_async, "sync": _watched_sync, "stream": _watched_stream}
    return replace(function, call=wrappers[function.kind](function.call, check))


def _begin(check: CrossCheck) -> int:
    context = current_context()
    call = check.ids[context.request_id]
    check.met.add(call)
    check.seen[call] = context
    return call


def _watched_async(call: Callable[..., Any], check: CrossCheck) -> Callable[..., Any]:
    @wraps(call)
    async def begin(*arguments: Any) -> Any:
        number = _begin(check)
        try:
            await check.entry.meet()
            return await check.watch.stepping(number, call(*arguments), check.place)
        finally:
            check.watch.ended()
            await check.exit.meet()

    return begin


def _watched_sync(call: Callable[..., Any], check: CrossCheck) -> Callable[..., Any]:
    @wraps(call)
    def begin(*arguments: Any) -> Any:
        number = _begin(check)
        try:
            check.entry.meet_in_thread()
            return check.watch.traced(number, lambda: call(*arguments))
        finally:
            check.watch.look(number, check.place)
            check.watch.ended()
            check.exit.meet_in_thread()

    return begin


def _watched_stream(call: Callable[..., Any], check: CrossCheck) -> Callable[..., Any]:
    @wraps(call)
    async def begin(*arguments: Any) -> Any:
        number = _begin(check)
        try:
            await check.entry.meet()
            async for part in call(*arguments):
                check.watch.look(number, check.place)
                yield part
                check.watch.look(number, check.place)
        finally:
            check.watch.ended()
            await check.exit.meet()

    return begin


# --- what was found


def _findings(
    check: CrossCheck,
    outcomes: list[bytes | BaseException],
    log: CallLogs,
    exempt: list[object],
    ignore: set[str],
) -> dict[str, list[str]]:
    """Return what was found, by its kind."""
    lines = [line for line in log.lines() if line.level == "WARNING"]
    left = [_own(line.message) for line in lines if _is_left(line.message, line.request_id, check)]
    return {
        "state": check.watch.findings(),
        "failure": _cut([_failed(n, o) for n, o in enumerate(outcomes) if not _is_bytes(o)]),
        "result": _by_place(_in_results(check, outcomes, exempt), check),
        "context": _by_place(_in_contexts(check), check),
        "blocked": [],
        "tasks": _cut(left),
    }


def blocked_within(
    lines: Iterable[LoggedLine], around: Container[tuple[str, str]]
) -> Iterator[str]:
    """Yield what the log says of a loop that a handler has blocked. Where no line of the function's
    runs, the loop waits for threads or for the machine; nor is what runs `around` the calls, by
    file and function, a handler's.
    """
    for line in lines:
        found = BLOCKED.search(line.message)
        if found is not None and found.groups() not in around:
            yield re.sub(r"; \d+ other calls wait", "", line.message)


def _cut(found: list[str]) -> list[str]:
    more = len(found) - MOST_TOLD
    return found[:MOST_TOLD] + ([f"... and {more} more like these"] if more > 0 else [])


def _is_bytes(outcome: object) -> bool:
    return isinstance(outcome, bytes)


def _failed(number: int, failure: bytes | BaseException) -> str:
    assert isinstance(failure, BaseException)
    places = tracebacks.of_failure(failure)
    kind = failure.code if isinstance(failure, ServiceError) else type(failure).__name__
    where = f" at {near(places[-1].file)}:{places[-1].line}" if places else ""
    return f"call {number} failed: {kind}: {failure}{where}"


def _is_left(message: str, request_id: str, check: CrossCheck) -> bool:
    return message.startswith("the call left ") and request_id in check.ids


def _own(message: str) -> str:
    return message.partition(";")[0].replace("the call left", "a call left")


def _in_results(
    check: CrossCheck, outcomes: list[bytes | BaseException], exempt: list[object]
) -> Iterator[ForeignPart]:
    by_design = {leaf for _, leaf in _leaves(exempt)}
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, bytes):
            foreign = check.marks.of_others(value_of(outcome), number)
            if foreign and foreign.leaf not in by_design:
                yield f"result{foreign.path}", number, foreign


def _in_contexts(check: CrossCheck) -> Iterator[ForeignPart]:
    for number, context in sorted(check.seen.items()):
        bound, own = record_of(context).bound, getattr(context, "_own", None)
        fields = {f"bound field {name}": value for name, value in (bound or {}).items()}
        fields |= {f"context.{name}": value for name, value in (own or {}).items()}
        for name, value in fields.items():
            if foreign := check.marks.of_others(value, number):
                yield f"{name}{foreign.path}", number, foreign


def _by_place(found: Iterable[ForeignPart], check: CrossCheck) -> list[str]:
    """Return a text for each field in which something was found: of the first call, and how many
    there are.
    """
    firsts: dict[str, tuple[int, Foreign]] = {}
    counts = Counter[str]()
    for where, number, foreign in found:
        firsts.setdefault(where, (number, foreign))
        counts[where] += 1
    return _cut(
        [
            f"{where}: call {number} has {foreign.leaf!r}, which belongs to call"
            f" {min(foreign.owners)}; so have {counts[where]} calls; the handler is at"
            f" {check.place}"
            for where, (number, foreign) in firsts.items()
        ]
    )


def _leaves(values: list[object]) -> Iterable[tuple[str, Any]]:
    for value in values:
        yield from leaves_of(value)
