"""Times of events, whatever an event holds in their place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.calls.decode import decoder
from service.errors import InvalidEvent
from service.events import (
    DtsEvents,
    KafkaEvents,
    MnsTopicEvent,
    OssEvent,
    OssRecord,
    SlsEvent,
    TablestoreEvent,
    TimerEvent,
)
from service.events.moments import from_epoch, read_moment
from service.events.oss import OssBucket, OssInfo, OssObject
from service.events.sample import sample


def oss_event(time: Any) -> OssEvent:
    body = json.loads(sample("oss.put"))
    body["events"][0]["eventTime"] = time
    return msgspec.convert(body, OssEvent)


def test_a_time_is_read_when_it_is_asked_for() -> None:
    """A field has the time each time it is read, and is written and compared as it came."""
    record = oss_event("2026-03-11T16:22:17+08:00").events[0]
    assert record.event_time == record.event_time == datetime(2026, 3, 11, 8, 22, 17, tzinfo=UTC)
    assert msgspec.to_builtins(record)["eventTime"] == "2026-03-11T16:22:17+08:00"
    assert record == oss_event("2026-03-11T16:22:17+08:00").events[0]


def test_a_time_of_ones_own_is_kept() -> None:
    """An event that is made by hand has the time that it was given; a time cannot be set later."""
    noon = datetime(2026, 3, 11, 12, tzinfo=UTC)
    record = OssRecord("ObjectCreated:PutObject", OssInfo(OssBucket("b"), OssObject("k")), "", noon)
    assert record.event_time == noon
    with pytest.raises(AttributeError):
        record.event_time = noon  # type: ignore[misc] # it is what is tried


def test_a_time_without_a_zone_is_utc() -> None:
    """Every time has an offset: those that came without one, of a timer too, are in UTC."""
    noon = datetime(2026, 3, 11, 12, tzinfo=UTC)
    assert oss_event("2026-03-11 12:00:00").events[0].event_time == noon
    timer = b'{"triggerTime":"2026-03-11T12:00:00","triggerName":"t"}'
    assert decoder(TimerEvent)(timer).trigger_time == noon


def test_a_timer_whose_time_is_none_is_refused() -> None:
    """The time is what a timer's event is about: it is checked when the event comes."""
    with pytest.raises(InvalidEvent, match=r"\$\.triggerTime: Invalid"):
        decoder(TimerEvent)(b'{"triggerTime":"noon","triggerName":"t"}')


@settings(max_examples=50)
@given(st.none() | st.integers() | st.text() | st.dates().map(str) | st.datetimes().map(str))
@example("2026-03-11T12:00:00+08:99")
@example("0001-01-01T00:00:00+23:59")
def test_reading_a_time_never_fails(sent: Any) -> None:
    """Whatever stands there is a time with an offset, or is what it was."""
    found = read_moment(sent)
    assert found == sent or found.tzinfo is not None


@settings(max_examples=50)
@given(st.none() | st.integers() | st.text() | st.floats(), st.sampled_from([1, 1000, 1_000_000]))
def test_reading_a_count_never_fails(sent: Any, a_second: int) -> None:
    """A count since 1970 is a time in UTC; what is none, or out of a calendar's range, is None."""
    found = from_epoch(sent, a_second)
    assert found is None or found.tzinfo is UTC


def test_families_tell_their_time() -> None:
    """What comes as a count since 1970 is a time as well, in whatever unit the trigger counts."""
    second = datetime(2026, 3, 11, 8, 50, 1, tzinfo=UTC)
    (row, *_) = decoder(TablestoreEvent)(sample("tablestore")).records
    assert row.time == second.replace(microsecond=123456)
    assert row.columns[0].time == second.replace(microsecond=123000)
    assert decoder(DtsEvents)(sample("dts"))[0].data.time == second
    message = decoder(KafkaEvents)(sample("kafka"))[0].data
    assert message.time == datetime(2026, 3, 11, 8, 40, 12, 319000, UTC)
    topic = decoder(MnsTopicEvent)(sample("mns.topic"))
    assert topic.time == datetime(2026, 3, 11, 8, 22, 17, 281000, UTC)
    assert decoder(SlsEvent)(sample("sls")).time == datetime(2026, 3, 11, 8, 2, 17, tzinfo=UTC)
    assert decoder(MnsTopicEvent)(b'{"TopicName":"t","Message":"m"}').time is None
