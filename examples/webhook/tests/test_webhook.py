"""The sample of a webhook behind API Gateway, under the local Function Compute."""

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.emulator.log import Log
from service.emulator.testing import emulator
from service.events.sample import sample

FOLDER = Path(__file__).parents[1]


class Books(ThreadingHTTPServer):
    """What payments are booked by."""

    request_queue_size = 128  # all calls at once

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Clerk)
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.connections: set[object] = set()

    def orders(self, path: str) -> list[str]:
        """The orders that were posted to a path."""
        return sorted(body["order"] for where, body in self.posted if where == path)


class Clerk(BaseHTTPRequestHandler):
    """Takes bookings, except for one order."""

    server: Books
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Note a request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.connections.add(self.client_address)
        self.server.posted.append((self.path, body))
        self.send_response(503 if body["order"] == "o-3" else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Write nothing."""


@pytest.fixture
def books() -> Iterator[Books]:
    """The books on loopback."""
    with Books() as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def webhook(body: str, secret: str = "s3cret") -> bytes:
    """What API Gateway sends for a request of the provider's."""
    signature = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    changed = {"body": body, "isBase64Encoded": False, "headers": {"X-Signature": signature}}
    return json.dumps({**json.loads(sample("apigateway")), **changed}).encode()


def test_payments_are_booked_and_audited(books: Books) -> None:
    """Good ones are booked over one session, and their receipts are out when the instance is gone;
    a forged one and one that the books refuse are in the audit, too.
    """
    spec = yaml.safe_load((FOLDER / "s.yaml").read_text())
    variables = spec["resources"]["webhook"]["props"]["environmentVariables"]
    variables |= {
        "BOOKS_URL": f"http://127.0.0.1:{books.server_port}",
        "WEBHOOK_SECRET": "s3cret",
    }
    log: list[bytes] = []
    with emulator(spec, code=FOLDER, log=Log(log.append)) as fc:
        answers = [
            fc.invoke("webhook", webhook(json.dumps({"order": f"o-{n}", "cents": 100})))
            for n in (1, 2, 3)
        ]
        forged = fc.invoke("webhook", webhook('{"order":"o-9","cents":1}', "guessed"))
        wrong = fc.invoke("webhook", webhook('{"order":7}'))
    statuses = [json.loads(answer.body).get("statusCode") for answer in (*answers[:2], forged)]
    assert statuses == [200, 200, 401]
    assert "ClientResponseError" in answers[2].body.decode()
    assert "order" in json.loads(wrong.body)["errorMessage"]
    assert books.orders("/bookings") == ["o-1", "o-2", "o-3"]
    assert books.orders("/receipts") == ["o-1", "o-2"]
    text = b"".join(log).decode()
    audit = re.findall(r"audit: (\w+) (\w*)", text)
    assert audit == [
        ("success", ""),
        ("success", ""),
        ("function_error", "ClientResponseError"),
        ("success", ""),
        ("bad_request", "InvalidEvent"),
    ]
