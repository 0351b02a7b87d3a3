"""Sample events: one of every trigger, to try a handler with."""

from __future__ import annotations

import base64
import difflib
import json
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

ABOUT = {
    "apigateway": "API Gateway: a request, to be answered with its status, headers and body",
    "cdn.log": "CDN: a log file was written",
    "cdn.refreshed": "CDN: cached objects were refreshed",
    "cdn.started": "CDN: a domain was started",
    "dts": "DTS: a batch of changes in a database",
    "eventbridge.oss": "EventBridge: an event of OSS as one CloudEvent",
    "http": "an HTTP trigger of a built-in runtime: the request as JSON",
    "kafka": "Kafka: a batch of messages",
    "kafka.strings": "Kafka: a batch of messages, each as JSON within a string",
    "mns.queue": "MNS queue: a batch of messages",
    "mns.queue.single": "MNS queue: one message",
    "mns.stream": "MNS topic, format STREAM: the message as it is",
    "mns.stream.attributes": "MNS topic, format STREAM: a message with attributes",
    "mns.topic": "MNS topic, format JSON",
    "mns.topic.attributes": "MNS topic, format JSON: a message with attributes",
    "mqtt": "MQTT: a batch of messages",
    "oss.delete": "OSS: an object was deleted",
    "oss.put": "OSS: an object was put",
    "rabbitmq": "RabbitMQ: a batch of messages",
    "rocketmq": "RocketMQ: a batch of messages",
    "rocketmq.self-managed": "RocketMQ, self-managed: a batch of messages",
    "rocketmq.single": "RocketMQ: one message",
    "scalar": "no object at all: a single JSON value",
    "sls": "Simple Log Service: where the new logs are to be read",
    "tablestore": "Tablestore: changed rows, in CBOR",
    "tablestore.decoded": "Tablestore: the same rows as JSON, to be read by people",
    "timer": "a timer whose payload is JSON in text",
    "timer.plain": "a timer whose payload is plain text",
}
"""What each sample is, for people."""

TYPES = {
    "apigateway": "ApiGatewayEvent",
    "cdn": "CdnEvent",
    "dts": "DtsEvents",
    "eventbridge.oss": "EventBridgeOssEvent",
    "http": "HttpEvent",
    "kafka": "KafkaEvents",
    "mns.queue": "MnsQueueEvents",
    "mns.stream": "MnsStreamEvent",
    "mns.topic": "MnsTopicEvent",
    "mqtt": "MqttMessages",
    "oss": "OssEvent",
    "rabbitmq": "RabbitMqEvents",
    "rocketmq": "RocketMqEvents",
    "rocketmq.self-managed": "RocketMqMessages",
    "sls": "SlsEvent",
    "tablestore": "TablestoreEvent",
    "tablestore.decoded": "",
    "timer": "TimerEvent",
}
"""The type of `service.events` that decodes a sample, by the sample's name or by what it begins
with; "" if there is none.
"""


def names() -> list[str]:
    """Return the names of all samples: `oss.put` for example."""
    return sorted(_files())


def about(name: str) -> str:
    """Return what a sample is, in a few words."""
    return ABOUT[name]


def type_of(name: str) -> str:
    """Return the name of the type of `service.events` that decodes a sample, "" if none does."""
    while name not in TYPES and "." in name:
        name = name.rpartition(".")[0]
    return TYPES.get(name, "")


def sample(name: str, changes: Mapping[str, str] = {}) -> bytes:
    """Return the body of a sample event, with fields changed: `{"events.0.region": "cn-beijing"}`.

    A new value is JSON if it parses, else text. Raises LookupError for a name or a path that does
    not exist, ValueError when the sample has no fields.
    """
    file = _file(name)
    body = file.read_bytes()
    if file.name.endswith(".base64"):
        body = base64.b64decode(body)
        return _changed_cbor(name, body, changes) if changes else body
    return _changed_json(name, body, changes) if changes else body


def _files() -> dict[str, Traversable]:
    folder = resources.files(__package__).joinpath("samples")
    return {file.name.rpartition(".")[0]: file for file in folder.iterdir()}


def _file(name: str) -> Traversable:
    files = _files()
    if name in files:
        return files[name]
    near = difflib.get_close_matches(name, files, n=3, cutoff=0.5)
    hint = f"near to it: {', '.join(near)}" if near else f"there are {', '.join(sorted(files))}"
    raise LookupError(f"no sample is called {name!r}; {hint}")


def _changed_json(name: str, body: bytes, changes: Mapping[str, str]) -> bytes:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict | list):
        raise ValueError(f"the sample {name} is plain text: it has no fields to change")
    _change(name, value, changes)
    return json.dumps(value, ensure_ascii=False, indent=2).encode()


def _changed_cbor(name: str, body: bytes, changes: Mapping[str, str]) -> bytes:
    import cbor2

    value = cbor2.loads(body)
    _change(name, value, changes)
    return cbor2.dumps(value)


def _change(name: str, value: Any, changes: Mapping[str, str]) -> None:
    for path, text in changes.items():
        holder, (*steps, last) = value, path.split(".")
        try:
            for step in steps:
                holder = holder[_place(holder, step)]
            holder[last if isinstance(holder, dict) else _place(holder, last)] = _value(text)
        except LookupError as missing:
            raise LookupError(f"the sample {name} has no {path!r}: {missing}") from None


def _place(holder: Any, step: str) -> str | int:
    """Return the key or index that `step` names in `holder`."""
    if isinstance(holder, dict) and step in holder:
        return step
    if isinstance(holder, list) and step.isdecimal() and int(step) < len(holder):
        return int(step)
    raise LookupError(f"nothing is called {step!r} there{_choice(holder)}")


def _choice(holder: Any) -> str:
    """Say what there is instead."""
    if isinstance(holder, dict):
        return f"; there are {', '.join(map(str, holder))}"
    if isinstance(holder, list):
        if not holder:
            return "; the list is empty"
        last = len(holder) - 1
        return f"; the items are 0 to {last}" if last else "; the only item is 0"
    return ""


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
