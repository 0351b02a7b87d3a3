"""Log records for OpenTelemetry, if its variables ask for them. The one module that uses the names
of OpenTelemetry's logs: those are public, and begin with an underscore as long as they may change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from opentelemetry._logs import (
    LogRecord,
    SeverityNumber,
    get_logger_provider,
    set_logger_provider,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from ..calls import tracebacks
from ..context.call import RUNNING, record_of
from ..context.plain import safe_text
from ..logs.records import fields_of

SENDERS = ("opentelemetry", "urllib3", "requests")
"""Packages that send records, whose own would never end."""

SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
    (logging.NOTSET, SeverityNumber.DEBUG),
)


class RecordSender(logging.Handler):
    """Gives each record of `logging` to OpenTelemetry, with the span that is current there, the id
    of its call, its fields and those bound to the call. Of an exception the type and the frames are
    told.
    """

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        if record.name.partition(".")[0] in SENDERS:
            return
        try:
            body = record.getMessage()
        except Exception:  # its arguments do not fit it: the log shows it as it can
            body = safe_text(record.msg)
        logger = self._provider.get_logger(record.name)
        logger.emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                severity_text=record.levelname,
                severity_number=next(n for level, n in SEVERITIES if record.levelno >= level),
                body=body,
                attributes=_attributes(record),
            )
        )


def _attributes(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = {
        **fields_of(record),
        "code.file.path": record.pathname,
        "code.line.number": record.lineno,
        "code.function.name": record.funcName,
    }
    context = RUNNING.get(None)
    if context is not None:
        found = {**(record_of(context).bound or {}), **found}
        found["faas.invocation_id"] = context.request_id
    failure = record.exc_info[1] if record.exc_info else None
    if failure is not None:
        found["exception.type"] = type(failure).__qualname__
        found["exception.stacktrace"] = tracebacks.as_text(tracebacks.of_failure(failure))
    return found


def flush_of_others() -> Callable[[], object] | None:
    """Return what sends the records of a provider that the process has already; None without
    one.
    """
    flush: Callable[[], object] | None = getattr(get_logger_provider(), "force_flush", None)
    return flush


def send_log_records(exporter: Any, resource: Resource) -> Callable[[], object]:
    """Send what is logged from now on; return what sends all that is queued."""
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    set_logger_provider(provider)
    logging.getLogger().addHandler(RecordSender(provider))
    return provider.force_flush
