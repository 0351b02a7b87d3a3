"""What records of `logging` become."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.context.call import RUNNING, Context, record_of
from service.context.plain import MASK
from service.protocol import SERVICE_LOGGER
from tests.assembly import Pipe, logged, untimed

log = logging.getLogger("user.orders")


@contextmanager
def call(request_id: str) -> Iterator[Context]:
    """A call that runs here."""
    token = RUNNING.set(context := Context({}, request_id))
    try:
        yield context
    finally:
        RUNNING.reset(token)


def entries(pipe: Pipe) -> list[dict[str, Any]]:
    """The JSON lines that were written, without their time."""
    values = [json.loads(line) for line in pipe.lines()]
    assert all(value.pop("time") for value in values)
    return values


class Mute:
    """A value that has no text."""

    def __str__(self) -> str:
        raise ValueError("not to be shown")

    __repr__ = __str__


def test_a_record_is_a_line_that_can_be_queried() -> None:
    """Its logger, its fields and its exception each have their place."""
    with logged("json") as (_, pipe), call("r1"):
        log.info("paid %d", 7, extra={"order_id": 7, "password": "x", "tags": ["a", {"b": None}]})
        try:
            raise KeyError("x")
        except KeyError:
            log.exception("it failed", extra={"order_id": 8})
        paid, failed = entries(pipe)
    ours = {"logger": "user.orders", "requestId": "r1"}
    tags = ["a", {"b": None}]
    more = {"order_id": 7, "password": MASK, "tags": tags}
    assert paid == {"level": "INFO", "message": "paid 7", **ours, **more}
    stack = failed.pop("stack")
    assert failed == {
        **{"level": "ERROR", "message": "it failed", "order_id": 8, **ours},
        **{"errorType": "KeyError", "errorMessage": "'x'"},
    }
    assert stack[0] == "Traceback (most recent call last):"
    assert stack[-1] == "KeyError: 'x'"


def test_text_has_fields_behind_the_message() -> None:
    """The traceback's lines follow."""
    with logged() as (_, pipe), call("r1"):
        log.info("paid", extra={"order_id": 7, "to": "a b"}, stack_info=True)
        lines = untimed(pipe.lines())
    assert lines[:2] == [
        'r1 [INFO] paid order_id=7 to="a b"',
        "r1 [INFO] Stack (most recent call last):",
    ]


def test_a_record_whose_parts_fail_is_written() -> None:
    """Values without text, of 1 MB, that hold themselves, and a message that fits no arguments."""
    itself: dict[str, Any] = {}
    itself["itself"] = itself
    extra = {"mute": Mute(), "long": "x" * 1_000_000, "itself": itself, "a b\n": 1}
    with logged("json") as (_, pipe):
        log.info("all of it", extra=extra)
        log.info("%s", Mute())
        log.info("%d", "seven", extra={"n": 1})
        first, second, third = entries(pipe)
    assert first["mute"] == "<Mute without text: ValueError>"
    assert first["long"].endswith("[cut: 1000000 characters]")
    assert first["a b\n"] == 1
    assert "cannot be formatted: ValueError" in second["message"]
    assert "cannot be formatted: TypeError" in third["message"]
    assert third["n"] == 1


def test_a_level_of_the_functions_own_forges_no_line() -> None:
    """Its name is escaped like any text."""
    logging.addLevelName(35, "A\nB")
    try:
        with logged() as (_, pipe):
            log.log(35, "m")
            assert untimed(pipe.lines()) == ["- [A\\nB] m"]
    finally:
        logging.addLevelName(35, "Level 35")


def test_a_failure_of_a_call_has_its_parts_in_json() -> None:
    """What the service says of one: its stack is the story that text shows, and no more."""
    ours = logging.getLogger(SERVICE_LOGGER)
    with logged("json") as (_, pipe):
        ours.error("Traceback\n  File\nKeyError: 'x'", exc_info=KeyError("x"))
        ours.error("KeyError: 'x'", exc_info=KeyError("x"))
        ours.warning("Overloaded: full", extra={"failure": ("Overloaded", "full")})
        values = entries(pipe)
    assert [value["message"] for value in values] == [
        "KeyError: 'x'",
        "KeyError: 'x'",
        "Overloaded: full",
    ]
    assert [value["stack"] for value in values] == [
        ["Traceback", "  File", "KeyError: 'x'"],
        [],
        [],
    ]
    assert [value["errorType"] for value in values] == ["KeyError", "KeyError", "Overloaded"]


