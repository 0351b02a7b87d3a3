"""What the type of each trigger makes of its sample, of more fields than it knows, of less."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import cache, reduce
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service.events
from service.calls.decode import decoder
from service.calls.encode import encode
from service.errors import InvalidEvent
from service.events import (
    ApiGatewayEvent,
    CdnEvent,
    CloudEvents,
    DtsEvents,
    EventBridgeEvent,
    EventBridgeOssEvent,
    HttpEvent,
    KafkaEvents,
    MnsQueueEvents,
    MnsStreamEvent,
    MnsTopicEvent,
    MqttMessages,
    OssEvent,
    RabbitMqEvents,
    RocketMqEvents,
    RocketMqMessages,
    SlsEvent,
    TablestoreEvent,
    TimerEvent,
)
from service.events.sample import names, sample

CHINA = timezone(timedelta(hours=8))
KEY = "incoming/2026/03/cover-0042.png"

SAMPLES: dict[str, tuple[Any, dict[str, Any]]] = {
    "apigateway": (ApiGatewayEvent, {"http_method": "POST", "path_parameters.id": "42"}),
    "cdn.log": (CdnEvent, {"events.0.event_parameter.fileSize": 902144}),
    "cdn.refreshed": (
        CdnEvent,
        {
            "events.0.event_name": "CachedObjectsRefreshed",
            "events.0.event_time": datetime(2026, 3, 11, 17, 12, 44, tzinfo=CHINA),
            "events.0.resource.domain": "static.example.com",
            "events.0.user_identity.ali_uid": "1357902468013579",
        },
    ),
    "cdn.started": (CdnEvent, {"events.0.event_parameter.status": "online"}),
    "dts": (
        DtsEvents,
        {
            "0.data.operation_type": "UPDATE",
            "0.data.schema.table_name": "orders",
            "0.data.topic_partition.partition": 0,
            "0.data.after_image.record_schema.record_fields.0.is_primary_key": True,
        },
    ),
    "eventbridge.oss": (
        EventBridgeOssEvent,
        {"data.oss.object.key": KEY, "type": "oss:ObjectCreated:PutObject"},
    ),
    "http": (
        HttpEvent,
        {"raw_path": "/hello", "request_context.http.source_ip": "198.51.100.9"},
    ),
    "kafka": (KafkaEvents, {"0.data.offset": 1204578, "2.data.key": "user-3"}),
    "kafka.strings": (KafkaEvents, {"0.data.offset": 1204578, "1.data.key": "user-2"}),
    "mns.queue": (MnsQueueEvents, {"1.data.message_id": "91B7D2C0A4F35E6889C1D0E2F3A4B5C2"}),
    "mns.queue.single": (MnsQueueEvents, {"0.account_id": "1357902468013579"}),
    "mns.stream": (MnsStreamEvent, {"body": b"order A-20260311-0042 paid", "attrs": {}}),
    "mns.stream.attributes": (
        MnsStreamEvent,
        {"body": b"order A-20260311-0042 paid", "attrs.Extend": '{"tenant":"north"}'},
    ),
    "mns.topic": (
        MnsTopicEvent,
        {"topic_name": "order-events", "message_md5": "1D95242C5F517EFBB130BC6FD8970341"},
    ),
    "mns.topic.attributes": (MnsTopicEvent, {"attributes": {"tenant": "north"}}),
    "mqtt": (MqttMessages, {"0.props.first_topic": "telemetry", "0.body": '{"temp":21.4}'}),
    "oss.delete": (OssEvent, {"events.0.oss.object.key": "incoming/2026/03/封面 0042.png"}),
    "oss.put": (
        OssEvent,
        {
            "events.0.event_time": datetime(2026, 3, 11, 8, 22, 17, tzinfo=UTC),
            "events.0.oss.bucket.name": "shop-media-prod",
            "events.0.oss.object.e_tag": "3F1A9C0B77D24E5586E1B0C9D4A2F6E8",
            "events.0.oss.object.object_meta.mime_type": "image/png",
            "events.0.request_parameters.source_ip_address": "203.0.113.24",
        },
    ),
    "rabbitmq": (
        RabbitMqEvents,
        {"1.data.envelope.delivery_tag": 312, "0.data.body.template": "receipt"},
    ),
    "rocketmq": (
        RocketMqEvents,
        {"1.data.body": "settle 2", "0.data.user_properties.source": "web"},
    ),
    "rocketmq.self-managed": (
        RocketMqMessages,
        {"0.msg_id": "7F00000100012A139A551F4C3B6E0007", "0.system_properties.TAGS": "created"},
    ),
    "rocketmq.single": (RocketMqEvents, {"0.data.system_properties.TAGS": "PAID"}),
    "scalar": (Any, {}),
    "sls": (SlsEvent, {"source.shard_id": 3, "parameter.stage": "prod", "cursor_time": 1773216137}),
    "tablestore": (
        TablestoreEvent,
        {
            "version": "Sync-v1",
            "records.0.info.timestamp": 1773219001123456,
            "records.0.primary_key.1.value": 20260311000042,
            "records.0.columns.1.value": 199.5,
            "records.1.columns.1.timestamp": None,
        },
    ),
    "tablestore.decoded": (dict[str, Any], {"Version": "Sync-v1"}),
    "timer": (TimerEvent, {"payload": '{"job":"rollup","day":"2026-03-10"}'}),
    "timer.plain": (
        TimerEvent,
        {"trigger_time": datetime(2026, 3, 11, 8, 31, tzinfo=UTC), "payload": "ping"},
    ),
}


def step(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return value[int(name)]
    return value[name] if isinstance(value, dict) else getattr(value, name)


def at(value: Any, path: str) -> Any:
    return reduce(step, path.split("."), value)


def test_samples() -> None:
    """Every sample has a row in this table."""
    assert sorted(SAMPLES) == names()


@pytest.mark.parametrize(("name", "row"), SAMPLES.items(), ids=SAMPLES)
def test_fields(name: str, row: tuple[Any, dict[str, Any]]) -> None:
    """A trigger's sample decodes into its type, with the values where the type says."""
    annotation, fields = row
    event = decoder(annotation)(sample(name))
    assert {path: at(event, path) for path in fields} == fields


