"""The sample of events that are handled once, under the local Function Compute."""

import asyncio
import json
from pathlib import Path
from typing import Any

import yaml

from service.emulator.log import Log
from service.emulator.testing import emulator
from tests.idempotency.redis_server import or_skip

SPEC = Path(__file__).parents[1] / "s.yaml"


def spec_with(redis_url: str) -> dict[str, Any]:
    """The sample's `s.yaml`, with a Redis of the test's own."""
    spec: dict[str, Any] = yaml.safe_load(SPEC.read_text())
    props = spec["resources"]["orders-once"]["props"]
    props["environmentVariables"]["REDIS_URL"] = redis_url
    return spec


async def test_an_order_that_two_instances_get_is_booked_once() -> None:
    """Eight duplicates at one time are more than one instance takes."""
    lines = bytearray()
    with or_skip() as redis:
        log = Log(lines.extend)
        async with emulator(
            spec_with(redis.url), code=SPEC.parent, log=log, private_tmp=False
        ) as fc:
            order = {"order_id": "A-17", "sku": "tea", "quantity": 2}
            event = json.dumps(order).encode()
            answers = await asyncio.gather(*(fc.invoke("orders-once", event) for _ in range(8)))
            later = await fc.invoke("orders-once", event)
            assert len({each.body for each in (*answers, later)}) == 1
            assert json.loads(later.body)["order_id"] == "A-17"
            assert len(fc.instances("orders-once")) == 2
            assert bytes(lines).count(b"booking A-17") == 1
            for changed, told in (
                ({"quantity": 3}, "another event with this key was sent before"),
                ({"order_id": ""}, "the key of @once is ''"),
                ({"order_id": "A-18", "quantity": 0}, "order A-18 has a quantity of 0"),
            ):
                refused = await fc.invoke("orders-once", json.dumps({**order, **changed}).encode())
                assert told in refused.body.decode()
