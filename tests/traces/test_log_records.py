"""Records of `logging` as OpenTelemetry is given them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from service.protocol import SERVICE_LOGGER
from service.traces.log_records import RecordSender


class Kept:
    """A provider that keeps what it is given, and is its logger, too."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def get_logger(self, name: str) -> Kept:
        """Itself."""
        return self

    def emit(self, record: Any) -> None:
        """Keep it."""
        self.records.append(record)


class Untold:
    """A message that has no text."""

    def __str__(self) -> str:
        raise LookupError("no text")


def sent(record: logging.LogRecord) -> Any:
    """What is given for a record."""
    kept: Any = Kept()
    RecordSender(kept).emit(record)
    [found] = kept.records
    return found


def record(logger: str, message: object, **fields: object) -> logging.LogRecord:
    """A warning."""
    return logging.getLogger(logger).makeRecord(
        logger, logging.WARNING, "index.py", 7, message, (), None, "handler", fields
    )


def test_fields_are_attributes() -> None:
    """Under their names, with credentials masked; ours has its failure in the message."""
    own = sent(record("orders", "refused", failure="no stock", token="t-1"))
    assert own.body == "refused"
    assert (own.attributes["failure"], own.attributes["token"]) == ("no stock", "***")
    ours = sent(
        record(SERVICE_LOGGER, "InvalidEvent: no JSON", failure=("InvalidEvent", "no JSON"))
    )
    assert "failure" not in ours.attributes


@pytest.mark.parametrize("message", [Untold(), "%s"])
def test_a_message_that_cannot_be_made_fails_nobody(message: object) -> None:
    """It is sent as it can be told."""
    odd = record("orders", message)
    odd.args = (Untold(),)
    assert sent(odd).body in ("%s", "<Untold without text: LookupError>")
