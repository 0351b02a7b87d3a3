"""The sample of several triggers, under the local Function Compute."""

import json
from pathlib import Path

from service.emulator.testing import emulator
from service.events.sample import sample

SPEC = Path(__file__).parents[1] / "s.yaml"


def test_uploads_are_counted_and_reported() -> None:
    """Each trigger's event finds its function, and the report has what was counted."""
    with emulator(SPEC) as fc:
        for key in ("incoming/a/1.png", "incoming/a/%E5%B0%81.png", "incoming/b/2.png"):
            event = sample("oss.put", {"events.0.oss.object.key": key})
            assert fc.invoke("timer-report", event).body == b"1"
        report = fc.invoke("timer-report", sample("timer", {"payload": '"{\\"top\\": 1}"'}))
        assert json.loads(report.body) == {
            "until": "2026-03-11T08:30:00+00:00",
            "uploads": 3,
            "folders": {"incoming/a": 2},
        }
        assert fc.invoke("timer-report", b"hello").body == b"ignored"
        wrong = fc.invoke("timer-report", sample("timer", {"payload": "hourly"}))
        assert wrong.error_type == "UnhandledInvocationError"
        assert "TimerEvent.payload: not JSON" in json.loads(wrong.body)["errorMessage"]
