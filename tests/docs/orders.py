"""What the pages on records and events leave to the reader, and a batch of Kafka's."""

from __future__ import annotations

import json

import msgspec

from service.events.sample import sample


class Order(msgspec.Struct):
    """What pages call an order."""

    order_id: str = ""
    is_test: bool = False
    row: list[float] = []


def kafka(*values: str) -> bytes:
    """A batch of Kafka's with these texts, each of its own key."""
    [first, *_] = json.loads(sample("kafka"))
    data = ({**first["data"], "key": f"k-{n}", "value": v} for n, v in enumerate(values))
    return json.dumps([{**first, "data": each} for each in data]).encode()
