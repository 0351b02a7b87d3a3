"""What `fc_at_once` finds in functions as people write them: the sample applications, and those of
tests/cases. docs/testing.md shows the same table.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import re
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from service.errors import StartError
from service.events.sample import sample
from service.testing.at_once import CallsMixed
from tests.cloud import cloud
from tests.harness import FORKS
from tests.idempotency.redis_server import or_skip
from tests.testing.modules import AtOnce, imported

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/testing.md"
CALLS = 20

NOTHING = "nothing"
LOST = "call 0 failed: AttributeError: '_thread._local' object has no attribute 'client'"
OTHER_THREAD = (
    "call 0 failed: ProgrammingError: SQLite objects created in a thread can only be used in that"
    " same thread."
)
FOUND = {
    "examples/kafka-batch": NOTHING,
    "examples/model": NOTHING,
    "examples/orders-once": NOTHING,
    "examples/tablestore-feed": NOTHING,
    "examples/thumbnails": NOTHING,
    "examples/timer-report": NOTHING,
    "examples/unzip": NOTHING,
    "examples/webhook": NOTHING,
    "tests/cases/functions/camel": NOTHING,
    "tests/cases/functions/child": NOTHING,
    "tests/cases/functions/cvar": NOTHING,
    "tests/cases/functions/detach": NOTHING,
    "tests/cases/functions/local": LOST,
    "tests/cases/functions/myinit": NOTHING,
    "tests/cases/functions/pool": NOTHING,
    "tests/cases/functions/setctx": NOTHING,
    "tests/cases/functions/slash": NOTHING,
    "tests/cases/functions/sqlite": OTHER_THREAD,
    "tests/cases/functions/term": NOTHING,
    "tests/cases/functions/tojson": NOTHING,
    "tests/cases/functions/wsgi": "",
}
"""How the first finding begins; "" for a function that cannot be served."""

Find = Callable[..., str]
"""Runs a function many times at once, and says what was found as `FOUND` does."""


class Desk(BaseHTTPRequestHandler):
    """Takes whatever is posted."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Write nothing."""


class Company(ThreadingHTTPServer):
    """Takes all calls at once: who does not get in waits for a second before it tries again."""

    request_queue_size = 128


@pytest.fixture
def desk() -> Iterator[str]:
    """The URL of what the samples post to."""
    with Company(("127.0.0.1", 0), Desk) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Imports a file of this repository as a module of its name."""
    return lambda place: imported(ROOT / place, monkeypatch)


Load = Callable[[str], ModuleType]


def found(run: Callable[[], Any]) -> str:
    """What is found in the calls that are run."""
    try:
        run()
    except CallsMixed as mixed:
        return mixed.findings[0]
    return NOTHING


# --- the sample applications


def orders(number: int) -> bytes:
    """A batch of Kafka, with two orders of a customer."""
    [first, *_] = json.loads(sample("kafka"))
    values = [json.dumps({"order_id": f"o-{number}-{each}", "city": "Ulm"}) for each in "ab"]
    data = [{**first["data"], "key": f"customer-{number}", "value": value} for value in values]
    return json.dumps([{**first, "data": each} for each in data]).encode()


def test_a_batch_of_kafka_is_apart(
    fc_at_once: AtOnce, load: Load, desk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session is opened by the initializer, and all calls use it."""
    monkeypatch.setenv("SHOP_URL", desk)
    module = load("examples/kafka-batch/index.py")
    results = fc_at_once(module.handler, orders, n=CALLS)
    assert [result["ok"] for result in results] == [2] * CALLS


def test_a_model_is_apart(fc_at_once: AtOnce, load: Load) -> None:
    """Calls that are gathered for it get their own prices."""
    pytest.importorskip("numpy", reason="numpy is not there for this Python")
    module = load("examples/model/index.py")
    flats = [{"area": 60 + number, "rooms": 2} for number in range(CALLS)]
    prices = fc_at_once(module.handler, flats, n=CALLS)
    assert prices == [3.75 * (60 + number) + 10 for number in range(CALLS)]


