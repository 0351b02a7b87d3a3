"""The line that sums up a call."""

from __future__ import annotations

import json
from typing import Any

from service.context.call import RUNNING, Context
from service.context.record import CallRecord
from service.logs.call_line import CallLines, call_figures
from tests.assembly import logged, untimed


def record_of_times(**fields: Any) -> CallRecord:
    """A record of a call whose head arrived at 1 s."""
    record = CallRecord(1.0)
    for name, value in fields.items():
        setattr(record, name, value)
    return record


DONE: dict[str, Any] = {
    "slot_at": 1.25,
    "open_at": 1.25,
    "handler_at": 1.5,
    "handled_at": 1.75,
    "ended": 2.0,
    "bytes_in": 10,
    "bytes_out": 20,
    "in_flight": 3,
}


def test_a_call_is_summed_up() -> None:
    """Milliseconds of the whole, of the queue and of the handler; bytes; how many there were."""
    assert call_figures(record_of_times(**DONE)) == {
        "outcome": "success",
        "durationMs": 1000.0,
        "queueMs": 250.0,
        "handlerMs": 250.0,
        "bytesIn": 10,
        "bytesOut": 20,
        "coldStart": False,
        "inFlight": 3,
    }


def test_a_cold_start_tells_how_long_it_waited_for_the_initializer() -> None:
    """And a plain handler's call what its thread worked."""
    shown = call_figures(
        record_of_times(**DONE | {"open_at": 1.5, "cold_start": True, "cpu": 0.0123})
    )
    assert (shown["initializeMs"], shown["coldStart"], shown["cpuMs"]) == (250.0, True, 12.3)


def test_a_call_has_no_times_of_what_it_did_not_come_to() -> None:
    """One that ends in the queue was queued all the time; one whose handler never came back was in
    it until its answer.
    """
    queued = call_figures(record_of_times(ended=2.0, error_type="FunctionTimeout"))
    assert (queued["outcome"], queued["errorType"]) == ("failure", "FunctionTimeout")
    assert queued["queueMs"] == queued["durationMs"] == 1000.0
    assert not {"handlerMs", "initializeMs", "cpuMs"} & set(queued)
    waiting = call_figures(record_of_times(slot_at=1.25, ended=2.0))
    assert (waiting["queueMs"], waiting["initializeMs"]) == (250.0, 750.0)
    running = call_figures(record_of_times(**DONE | {"handled_at": 0.0}))
    assert running["handlerMs"] == 500.0


def test_a_slow_call_is_a_warning() -> None:
    """Any other is not."""
    token = RUNNING.set(Context({}, "r1"))
    try:
        with logged() as (logs, pipe):
            CallLines(logs, slow_after=1.0).ended(RUNNING.get(), record_of_times(**DONE))
            CallLines(logs, slow_after=1.1).ended(RUNNING.get(), record_of_times(**DONE))
            slow, other = untimed(pipe.lines())
        with logged("json") as (logs, pipe):
            CallLines(logs, slow_after=1.0).ended(RUNNING.get(), record_of_times(**DONE))
            (line,) = pipe.lines()
    finally:
        RUNNING.reset(token)
    fields = "outcome=success durationMs=1000.0 queueMs=250.0 handlerMs=250.0 bytesIn=10"
    more = "bytesOut=20 coldStart=false inFlight=3"
    assert slow == f"r1 [WARNING] the call was slow {fields} {more}"
    assert other == f"r1 [INFO] the call has ended {fields} {more}"
    assert json.loads(line)["durationMs"] == 1000.0
