"""What was found of calls that were in flight together, in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence

from ..calls import tracebacks
from ..context.call import record_of
from ..errors import ServiceError
from .call_logs import LoggedLine
from .cross_check import CrossCheck
from .invoking import value_of
from .marks import Foreign, leaves_of
from .module_state import near

MOST_TOLD = 10
"""Findings of one kind that are told one by one."""

BLOCKED = re.compile(r"event loop has been blocked for \S+ s at (.+):\d+ in (.+?); ")

CallOutcome = bytes | BaseException
"""The answer of a call, or what it has failed with."""

ForeignPart = tuple[str, int, Foreign]
"""The name of a field, the call that has it, and what in it is another's."""


def found_of_calls(check: CrossCheck, outcomes: Sequence[CallOutcome]) -> dict[str, list[str]]:
    """Return what was found in modules, in outcomes and in contexts, by its kind."""
    failed = [_failed(n, o) for n, o in enumerate(outcomes) if isinstance(o, BaseException)]
    return {
        "state": check.watch.findings(),
        "failure": _cut(failed),
        "result": _by_place(_in_results(check, outcomes), check),
        "context": _by_place(_in_contexts(check), check),
    }


def blocked_within(lines: Iterable[LoggedLine], around: Container[tuple[str, str]]) -> list[str]:
    """Return what the log says of a loop that a handler has blocked. Where no line of the
    function's runs, the loop waits for threads or for the machine; nor is what runs `around` the
    calls, by file and function, a handler's.
    """
    return _cut(
        [
            re.sub(r"; \d+ other calls wait", "", line.message)
            for line in lines
            if (found := BLOCKED.search(line.message)) and found.groups() not in around
        ]
    )


def found_of_tasks(
    check: CrossCheck, lines: Iterable[LoggedLine], left: Sequence[str]
) -> list[str]:
    """Return what the log says of tasks that calls have left running, or else that the instance had
    them `left` at its end.
    """
    ids = set(check.ids)
    told = [
        line.message.partition(";")[0].replace("the call left", "a call left")
        for line in lines
        if line.level == "WARNING"
        and line.message.startswith("the call left ")
        and line.request_id in ids
    ]
    if left and not told:
        return [f"tasks were left running: {', '.join(left[:MOST_TOLD])}"]
    return _cut(told)


def _cut(found: list[str]) -> list[str]:
    more = len(found) - MOST_TOLD
    return found[:MOST_TOLD] + ([f"... and {more} more like these"] if more > 0 else [])


def _failed(number: int, failure: BaseException) -> str:
    places = tracebacks.of_failure(failure)
    kind = failure.code if isinstance(failure, ServiceError) else type(failure).__name__
    where = f" at {near(places[-1].file)}:{places[-1].line}" if places else ""
    return f"call {number} failed: {kind}: {failure}{where}"


def _in_results(check: CrossCheck, outcomes: Sequence[CallOutcome]) -> Iterator[ForeignPart]:
    shared = check.watch.shared_values()
    by_design = {leaf for value in shared for _, leaf in leaves_of(value)}
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
