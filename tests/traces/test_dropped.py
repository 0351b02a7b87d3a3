"""What was not sent is counted, and told once a minute."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from service.traces import dropped as module
from service.traces.dropped import Dropped, ReasonHandler


def test_what_is_dropped_is_told_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first is told at once, with the exporter's reason; what follows, in one line a minute."""
    now = 1000.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    dropped = Dropped()
    dropped.reason = "Connection refused"
    for _ in range(5):
        dropped.add("spans", 100)
    now += module.EVERY
    dropped.add("log records", 3)
    dropped.add("spans", 1)
    dropped.tell()
    dropped.tell()
    assert [record.getMessage() for record in caplog.records] == [
        "OpenTelemetry: not sent: 100 spans: Connection refused",
        "OpenTelemetry: not sent: 3 log records, 400 spans: Connection refused",
        "OpenTelemetry: not sent: 1 spans: Connection refused",
    ]
    assert dropped.total == {"spans": 501, "log records": 3}


def test_the_reason_is_what_the_exporter_logs() -> None:
    """Its lines become the reason, cut; one that cannot be made into text is its logger's name."""
    dropped = Dropped()
    handler = ReasonHandler(dropped)
    handler.emit(logging.LogRecord("x", logging.ERROR, "", 1, "code %s", ("N" * 5000,), None))
    assert dropped.reason == ("code " + "N" * 5000)[: module.MAX_REASON]
    handler.emit(logging.LogRecord("its.name", logging.ERROR, "", 1, "%d", ("a",), None))
    assert dropped.reason == "its.name"
