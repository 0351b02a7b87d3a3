"""The fixtures of the pytest plugin, in plain tests and in async ones."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from service.context.call import Context, current_context
from service.errors import FunctionTimeout, InvalidEvent
from service.events import OssEvent
from service.testing.call_logs import CallLogs
from service.testing.contexts import GivenContext
from service.testing.instances import LeftRunning
from service.testing.invoking import CallHandler, run_or_return

Fixture = Callable[..., Any]


async def greet(event: dict[str, str], context: Context) -> dict[str, object]:
    """Greet who is named."""
    context.bind(user=event["user"])
    context.logger.info("hello %s", event["user"])
    await asyncio.sleep(0)
    return {"user": event["user"], "id": context.request_id}


def greet_plainly(event: dict[str, str], context: Context) -> str:
    """Greet in a thread."""
    sys.stdout.write(f"hello {event['user']}\n")
    return f"hello {event['user']}"


async def refuse(event: object, context: Context) -> None:
    """Raise an error of the function's own."""
    raise LookupError("no such order")


async def wait(event: object, context: Context) -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


# --- events and contexts


def test_an_event_is_a_sample_with_some_fields_changed(fc_event: Fixture) -> None:
    """A field goes by its name alone if only one has it, or by its path."""
    assert b'"key": "a.jpg"' in fc_event("oss.put", key="a.jpg")
    assert b'"region": "cn-x"' in fc_event("oss.put", {"events.0.region": "cn-x"})


@pytest.mark.parametrize(
    ("sample", "field", "told"),
    [("oss.put", "keys", "no field 'keys'; there are"), ("kafka", "topic", "in several places")],
)
def test_a_field_that_is_not_clear_is_told(
    fc_event: Fixture, sample: str, field: str, told: str
) -> None:
    """What no field or several have is refused, with what there is."""
    with pytest.raises(LookupError, match=told):
        fc_event(sample, **{field: "x"})


@pytest.mark.fc_context(function_name="orders", memory=1024)
def test_a_context_has_what_the_marker_and_the_call_give(fc_context: GivenContext) -> None:
    """What nobody gives is as in a local call."""
    assert fc_context.function.name == "orders"
    other = fc_context(timeout=3, account_id=7)
    assert (other.function.memory, other.account_id, other.region) == (1024, "7", "local")
    assert other.request_id != fc_context.request_id
    remaining = other.remaining()
    assert remaining is not None
    assert remaining <= 3


def test_a_context_of_the_tests_has_no_other_fields(fc_context: GivenContext) -> None:
    """A name that is no field's is told with those that there are."""
    with pytest.raises(TypeError, match=r"no function; there are headers, .*function_name"):
        fc_context(function="orders")


# --- calls in this process


def test_a_plain_test_gets_the_result(fc_invoke: CallHandler, fc_logs: CallLogs) -> None:
    """With the lines of its call, each with the fields that were bound; text is text."""
    assert fc_invoke(greet, {"user": "ann"})["user"] == "ann"
    [line] = fc_logs.of(fc_invoke.request_id)
    assert (line.message, line.level, line.fields) == ("hello ann", "INFO", {"user": "ann"})
    assert fc_invoke(greet_plainly, b'{"user": "bob"}') == "hello bob"
    assert [line.level for line in fc_logs.of()] == ["STDOUT"]


async def test_an_async_test_awaits_it(
    fc_invoke: CallHandler, caplog: pytest.LogCaptureFixture
) -> None:
    """Also several at once; `caplog` has what they log."""
    answers = await asyncio.gather(*(fc_invoke(greet, {"user": f"u{n}"}) for n in range(5)))
    assert [answer["user"] for answer in answers] == [f"u{n}" for n in range(5)]
    assert "hello u3" in caplog.text


def test_a_call_has_the_context_that_is_given(
    fc_invoke: CallHandler, fc_context: GivenContext
) -> None:
    """Its request id, too."""

    def handler(event: bytes, context: Context) -> list[str]:
        return [context.request_id, context.region, current_context().request_id]

    given = fc_context(request_id="r-1", region="cn-hangzhou")
    assert fc_invoke(handler, b"", given) == ["r-1", "cn-hangzhou", "r-1"]
    plain = Context({"x-fc-region": "cn-beijing"}, "r-2")
    assert fc_invoke(handler, b"", plain) == ["r-2", "cn-beijing", "r-2"]


