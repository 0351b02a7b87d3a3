"""Triggers and events: how they come, and how large they may be (docs/platform.md section 8)."""

from __future__ import annotations

from collections.abc import Iterator

from ..emulator.spec.document import FilePlace, section
from ..emulator.spec.rules import triggers
from ..settings.kinds import KIB, MIB, size_text
from .checked import CheckedFunction
from .finding import CheckFinding

MOST_SYNC, MOST_ASYNC = 32 * MIB, 128 * KIB
"""Bytes of an event: of a synchronous and of an asynchronous call."""

ASYNC_TRIGGERS = {"cdn_events", "log", "mns_topic", "oss", "timer"}
"""Triggers that call asynchronously; of an EventBridge trigger its configuration says it."""


def event_trigger_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is wrong with the triggers, and with the events that were named."""
    asynchronous = []
    for index, trigger in triggers(function.props):
        key: FilePlace = ("triggers", index)
        kind, config = str(trigger.get("triggerType")), section(trigger, "triggerConfig")
        if kind == "http":
            yield function.doubt(
                "triggers",
                key,
                "an HTTP trigger's requests are refused by this service: it runs event functions",
                remedy="remove it, or serve it by a web function",
                source="1.1",
            )
        if kind in ASYNC_TRIGGERS or config.get("asyncInvocationType") is True:
            asynchronous.append(kind)
        yield from _payload(function, key, config)
    yield from _events(function, asynchronous)
    yield from _largest(function)


def _payload(function: CheckedFunction, key: FilePlace, config: object) -> Iterator[CheckFinding]:
    payload = section(config).get("payload")
    if isinstance(payload, str) and len(payload.encode(errors="replace")) > MOST_ASYNC:
        yield function.fault(
            "event size",
            (*key, "triggerConfig", "payload"),
            f"the payload has {len(payload.encode(errors='replace')):,} bytes, and an asynchronous"
            f" call takes {MOST_ASYNC:,}",
            remedy="put it into OSS and send its name",
            source="8",
        )


def _events(function: CheckedFunction, asynchronous: list[str]) -> Iterator[CheckFinding]:
    """Yield what is too large of the events that `--event` names."""
    key = ("triggers",)
    for name, size in function.events:
        told = f"has {size:,} bytes"
        if size > MOST_SYNC:
            yield function.fault(
                "event size",
                key,
                f"{told}, and a call takes {MOST_SYNC:,}",
                where=name,
                remedy="put it into OSS and send its name",
                source="8",
            )
        elif size > MOST_ASYNC:
            come = f"triggers of this function ({', '.join(asynchronous)})" if asynchronous else ""
            say = function.fault if asynchronous else function.doubt
            yield say(
                "event size",
                key,
                f"{told}, and an asynchronous call takes {MOST_ASYNC:,}:"
                f" {come or 'callers of InvokeFunction with Async'} cannot send it",
                where=name,
                remedy="put it into OSS and send its name",
                source="8",
            )
        else:
            yield function.fits("event size", key, f"{told}", where=name, source="8")


def _largest(function: CheckedFunction) -> Iterator[CheckFinding]:
    if function.loaded is not None and function.loaded.settings.max_body > MOST_SYNC:
        most = size_text(function.loaded.settings.max_body)
        yield function.doubt(
            "event size",
            ("environmentVariables", "SERVICE_MAX_BODY"),
            f"max_body is {most}, and the platform sends {size_text(MOST_SYNC)} at most",
            remedy="leave SERVICE_MAX_BODY out",
            source="8",
        )