TEXT = ("mns.stream.attributes", "scalar")
JSON_ONLY = [name for name in SAMPLES if name not in ("tablestore", "mns.stream")]


@pytest.mark.parametrize("name", [name for name in JSON_ONLY if name not in TEXT])
def test_round_trip(name: str) -> None:
    """An event that a handler returns is JSON that decodes into the same event."""
    decode = decoder(SAMPLES[name][0])
    event = decode(sample(name))
    assert decode(encode(event)) == event


def with_more(value: Any) -> Any:
    if isinstance(value, list):
        return [with_more(item) for item in value]
    if isinstance(value, dict):
        return {key: with_more(item) for key, item in value.items()} | {"addedLater": "x"}
    return value


TYPED = [name for name in JSON_ONLY if not name.endswith(("strings", "attributes", "decoded", "r"))]


@pytest.mark.parametrize("name", TYPED)
def test_unknown_fields(name: str) -> None:
    """Fields that the platform adds one day are no error."""
    annotation, fields = SAMPLES[name]
    event = decoder(annotation)(orjson.dumps(with_more(orjson.loads(sample(name)))))
    assert {path: at(event, path) for path in fields} == fields


MAPPINGS = ("headers", "queryParameters", "pathParameters", "userMeta")
"""Texts by names that are no fields."""


