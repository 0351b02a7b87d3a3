"""Every setting of the service, once: its default, what it takes, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from .exporters import Exporters
from .kinds import (
    GIB,
    KIB,
    MIB,
    ON,
    choice,
    folder,
    fraction,
    header_field,
    host,
    levels,
    name,
    seconds,
    size,
    whole,
)
from .rows import Row, RowsInOrder

BUDGET = "half of FC_FUNCTION_MEMORY_SIZE (of 512 MB when unknown), at least max_body"
OTEL = "true if an OTEL_* variable names an endpoint or an exporter"
FUNCTION, ADDRESS, LIMITS = "Function", "Address", "How many at once"
TIMES, BODIES, LOGS = "Time limits", "Bodies", "Logs and errors"
TRACES, PROCESS = "Traces", "Process"

DOTTED = name()
HOOK = name("none")
HOST = host()
SESSION = header_field()
FOLDER = folder()
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LEVEL = choice(*LEVELS)
FORMAT = choice("text", "json")
CALLS = choice("off", "slow", "all")
LEFT = choice("wait", "warn", "cancel")
LOOP = choice("auto", "asyncio", "uvloop")
DAY = seconds(0.1, 86_400)
DAY_OR_ZERO = seconds(0, 86_400)
DAY_OR_NONE = seconds(0.1, 86_400, optional=True)


_TABLE = RowsInOrder()
row = _TABLE.row


class Settings(msgspec.Struct, frozen=True):
    """The table: each setting's name, type, group, default, what it takes, and what it is for.

    `queue` and `body_budget` have here the value they get when nothing at all is set.
    """

    handler: str = row(
        FUNCTION, "index.handler", DOTTED, "the function that is called with each event"
    )
    initializer: str | None = row(
        FUNCTION,
        None,
        HOOK,
        "runs once, before the first event",
        "`initialize` or `initializer` in the handler's module",
    )
    pre_stop: str | None = row(
        FUNCTION,
        None,
        HOOK,
        "runs once, before the instance is destroyed",
        "`pre_stop` in the handler's module",
    )
    pre_freeze: str | None = row(
        FUNCTION,
        None,
        HOOK,
        "runs before each freeze (Function Compute 2)",
        "`pre_freeze` in the handler's module",
    )
    lifespan: str | None = row(
        FUNCTION,
        None,
        HOOK,
        "opens before the first event what calls share, and closes it after the last one",
        "`lifespan` in the handler's module",
    )
    around: str | None = row(
        FUNCTION,
        None,
        HOOK,
        "runs around each call, and sees what it comes to",
        "`around` in the handler's module",
    )
    middlewares: str | None = row(
        FUNCTION,
        None,
        HOOK,
        "a list of aiohttp's middlewares, around every request",
        "`middlewares` in the handler's module",
    )
    host: str = row(ADDRESS, "0.0.0.0", HOST, "where to listen; the platform needs 0.0.0.0")
    port: int = row(ADDRESS, 9000, whole(0, 65535), "the port; 0 takes any that is free")
    concurrency: int = row(
        LIMITS, 100, whole(1, 200), "calls that run at once; the same as instanceConcurrency"
    )
    queue: int = row(
        LIMITS,
        100,
        whole(0, 10_000),
        "calls that wait; more are refused (429)",
        "the same as concurrency",
    )
    workers: int | Literal["auto"] = row(
        LIMITS, 1, whole(1, 64, "auto"), "processes; auto makes one for each CPU"
    )
    session_header: str | None = row(
        LIMITS, None, SESSION, "the header field of session affinity: affinityHeaderFieldName"
    )
    timeout: float | None = row(
        TIMES, None, DAY_OR_NONE, "a call's time if the platform names none"
    )
    deadline_margin: float = row(
        TIMES, 0.2, seconds(0, 60), "a call is ended so long before its time is up"
    )
    initialize_timeout: float = row(TIMES, 300.0, DAY, "the initializer's time")
    drain_timeout: float = row(TIMES, 60.0, DAY_OR_ZERO, "how long a stop waits for running calls")
    header_timeout: float = row(TIMES, 20.0, DAY, "from a request's first byte to its last header")
    body_timeout: float = row(TIMES, 60.0, DAY, "how long an event or an answer may stand still")
    stall_after: float = row(
        TIMES, 0.5, seconds(0, 3600), "a loop that is blocked so long is reported; 0: never"
    )
    max_body: int = row(BODIES, 32 * MIB, size(GIB), "the largest event; more is refused (413)")
    body_budget: int = row(
        BODIES, 256 * MIB, size(64 * GIB), "events in memory together; more wait", BUDGET
    )
    log_level: str = row(LOGS, "INFO", LEVEL, "the least severe line that is written")
    log_format: Literal["text", "json"] = row(LOGS, "text", FORMAT, "the form of a line")
    log_levels: tuple[tuple[str, str], ...] = row(
        LOGS, (), levels(*LEVELS), "the least severe line of single loggers, httpx=WARNING"
    )
    log_calls: Literal["off", "slow", "all"] = row(
        LOGS, "slow", CALLS, "the calls that a line sums up when they end"
    )
    slow_after: float = row(LOGS, 1.0, DAY_OR_ZERO, "a call that takes so long is slow")
    log_buffer: bool = row(
        LOGS, False, ON, "keep a call's lines below log_level, write them if it fails or is slow"
    )
    log_buffer_call: int = row(LOGS, 64 * KIB, size(GIB), "lines kept of one call, the last ones")
    log_buffer_total: int = row(LOGS, 8 * MIB, size(GIB), "lines kept of all calls together")
    debug_sample: float = row(
        LOGS, 0.0, fraction(), "write the lines below log_level of such a share of the calls"
    )
    metrics: bool = row(LOGS, True, ON, "count calls and what they took, and tell it at /metrics")
    error_trace: bool = row(LOGS, False, ON, "send a failed call's stack trace to its caller")
    otel: bool = row(
        TRACES, False, ON, "send spans, metrics and log records by OpenTelemetry", OTEL
    )
    telemetry_flush: float = row(
        TRACES, 0.5, seconds(0, 60), "how long the last call's answer waits until they are sent"
    )
    background: Literal["wait", "warn", "cancel"] = row(
        PROCESS, "warn", LEFT, "what becomes of tasks that a call leaves behind"
    )
    loop: Literal["auto", "asyncio", "uvloop"] = row(
        PROCESS, "auto", LOOP, "the event loop; auto is uvloop if it is installed"
    )
    profile_calls: float = row(
        PROCESS,
        0.0,
        seconds(0, 3600),
        "so long after the first call a flame graph of the handler is written; 0: never",
    )
    profile_folder: str = row(PROCESS, "/tmp", FOLDER, "where it is written, as profile-*.svg")
    python_parser: bool = row(PROCESS, False, ON, "serve even if aiohttp's C parser is missing")
    exporters: Exporters = Exporters()
    """What OpenTelemetry's own variables ask for. Not a setting: no row."""
    function_handler: str = ""
    """FC_FUNCTION_HANDLER, unless a flag or SERVICE_HANDLER overrules it. Not a setting: no row."""

    @property
    def handlers(self) -> tuple[str, ...]:
        """The names under which the handler is looked for: the first that resolves is served."""
        return tuple(dict.fromkeys(filter(None, (self.function_handler, self.handler))))


ROWS: Mapping[str, Row] = _TABLE.named(Settings.__struct_fields__)
