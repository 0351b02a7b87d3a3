"""What a record of `logging` says: its message, its fields, its failure."""

from __future__ import annotations

import logging
from typing import Any

from msgspec.structs import replace

from ..context.plain import MAX_NAME, cut_text, plain_fields, safe_text
from ..protocol import SERVICE_LOGGER
from .details import Details, LoggedFailure

PLAIN_FORM = logging.Formatter("%(message)s")
"""The form of records as long as the function's code has set no other one."""

_OWN_NAMES = {
    *logging.LogRecord("", 0, "", 0, "", (), None).__dict__,
    *("message", "asctime", "taskName"),
}
"""Attributes that `logging` gives a record: all others are fields."""


FAILURE = "failure"
"""The field in which records of ours have a failure's kind and message."""


def told_by(record: logging.LogRecord, form: logging.Formatter | None) -> tuple[str, str, Details]:
    """Return a record's level, its message in the given form, and what else there is. Nothing that
    its parts do when they are shown is raised.
    """
    failure = None
    try:
        if record.name == SERVICE_LOGGER:
            message, failure = record.getMessage(), _own_failure(record)
        elif form is PLAIN_FORM or form is None:
            message, failure = record.getMessage(), _failure(record)
        else:
            message, failure = form.format(record), _failure(record)
            failure = failure and replace(failure, is_told=True)
    except Exception as reason:
        message = (
            f"a log record of {safe_text(record.pathname)}:{safe_text(record.lineno)} cannot be"
            f" formatted: {_repr_of(reason)}"
        )
    level, name = (cut_text(safe_text(x), MAX_NAME) for x in (record.levelname, record.name))
    return level, message, Details(name, extra=fields_of(record), failure=failure)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record has been given as `extra`, as plain values."""
    names = record.__dict__.keys() - _OWN_NAMES
    if record.name == SERVICE_LOGGER:
        names.discard(FAILURE)
    if not names:
        return {}
    # In the order in which they were given.
    return plain_fields({n: value for n, value in record.__dict__.items() if n in names})


def _failure(record: logging.LogRecord) -> LoggedFailure | None:
    """Return the exception of a record, and its traceback as Python shows it."""
    stack = record.stack_info.split("\n") if record.stack_info else []
    kind, failure, _ = record.exc_info or (None, None, None)
    if kind is None:
        if record.exc_text:  # of a record that was pickled
            stack = [*record.exc_text.split("\n"), *stack]
        return LoggedFailure("", "", stack) if stack else None
    if not record.exc_text:
        record.exc_text = PLAIN_FORM.formatException(record.exc_info)  # type: ignore[arg-type]
    return LoggedFailure(kind.__name__, safe_text(failure), [*record.exc_text.split("\n"), *stack])


def _own_failure(record: logging.LogRecord) -> LoggedFailure | None:
    """Return the failure that a record of ours tells of. Its message is the whole story, which
    shows no more than it may; the exception comes along for others' handlers.
    """
    kind, failure, _ = record.exc_info or (None, None, None)
    if kind is None:
        said: tuple[str, str] | None = record.__dict__.get(FAILURE)
        return LoggedFailure(*said, stack=[], is_told=True) if said else None
    story = record.getMessage()
    text = safe_text(failure)
    if "\n" not in story:
        return LoggedFailure(kind.__name__, text, [], is_told=True)
    short = f"{kind.__name__}: {text}"
    return LoggedFailure(kind.__name__, text, story.split("\n"), is_told=True, short=short)


def _repr_of(reason: Exception) -> str:
    try:
        return repr(reason)
    except Exception:
        return type(reason).__name__
