"""The sample of a Kafka batch, under the local Function Compute."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.emulator.testing import emulator
from service.events.sample import sample

FOLDER = Path(__file__).parents[1]


class Shop(ThreadingHTTPServer):
    """What the orders are shipped by."""

    request_queue_size = 128  # all calls at once

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Desk)
        self.posted: list[tuple[str, dict[str, Any]]] = []

    def sent(self, path: str) -> list[dict[str, Any]]:
        """What was posted to a path."""
        return [body for where, body in self.posted if where == path]


class Desk(BaseHTTPRequestHandler):
    """Takes shipments, except for one order."""

    server: Shop

    def do_POST(self) -> None:
        """Note a request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posted.append((self.path, body))
        self.send_response(503 if body.get("order") == "o-2" else 204)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Write nothing."""


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop on loopback."""
    with Shop() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def batch(*values: tuple[str, str]) -> bytes:
    """A batch of Kafka, as the trigger sends it: key and value of each record."""
    [first, *_] = json.loads(sample("kafka"))
    records = [{**first, "data": {**first["data"], "key": k, "value": v}} for k, v in values]
    return json.dumps(records).encode()


def test_a_bad_record_does_not_hold_up_the_others(shop: Shop) -> None:
    """What fails is kept elsewhere, orders of a customer are shipped in order, tests are not."""
    spec = yaml.safe_load((FOLDER / "s.yaml").read_text())
    variables = spec["resources"]["kafka-batch"]["props"]["environmentVariables"]
    variables["SHOP_URL"] = f"http://127.0.0.1:{shop.server_port}"
    event = batch(
        ("anna", '{"order_id": "o-1", "city": "Ulm"}'),
        ("anna", '{"order_id": "o-2", "city": "Ulm"}'),
        ("anna", '{"order_id": "o-3", "city": "Ulm"}'),
        ("ben", '{"order_id": "o-4", "city": "Rom"'),
        ("ben", '{"order_id": "o-5", "city": "Rom", "is_test": true}'),
    )
    with emulator(spec, code=FOLDER) as fc:
        answer = fc.invoke("kafka-batch", event)
    result = json.loads(answer.body)
    counts = {"records": 5, "ok": 2, "dropped": 1, "failed": 2, "left": 0, "retries": 0}
    assert {name: result[name] for name in counts} == counts
    assert [each["order"] for each in shop.sent("/shipments")] == ["o-1", "o-2", "o-3"]
    kept = sorted(shop.sent("/dead-letters"), key=lambda each: each["index"])
    assert [each["index"] for each in kept] == [1, 3]
    assert kept[0]["error"].startswith("ClientResponseError: 503")
    assert kept[1]["error"].startswith("InvalidEvent: KafkaData.value: ")
    assert [failure["key"] for failure in result["failures"]] == ["anna", "ben"]