def test_an_answer_that_is_no_text_is_bytes(fc_invoke: CallHandler) -> None:
    """As its caller reads it."""

    def handler(event: bytes, context: Context) -> bytes:
        return event

    assert fc_invoke(handler, b"\xff\x00") == b"\xff\x00"


def test_a_call_fails_as_in_the_service(
    fc_invoke: CallHandler, fc_context: GivenContext, fc_logs: CallLogs
) -> None:
    """The handler's own error is raised as it is, and is in its log; the deadline and a bad event
    have theirs.
    """

    async def typed(event: OssEvent, context: Context) -> None:
        raise AssertionError

    with pytest.raises(LookupError, match="no such order"):
        fc_invoke(refuse)
    [failed] = fc_logs.of()
    assert (failed.level, failed.fields["errorMessage"]) == ("ERROR", "no such order")
    with pytest.raises(FunctionTimeout, match="was not done within"):
        fc_invoke(wait, b"{}", fc_context(timeout=0.01))
    with pytest.raises(InvalidEvent):
        fc_invoke(typed, b"[]")


def test_the_hooks_of_the_module_run_around_a_call(
    fc_invoke: CallHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Initializer, lifespan and `pre_stop`, once for each call that no other overlaps."""
    steps = []

    @contextlib.asynccontextmanager
    async def lifespan(context: Context) -> AsyncIterator[str]:
        steps.append("open")
        yield "state"
        steps.append("close")

    def handler(event: bytes, context: Context) -> str:
        steps.append(context.state)
        return "done"

    here = sys.modules[__name__]
    monkeypatch.setattr(here, "initialize", lambda context: steps.append("init"), raising=False)
    monkeypatch.setattr(here, "pre_stop", lambda context: steps.append("stop"), raising=False)
    monkeypatch.setattr(here, "lifespan", lifespan, raising=False)
    assert fc_invoke(handler) == "done"
    assert steps == ["open", "init", "state", "stop", "close"]


async def leave_a_task(event: object, context: Context) -> None:
    """Leave a task behind."""
    left.append(asyncio.create_task(asyncio.Event().wait(), name="left"))


left: list[asyncio.Task[bool]] = []


def test_a_task_that_is_left_is_told_and_ended(fc_invoke: CallHandler) -> None:
    """A warning names it."""
    with pytest.warns(
        LeftRunning, match=r"left 1 tasks running, which were cancelled: Event\.wait"
    ):
        fc_invoke(leave_a_task)
    assert left.pop().cancelled()


async def test_a_task_that_is_left_on_the_tests_loop_is_told_and_ended(
    fc_invoke: CallHandler,
) -> None:
    """Tasks of the test's own run on."""
    own = asyncio.create_task(asyncio.Event().wait())
    with pytest.warns(LeftRunning, match="left 1 tasks"):
        await fc_invoke(leave_a_task)
    assert left.pop().cancelled()
    assert not own.done()
    own.cancel()


async def test_a_call_that_is_cancelled_leaves_nothing(fc_invoke: CallHandler) -> None:
    """The handler is cancelled, and what was changed of Python is back."""
    begun, ended = asyncio.Event(), asyncio.Event()
    before = (sys.stdout, threading.Thread.start, logging.root.handlers[:], asyncio.all_tasks())

    async def handler(event: object, context: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    call = asyncio.ensure_future(fc_invoke(handler))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert ended.is_set()
    after = (sys.stdout, threading.Thread.start, logging.root.handlers[:], asyncio.all_tasks())
    assert after == before


def test_an_async_test_on_another_loop_is_told_what_to_do() -> None:
    """The service runs on asyncio."""

    async def work() -> None:
        raise AssertionError

    with pytest.raises(RuntimeError, match='anyio_backend "asyncio", not trio'):
        run_or_return(work, is_async=True)
