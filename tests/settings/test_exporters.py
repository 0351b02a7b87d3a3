"""What OpenTelemetry's own variables ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings.exporters import (
    GRPC,
    HTTP,
    METRIC_INTERVAL,
    QUEUE,
    Exporters,
    exporters_of,
    wish,
)
from service.settings.load import load_settings

URL = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, ""),
        (URL, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_LOGS_EXPORTER": "otlp"}, "OTEL_LOGS_EXPORTER"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "shop"}, ""),
    ],
)
def test_a_variable_that_names_a_place_turns_it_on(
    tmp_path: Path, environ: dict[str, str], name: str
) -> None:
    """An endpoint or an exporter asks for OpenTelemetry; `otel` is false if nothing does."""
    assert wish(environ) == name
    loaded = load_settings({}, environ, tmp_path)
    assert loaded.settings.otel == bool(name)
    if name:
        assert loaded.sources["otel"] == f"environment {name}"


def test_the_setting_wins_over_the_variables(tmp_path: Path) -> None:
    """`otel = false` turns it off, and `true` on; OTEL_SDK_DISABLED has the last word."""

    def is_on(**environ: str) -> bool:
        return load_settings({}, {**URL, **environ}, tmp_path).settings.otel

    assert is_on()
    assert not is_on(SERVICE_OTEL="false")
    assert is_on(SERVICE_OTEL="true", OTEL_SDK_DISABLED="false")
    assert not is_on(SERVICE_OTEL="true", OTEL_SDK_DISABLED=" True")


@pytest.mark.parametrize(
    ("environ", "exporters"),
    [
        (URL, Exporters(HTTP, HTTP, "", QUEUE, METRIC_INTERVAL)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, Exporters(HTTP, "", "")),
        ({**URL, "OTEL_METRICS_EXPORTER": "none"}, Exporters(HTTP, "", "")),
        ({**URL, "OTEL_LOGS_EXPORTER": "otlp"}, Exporters(HTTP, HTTP, HTTP)),
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, Exporters("console", HTTP, "")),
        ({**URL, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, Exporters(GRPC, GRPC, "")),
        ({**URL, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, Exporters(GRPC, HTTP, "")),
        ({**URL, "OTEL_BSP_MAX_QUEUE_SIZE": "512"}, Exporters(queue=512)),
        ({**URL, "OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, Exporters()),
        ({**URL, "OTEL_METRIC_EXPORT_INTERVAL": "5000"}, Exporters(metric_interval=5.0)),
    ],
)
def test_each_signal_has_its_exporter(environ: dict[str, str], exporters: Exporters) -> None:
    """Spans and metrics go to the collector, log records if they are asked for."""
    assert exporters_of(environ) == exporters