def places(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Each field of an event, with the mapping that has it."""
    if isinstance(value, dict):
        for key, inner in list(value.items()):
            yield value, key
            yield from () if key in MAPPINGS else places(inner)
    if isinstance(value, list):
        for inner in value:
            yield from places(inner)


@pytest.mark.parametrize("name", [name for name in JSON_ONLY if name not in TEXT])
def test_null(name: str) -> None:
    """What may be absent may be null."""
    decode = decoder(SAMPLES[name][0])
    body = orjson.loads(sample(name))
    for mapping, key in places(body):
        value = mapping.pop(key)
        try:
            decode(orjson.dumps(body))
        except InvalidEvent:  # it is asked for
            mapping[key] = value
            continue
        mapping[key] = None
        decode(orjson.dumps(body))
        mapping[key] = value


WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "apigateway": (
        "apigateway",
        {"headers.Host": "1"},
        "$.headers[...]: Expected `str`, got `int`",
    ),
    "cdn": ("cdn.log", {"events.0.eventName": "1"}, "$.events[0].eventName: Expected `str`"),
    "dts": ("dts", {"0.data.offset": '"x"'}, "$[0].data.offset: Expected `int`, got `str`"),
    "eventbridge": (
        "eventbridge.oss",
        {"data.oss": "[]"},
        "$.data.oss: Expected `object`, got `array`",
    ),
    "http": (
        "http",
        {"requestContext.http": "{}"},
        "$.requestContext.http: Object missing required",
    ),
    "kafka": ("kafka", {"1.data.partition": "x"}, "$[1].data.partition: Expected `int`, got `str`"),
    "mns-queue": ("mns.queue", {"0.id": "1"}, "$[0].id: Expected `str`, got `int`"),
    "mns-topic": (
        "mns.topic",
        {"PublishTime": "x"},
        "$.PublishTime: Expected `int`, got `str`",
    ),
    "mqtt": ("mqtt", {"0.props": "{}"}, "$[0].props: Object missing required field `firstTopic`"),
    "oss": (
        "oss.put",
        {"events.0.oss.object.size": "x"},
        "$.events[0].oss.object.size: Expected `int`",
    ),
    "rabbitmq": (
        "rabbitmq",
        {"1.data.envelope": "1"},
        "$[1].data.envelope: Expected `object`",
    ),
    "rocketmq": ("rocketmq.single", {"data.topic": "1"}, "$.data.topic: Expected `str`, got `int`"),
    "self-managed": ("rocketmq.self-managed", {"0.msgId": "1"}, "$[0].msgId: Expected `str`"),
    "sls": ("sls", {"source.shardId": "x"}, "$.source.shardId: Expected `int`, got `str`"),
    "tablestore": (
        "tablestore",
        {"Records.1.Columns": "1"},
        "$.Records[1].Columns: Expected `array`",
    ),
    "timer": ("timer", {"triggerTime": "noon"}, "$.triggerTime: Invalid RFC3339 encoded datetime"),
}


@pytest.mark.parametrize(("name", "changes", "message"), WRONG.values(), ids=WRONG)
def test_wrong_shape(name: str, changes: dict[str, str], message: str) -> None:
    """A field of the wrong shape is InvalidEvent, with the path to it."""
    with pytest.raises(InvalidEvent) as caught:
        decoder(SAMPLES[name][0])(sample(name, changes))
    assert str(caught.value).startswith(message)


built = cache(decoder)
ALL = sorted({row[0] for row in SAMPLES.values() if hasattr(row[0], "__name__")}, key=str)


@pytest.mark.parametrize("annotation", ALL, ids=lambda annotation: annotation.__name__)
@settings(max_examples=settings().max_examples // 8)  # each of the many kinds of types has its own
@given(st.binary())
def test_any_body(annotation: Any, body: bytes) -> None:
    """Any body at all is an event or InvalidEvent, and nothing else."""
    decode = built(annotation)
    for attempt in (body, b"[" + body + b"]", orjson.dumps([repr(body)])):
        try:
            decode(attempt)
        except InvalidEvent:
            continue


@pytest.mark.parametrize(
    ("annotation", "name"), [(EventBridgeEvent, "eventbridge.oss"), (CloudEvents, "kafka.strings")]
)
def test_untyped_cloud_events(annotation: Any, name: str) -> None:
    """CloudEvents of any source have their data as the JSON value."""
    event = decoder(annotation)(sample(name))
    one = event if isinstance(event, EventBridgeEvent) else event[0]
    assert isinstance(one.data, dict)


def test_frozen() -> None:
    """An event cannot be changed."""
    event = decoder(TimerEvent)(sample("timer"))
    with pytest.raises(AttributeError):
        event.payload = "x"


def test_documented() -> None:
    """Every type that a handler's author can use is exported and says what it is."""
    for name in service.events.__all__:
        kind = getattr(service.events, name)
        assert kind.__doc__, name
        if name == "schema":
            continue
        assert issubclass(kind, msgspec.Struct | list)


def test_cheap_import() -> None:
    """Importing the types brings neither an extra nor the samples."""
    code = (
        "import sys, service.events;"
        "print({'cbor2', 'pydantic', 'service.events.sample'} & {*sys.modules})"
    )
    # No environment: a tracer in it would import modules of its own.
    done = subprocess.run(
        [sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