def test_a_print_has_the_same_keys() -> None:
    """The logger of a line that was printed is the stream."""
    with logged("json") as (_, pipe), call("r1") as context:
        context.bind(order_id=7)
        print("said")  # noqa: T201 - that is what is tested
        (value,) = entries(pipe)
    assert value == {
        **{"level": "STDOUT", "logger": "stdout", "requestId": "r1", "message": "said"},
        "order_id": 7,
    }


def test_a_trace_lends_its_ids_to_the_lines_of_its_call() -> None:
    """Whoever notes a span of a call says which ids it has."""
    with logged("json") as (logs, pipe), call("r1") as context:
        log.info("before")
        logs.ids_of_span = lambda span: {"traceId": span, "spanId": "s"}
        record_of(context).span = "t"
        log.info("within")
        before, within = entries(pipe)
    assert "traceId" not in before
    assert (within["traceId"], within["spanId"]) == ("t", "s")


def test_the_banner_is_as_it_is_in_text_and_json_in_json() -> None:
    """So every line but the platform's own markers is JSON."""
    for log_format in ("text", "json"):
        with logged(log_format) as (logs, pipe):
            logs.banner(["serves", "  at once"])
            lines = pipe.lines()
        if log_format == "text":
            assert lines == ["serves", "  at once"]
        else:
            assert [json.loads(line)["message"] for line in lines] == ["serves", "at once"]


# --- fields of a call


def test_what_is_bound_is_in_all_lines_from_then_on() -> None:
    """A name that is bound again has its new value; a line that has begun is written with what is
    bound when it ends.
    """
    with logged() as (logs, pipe), call("r1") as context:
        log.info("before")
        context.bind(order_id=7, secret="x")
        log.info("after", extra={"order_id": 8})
        logging.getLogger(SERVICE_LOGGER).warning("ours")
        context.bind(order_id=9, self=1)
        print("print", end="")  # noqa: T201 - that is what is tested
        logs.end("r1")
        assert untimed(pipe.lines()) == [
            "r1 [INFO] before",
            "r1 [INFO] after extra_order_id=8 order_id=7 secret=***",
            "r1 [WARNING] ours order_id=7 secret=***",
            "r1 [STDOUT] print order_id=9 secret=*** self=1",
        ]


def test_a_value_is_bound_as_it_is_then() -> None:
    """What changes later does not change the lines."""
    items = [1]
    with logged() as (_, pipe), call("r1") as context:
        context.bind(items=items)
        items.append(2)
        log.info("m")
        assert untimed(pipe.lines()) == ["r1 [INFO] m items=[1]"]


def test_threads_that_bind_at_once_lose_nothing() -> None:
    """Each field of 50 threads of a call is there."""
    context, barrier = Context({}, "r1"), threading.Barrier(50)

    def bind(number: int) -> None:
        barrier.wait()
        context.bind(**{f"n{number}": number})

    threads = [threading.Thread(target=bind, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert record_of(context).bound == {f"n{number}": number for number in range(50)}


NAMES = st.text(st.characters()).map(lambda text: f"f{text}")


@settings(max_examples=10)
@given(st.dictionaries(NAMES, st.text(st.characters()) | st.integers(), max_size=4))
def test_no_call_has_a_field_of_another_one(fields: dict[str, Any]) -> None:
    """200 calls at once, whatever they bind: in the lines of their tasks, threads and prints are
    their own fields, all of them, and no other's.
    """
    with logged("json") as (_, pipe):
        asyncio.run(all_at_once(fields))
        values = entries(pipe)
    assert len(values) == 200 * 3
    for value in values:
        number = int(value["requestId"].removeprefix("r"))
        assert value["own"] == number
        bound = {name: mine for name, mine in value.items() if name[0] == "f"}
        assert len(bound) == len(fields)
        assert all(mine == MASK or mine[0] == number for mine in bound.values())


async def all_at_once(fields: dict[str, Any]) -> None:
    """200 calls, none of which ends before all have begun."""
    barrier = asyncio.Barrier(200)

    async def one(number: int) -> None:
        RUNNING.set(context := Context({}, f"r{number}"))
        context.bind(own=number, **{name: [number, value] for name, value in fields.items()})
        await barrier.wait()
        print("print")  # noqa: T201 - that is what is tested
        await asyncio.create_task(said())
        await asyncio.to_thread(log.info, "thread")

    async def said() -> None:
        log.info("task")

    await asyncio.gather(*map(one, range(200)))
