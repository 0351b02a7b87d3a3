"""What OpenTelemetry's own variables ask for (opentelemetry.io/docs/specs/otel/configuration)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
DISABLED = "OTEL_SDK_DISABLED"
TELEMETRY = ("traces", "metrics", "logs")

GRPC, HTTP = "otlp_proto_grpc", "otlp_proto_http"
"""Exporters of OTLP, by the names that their packages give them; the extra has the second one."""

QUEUE = 16_384
"""Spans that may wait for the exporter, if nothing is said: those of some thousand calls."""

METRIC_INTERVAL = 60.0
"""Seconds from one report of metrics to the next, if nothing is said."""


class Exporters(msgspec.Struct, frozen=True):
    """Who is sent what: the exporter's name for each signal, "" for nothing.

    `queue` are the spans that may wait, `metric_interval` the seconds between two reports.
    """

    traces: str = HTTP
    metrics: str = HTTP
    logs: str = ""
    queue: int = QUEUE
    metric_interval: float = METRIC_INTERVAL


def exporters_of(environ: Mapping[str, str]) -> Exporters:
    """Return what the variables ask for. Log records are sent only if they are asked for, metrics
    unless an endpoint is named for traces alone.
    """
    alone = bool(environ.get(_endpoint("traces"))) and not environ.get(ENDPOINT)
    usual = {"traces": "otlp", "metrics": "none" if alone else "otlp", "logs": "none"}
    names = {signal: _exporter(signal, usual[signal], environ) for signal in TELEMETRY}
    return Exporters(
        traces=names["traces"],
        metrics=names["metrics"],
        logs=names["logs"],
        queue=int(_number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE)),
        metric_interval=_number(environ, "OTEL_METRIC_EXPORT_INTERVAL", METRIC_INTERVAL * 1000)
        / 1000,
    )


def wish(environ: Mapping[str, str]) -> str:
    """Return the variable that asks for OpenTelemetry, "" if none does."""
    for name in (ENDPOINT, *map(_endpoint, TELEMETRY)):
        if environ.get(name):
            return name
    for signal in TELEMETRY:
        if _exporter(signal, "none", environ):
            return f"OTEL_{signal.upper()}_EXPORTER"
    return ""


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Return whether OTEL_SDK_DISABLED says that nothing is made or sent."""
    return environ.get(DISABLED, "").strip().casefold() == "true"


def _endpoint(signal: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"


def _exporter(signal: str, usual: str, environ: Mapping[str, str]) -> str:
    """Return the name of a signal's exporter; of several, the first."""
    said = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").partition(",")[0].strip() or usual
    if said != "otlp":
        return "" if said == "none" else said
    protocol = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL") or environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", ""
    )
    return GRPC if protocol.strip() == "grpc" else HTTP


def _number(environ: Mapping[str, str], name: str, usual: float) -> float:
    """Return a variable's number; as OpenTelemetry does, the usual one for what is none."""
    text = environ.get(name, "")
    return float(text) if re.fullmatch("[1-9][0-9]{0,8}", text) else usual
