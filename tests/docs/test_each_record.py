"""What pages show of batches that are taken apart, record by record."""

from __future__ import annotations

import io
import json
from typing import Any
from unittest.mock import AsyncMock, Mock, create_autospec

import msgspec
import pytest

import service
from service.errors import InvalidEvent
from service.events.sample import sample
from service.testing.invoking import CallHandler
from tests.docs.blocks import Block, runs
from tests.docs.conftest import Paste
from tests.docs.orders import Order, kafka


def given_for_records() -> dict[str, Any]:
    """What the pages on batches leave to the reader."""
    return {
        "Order": Order,
        "dead_letters": Mock(put=AsyncMock()),
        "shop": Mock(is_open=AsyncMock(return_value=True), ship=AsyncMock()),
    }


@runs("docs/records.md#a-batch-record-by-record")
def test_records_are_shipped_dropped_and_kept(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler
) -> None:
    """One of each: the shop is closed at first, and the last one is no order."""
    given = given_for_records()
    given["shop"].is_open.side_effect = [False, True]
    code = shown[0].code.replace("after=2", "after=0")
    event = kafka('{"order_id": "o-1"}', '{"is_test": true}', "[]")
    counts = fc_invoke(paste(code, **given).handler, event)
    assert {name: counts[name] for name in ("ok", "dropped", "failed", "retries")} == {
        "ok": 1, "dropped": 1, "failed": 1, "retries": 1,
    }  # fmt: skip
    given["shop"].ship.assert_awaited_once_with(Order("o-1"))
    given["dead_letters"].put.assert_awaited_once()


@runs("docs/records.md#what-a-record-comes-to")
def test_tries_of_ones_own_are_made(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that fails is tried again, without waits in a test as the page says."""
    stamina = pytest.importorskip("stamina")
    ship = AsyncMock(side_effect=[ConnectionError, None])
    event_type = service.events.KafkaEvent
    given = {"stamina": stamina, "each": service.each, "Retry": service.Retry, "ship": ship}
    code = shown[0].code.replace(": ...\n", ":\n    await ship()\n")
    stamina.set_testing(True, attempts=5)
    try:
        counts = fc_invoke(paste(code, KafkaEvent=event_type, **given).handler, kafka("{}"))
    finally:
        stamina.set_testing(False)
    assert (counts["ok"], counts["retries"]) == (1, 1)


@runs("docs/records.md#streams")
def test_lines_are_records(shown: list[Block], paste: Paste, fc_invoke: CallHandler) -> None:
    """A bad one fails alone."""
    kept = AsyncMock()
    code = shown[0].code.replace("50)", "50, on_failure=kept)")
    handler = paste(code, each=service.each, kept=kept, Order=Order).handler
    counts = fc_invoke(handler, b'{"order_id": "a"}\n\n[]\n{"order_id": "b"}\n')
    assert (counts["records"], counts["ok"], counts["failed"]) == (3, 2, 1)
    [failed] = kept.await_args_list
    assert isinstance(failed.args[1], InvalidEvent)


def call_on_failure(module: Any, record: object) -> Any:
    """What hands over a record that has failed."""
    context = Mock(request_id="id", record_index=3)
    return module.on_failure(record, ValueError("no"), context), context


@runs(
    "docs/records.md#who-takes-over-what-fails",
    "docs/records.md#who-takes-over-what-fails:2",
)
def test_a_record_that_fails_is_handed_over(shown: list[Block], paste: Paste) -> None:
    """To a queue, and to an object of OSS as its SDK takes it; as the bytes that came, or what
    EventBridge has sent.
    """
    oss = pytest.importorskip("alibabacloud_oss_v2")
    queue = Mock()
    to_queue, to_oss = shown
    bucket = paste(to_oss.code, oss=oss, msgspec=msgspec)
    _, context = call_on_failure(bucket, b"raw")
    [put] = context.client.return_value.put_object.call_args.args
    assert (put.bucket, put.key, put.body) == ("dead-letters", "failed/id-3.json", b"raw")
    [event, *_] = msgspec.json.decode(sample("kafka"), type=list[service.events.KafkaEvent])
    body = json.loads(bucket.body_of(event))
    assert body["type"] == event.type
    given = {"queue": queue, "Message": lambda text: ("message", text), "body_of": bucket.body_of}
    call_on_failure(paste(to_queue.code, **given), b"raw")
    queue.send_message.assert_called_once_with(("message", b"raw"))


@pytest.mark.long
@runs("docs/records.md#who-takes-over-what-fails:3")
async def test_a_record_that_fails_is_sent_to_another_function(
    shown: list[Block], paste: Paste
) -> None:
    """As the platform's SDK takes it."""
    models = pytest.importorskip("alibabacloud_fc20230330.models")
    from alibabacloud_fc20230330.client import Client
    from alibabacloud_tea_util.models import RuntimeOptions

    client = create_autospec(Client, instance=True)
    given = {
        name: getattr(models, name) for name in ("InvokeFunctionHeaders", "InvokeFunctionRequest")
    }
    module = paste(
        shown[0].code, fc=client, io=io, body_of=bytes, RuntimeOptions=RuntimeOptions, **given
    )
    awaited, _ = call_on_failure(module, b"raw")
    await awaited
    name, request, headers, _ = client.invoke_function_with_options_async.await_args.args
    assert (name, request.body.read()) == ("failed-orders", b"raw")
    assert headers.x_fc_invocation_type == "Async"
