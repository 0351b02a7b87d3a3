"""Contexts that are made of a call's: for a part of it, for work that several calls share or that
one begins for all, and in another worker.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from .call import Context, give_state_of, record_of
from .fields import set_once
from .record import CallRecord


def context_of_part(
    context: Context, deadline: float | None, fields: Mapping[str, str | int]
) -> Context:
    """Return the context of a part of a call, which has a deadline of its own, and in its log lines
    `fields`, which are short, beside those of the call. What it binds and sets is in no other part.
    """
    whole, record = record_of(context), CallRecord()
    record.arrived, record.bound = whole.arrived, {**(whole.bound or {}), **fields}
    record.lines, record.span = whole.lines, whole.span
    part = copy.copy(context)
    set_once(part, "deadline", deadline)
    set_once(part, "_record", record)
    return part


def shared_context(calls: Sequence[Context], deadline: float | None) -> Context:
    """Return a context for work that several calls share: it has the first one's fields, request id
    and age, its trace, and nothing that the call has bound. Its lines tell how many calls it is
    for.
    """
    first = calls[0]
    noted = record_of(first)
    record = CallRecord(noted.arrived)
    record.lines, record.span = noted.lines, noted.span
    record.bound = {"batchSize": len(calls)}
    shared = Context(first._headers, first.request_id, deadline, first._platform, record)
    give_state_of(first, shared)
    return shared


def work_context(context: Context, request_id: str) -> Context:
    """Return a context for work that a call begins and all calls share: its lines have an id and
    fields of their own, and no deadline is its.
    """
    record = CallRecord(record_of(context).arrived)
    return Context(context._headers, request_id, None, context._platform, record)


def sent_headers(context: Context) -> dict[str, str]:
    """Return the platform's headers of a call: what another worker makes the same context of."""
    headers = context._headers
    return {name: value for name, value in headers.items() if name.lower().startswith("x-fc-")}
