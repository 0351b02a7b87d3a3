"""What this service's own lines report of a call: it was held up, or ran out of its time."""

from __future__ import annotations

from .entry import CallEntry
from .history import CallHistory

STALL_LINE = "the event loop has been blocked for "
DEADLINE_LINE = "FunctionTimeout while "
"""How it writes of a call that holds all others up, and of one that is cut."""


def note_line(history: CallHistory, request_id: str, instance: str, text: str) -> None:
    """Note a line of a call, and what it reports: of a stall beside all calls that it has hit."""
    entry = history.line(request_id, instance, text)
    if entry is None:
        return
    if STALL_LINE in text:
        _note_stall(history, entry, text[text.index(STALL_LINE) :])
    elif DEADLINE_LINE in text:
        history.report(entry, "deadline", text[text.index(DEADLINE_LINE) :])


def _note_stall(history: CallHistory, entry: CallEntry, text: str) -> None:
    history.report(entry, "stall", text)
    for other in history.running(entry.instance):
        if other is not entry:
            history.report(other, "stall", f"of the call {entry.id}: {text}")