def test_orders_that_are_booked_once_are_apart(
    fc_at_once: AtOnce, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their records are in one store."""
    with or_skip() as redis:
        monkeypatch.setenv("REDIS_URL", redis.url)
        module = load("examples/orders-once/index.py")
        booked = fc_at_once(
            module.handler, lambda n: {"order_id": f"order-{n}", "sku": "tea"}, n=CALLS
        )
    assert [each["order_id"] for each in booked] == [f"order-{n}" for n in range(CALLS)]


def test_a_change_feed_is_apart(fc_at_once: AtOnce, load: Load) -> None:
    """What it keeps by its key is no leak."""
    module = load("examples/tablestore-feed/index.py")
    assert len(fc_at_once(module.handler, sample("tablestore"), n=CALLS)) == CALLS


def uploads(number: int) -> bytes:
    """An object that was put."""
    changes = {"events.0.oss.object.key": f"folder-{number}/a.png"}
    return sample("oss.put", {**changes, "events.0.oss.bucket.name": "shop"})


async def test_thumbnails_are_apart(
    fc_at_once: AtOnce, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their client is one for all calls, which are plain ones in threads."""
    image = pytest.importorskip("PIL.Image", reason="Pillow has no release for this Python")
    data = io.BytesIO()
    image.new("RGB", (40, 30)).save(data, "PNG")
    async with cloud() as oss:
        monkeypatch.setenv("OSS_ENDPOINT", oss.url)
        monkeypatch.setenv("FC_REGION", "cn-hangzhou")
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
        module = load("examples/thumbnails/index.py")
        for number in range(CALLS):
            oss.objects[f"/shop/folder-{number}/a.png"] = data.getvalue()
        made = await fc_at_once(module.handler, uploads, n=CALLS)
    assert made == [[f"thumbnails/folder-{number}/a.jpg"] for number in range(CALLS)]


async def test_archives_are_apart(
    fc_at_once: AtOnce, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What moved from the built-in runtime has its files for itself, and one client for all."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as written:
        written.writestr("a.txt", "a")
    async with cloud() as oss:
        monkeypatch.setenv("OSS_ENDPOINT", oss.url)
        monkeypatch.setenv("TARGET", "unpacked/")
        monkeypatch.setenv("FC_REGION", "cn-hangzhou")
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
        module = load("examples/unzip/code/index.py")
        for number in range(CALLS):
            oss.objects[f"/shop/folder-{number}/a.png"] = data.getvalue()
        made = await fc_at_once(module.handler, uploads, n=CALLS)
    assert made == [["unpacked/a.txt"]] * CALLS


def uploads_and_timers(number: int) -> bytes:
    """An upload, or a timer that asks for the report."""
    return uploads(number) if number % 2 else sample("timer", {"payload": '"{\\"top\\": 1}"'})


def test_a_report_is_apart(fc_at_once: AtOnce, load: Load) -> None:
    """What it counts is no leak, though calls on the loop and in threads share it."""
    module = load("examples/timer-report/index.py")
    results = fc_at_once(module.handler, uploads_and_timers, n=CALLS)
    assert results[1::2] == [1] * (CALLS // 2)


def payments(number: int) -> bytes:
    """A request of a payment provider, signed."""
    body = json.dumps({"order": f"order-{number}", "cents": 100 + number})
    signature = hmac.new(b"s3cret", body.encode(), hashlib.sha256).hexdigest()
    changed = {"body": body, "isBase64Encoded": False, "headers": {"X-Signature": signature}}
    return json.dumps({**json.loads(sample("apigateway")), **changed}).encode()


def test_a_webhook_is_apart(
    fc_at_once: AtOnce, load: Load, desk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lifespan, its task that sends receipts and what is around each call are shared."""
    monkeypatch.setenv("BOOKS_URL", desk)
    monkeypatch.setenv("WEBHOOK_SECRET", "s3cret")
    module = load("examples/webhook/index.py")
    answers = fc_at_once(module.handler, payments, n=CALLS)
    assert [answer["statusCode"] for answer in answers] == [200] * CALLS


# --- functions of the built-in runtime

HANDLERS = {"myinit": "main.my_handler", "slash": "src/index.handler"}
HOOKS = {"cvar": "index.initialize", "myinit": "main.my_initializer"}
CASES = [
    pytest.param(name, marks=[FORKS, pytest.mark.long] if name in ("pool", "term") else ())
    for name in sorted(Path(each).name for each in FOUND if each.startswith("tests/"))
    if name != "wsgi"
]


@pytest.mark.parametrize("name", CASES)
def test_what_the_built_in_runtime_forgives_is_found(
    fc_at_once: AtOnce, load: Load, name: str
) -> None:
    """That one runs a call at a time, in the thread that has imported the module."""
    file, _, handler = HANDLERS.get(name, "index.handler").partition(".")
    with pytest.MonkeyPatch.context() as importing:
        # One of them takes the buffer of stdout.
        importing.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
        module = load(f"tests/cases/functions/{name}/{file}.py")
    hook = HOOKS.get(name, "none")
    told = found(lambda: fc_at_once(getattr(module, handler), n=4, initializer=hook))
    if name == "sqlite":
        module.db.close()
    assert told.startswith(FOUND[f"tests/cases/functions/{name}"])


def test_a_function_of_another_kind_is_refused(fc_at_once: AtOnce, load: Load) -> None:
    """An HTTP function is told as `python -m service` tells it."""
    module = load("tests/cases/functions/wsgi/index.py")
    with pytest.raises(StartError, match="HTTP function's handler"):
        fc_at_once(module.handler, n=2)


def test_the_table_of_the_page_is_what_is_found() -> None:
    """Each sample application and each function of the cases has its row."""
    rows = dict(
        re.findall(r"^\| `((?:examples|tests)/.+?)`.* \| (.+?) \|$", PAGE.read_text(), re.M)
    )
    folders = [*(ROOT / "examples").iterdir(), *(ROOT / "tests/cases/functions").iterdir()]
    assert {str(each.relative_to(ROOT)) for each in folders if each.is_dir()} == set(FOUND)
    assert rows.keys() == FOUND.keys()
    for name, told in FOUND.items():
        assert told in rows[name].replace("`", ""), name
