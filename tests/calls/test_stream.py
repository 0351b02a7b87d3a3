"""The event while it arrives."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.calls.admission import Budget
from service.calls.stream import FIRST_PIECE, Chunks, EventStream, Source, too_large
from service.errors import BadFraming, ClientGone, InvalidEvent, PayloadTooLarge, RequestTimeout

CHUNKS = st.lists(st.binary(min_size=1, max_size=20), max_size=8)
TEXT = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"\r", b"\n\n", b""]), max_size=20)
LIMIT = 1000
MIB = 1024 * 1024


def stream(
    *chunks: bytes, size: int | None = None, limit: int = LIMIT, budget: Budget | None = None
) -> EventStream:
    """A body in these chunks."""
    source = Chunks(*filter(None, chunks))
    return EventStream(source, size=size, limit=limit, budget=budget or Budget(limit))


class Failing:
    """A source that gives a chunk and then fails, or never ends."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure
        self.chunks = [b"12345"]

    async def readany(self) -> bytes:
        """A chunk, then the failure."""
        if self.chunks:
            return self.chunks.pop()
        if self.failure is None:
            await asyncio.Event().wait()
        assert self.failure is not None
        raise self.failure


def failing(failure: Exception | None, budget: Budget, size: int | None = 10) -> EventStream:
    """A body that fails after its fifth byte."""
    source: Source = Failing(failure)
    return EventStream(source, size=size, limit=LIMIT, budget=budget)


@given(CHUNKS, st.booleans())
def test_read_is_the_whole_body(chunks: list[bytes], announced: bool) -> None:
    """In any chunking, announced or not, `read()` is all bytes, and they alone are held."""
    whole = b"".join(chunks)
    budget = Budget(2 * LIMIT)

    async def use() -> None:
        body = stream(*chunks, size=len(whole) if announced else None, budget=budget)
        assert await body.read() == whole
        assert body.total == budget.used == len(whole)
        body.close()
        assert budget.used == 0
        body.close()
        assert budget.used == 0

    asyncio.run(use())


@given(CHUNKS)
def test_iteration_gives_the_chunks_as_they_come(chunks: list[bytes]) -> None:
    """`async for` yields what arrived, and holds nothing of the budget."""
    budget = Budget(0)

    async def use() -> list[bytes]:
        return [chunk async for chunk in stream(*chunks, budget=budget)]

    assert asyncio.run(use()) == chunks
    assert budget.used == 0


@given(TEXT, st.integers(1, 5))
def test_lines_do_not_depend_on_the_chunks(pieces: list[bytes], step: int) -> None:
    """In any chunking, `lines()` are the body's lines without LF or CRLF; an empty rest is none."""
    whole = b"".join(pieces).rstrip(b"\r")
    expected = [line.removesuffix(b"\r") for line in whole.split(b"\n")]
    if not expected[-1]:
        expected.pop()

    async def use(*chunks: bytes) -> list[bytes]:
        return [line async for line in stream(*chunks).lines()]

    assert asyncio.run(use(whole)) == expected
    assert (
        asyncio.run(use(*(whole[at : at + step] for at in range(0, len(whole), step)))) == expected
    )


@given(st.lists(st.none() | st.integers() | st.text()), st.integers(1, 7))
@settings(deadline=None)
def test_json_lines_are_the_values_in_order(values: list[Any], step: int) -> None:
    """In any chunking, `json_lines()` are the values; blank lines are passed over."""
    text = "\n \n".join(json.dumps(value) for value in values).encode()
    chunks = [text[at : at + step] for at in range(0, len(text), step)]

    async def use() -> list[Any]:
        return [value async for value in stream(*chunks, limit=MIB).json_lines()]

    assert asyncio.run(use()) == values


@dataclass
class Point:
    """An item of a stream."""

    x: int


async def test_json_lines_are_decoded_as_the_type_asked_for() -> None:
    """`json_lines(T)` yields T."""
    body = stream(b'{"x": 1}\n{"x"', b": 2}")
    assert [point async for point in body.json_lines(Point)] == [Point(1), Point(2)]


@pytest.mark.parametrize("bad", [b'{"x": "one"}', b"{", b"[]"])
async def test_a_bad_line_is_named_by_its_number(bad: bytes) -> None:
    """A bad item is InvalidEvent with the line's number, blank lines counted; those before came."""
    points = stream(b'{"x": 1}\n\n', bad, b"\n").json_lines(Point)
    assert await anext(points) == Point(1)
    with pytest.raises(InvalidEvent, match=r"^line 3: "):
        await anext(points)


@pytest.mark.parametrize("size", [None, 11])
async def test_a_body_over_the_limit_is_refused(size: int | None) -> None:
    """The byte beyond the limit ends the reading, and gives the budget back at the call's end."""
    budget = Budget(100)
    body = stream(b"123456", b"78901", size=size, limit=10, budget=budget)
    with pytest.raises(PayloadTooLarge, match="limit of 10 bytes"):
        await body.read()
    body.close()
    assert budget.used == 0
    assert str(too_large(10)) == "the event is over the limit of 10 bytes"


async def test_a_body_of_the_limit_is_served() -> None:
    """As many bytes as the limit are no failure."""
    assert await stream(b"12345", b"67890", limit=10).read() == b"1234567890"


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (ConnectionResetError("by peer"), ClientGone("the sender left before the body was")),
        (RequestTimeout("stood still"), RequestTimeout("stood still")),
        (ValueError("secret bytes"), BadFraming("the body is not sound HTTP/1.1")),
    ],
    ids=["gone", "timeout", "framing"],
)
@pytest.mark.parametrize("size", [10, None])
async def test_a_body_that_breaks_off_is_told_as_what_it_is(
    failure: Exception, told: Exception, size: int | None
) -> None:
    """A reader's failure has the service's own type, never quotes the body, and costs no budget."""
    budget = Budget(LIMIT)
    body = failing(failure, budget, size)
    with pytest.raises(type(told), match=str(told)) as caught:
        await body.read()
    assert "secret" not in str(caught.value)
    body.close()
    assert budget.used == 0


async def test_a_reading_that_is_cancelled_gives_its_bytes_back() -> None:
    """Cancelled while it reads, or while it waits for room, a body holds nothing after its call."""
    budget = Budget(10)
    reading, waiting = failing(None, budget), failing(None, budget)
    tasks = [asyncio.ensure_future(body.read()) for body in (reading, waiting)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (budget.used, budget.waiting) == (10, 1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    reading.close()
    waiting.close()
    assert (budget.used, budget.waiting) == (0, 0)


async def test_a_body_shorter_than_announced_keeps_what_it_has() -> None:
    """Of a body that ends early, `read()` is what came, and that alone is held."""
    budget = Budget(LIMIT)
    assert await stream(b"12", b"3", size=10, budget=budget).read() == b"123"
    assert budget.used == 3


async def test_the_rest_of_a_body_can_be_read() -> None:
    """After some chunks `read()` gives the others."""
    body = stream(b"head", b"mid", b"tail", size=11)
    async for chunk in body:
        assert chunk == b"head"
        break
    assert await body.read() == b"midtail"


async def test_reading_twice_costs_no_budget() -> None:
    """A second `read()` is empty, and the call's end gives all bytes back."""
    budget = Budget(LIMIT)
    body = stream(b"12345", size=5, budget=budget)
    assert await body.read() == b"12345"
    assert await body.read() == b""
    body.close()
    assert budget.used == 0


async def test_an_empty_body_waits_for_no_room() -> None:
    """A body of no bytes is read while the budget is taken."""
    budget = Budget(1)
    await budget.reserve(1)
    assert await stream(size=0, budget=budget).read() == b""


async def test_the_body_is_asked_for_when_it_is_first_read() -> None:
    """`begin` is called once, before the first byte is waited for."""
    asked: list[str] = []
    begin: Callable[[], None] = lambda: asked.append("begin")  # noqa: E731 - typed for mypy
    budget = Budget(LIMIT)
    body = EventStream(Chunks(b"1", b"2"), size=2, limit=LIMIT, budget=budget, begin=begin)
    assert asked == []
    assert await body.read() == b"12"
    assert asked == ["begin"]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_is_never_twice_in_memory(announced: bool) -> None:
    """Reading 16 MiB takes less than 1.5 times as much, announced or not."""
    size = 16 * MIB

    class Made:
        left = size

        async def readany(self) -> bytes:
            """A new chunk, while there are any."""
            self.left -= 64 * 1024
            return bytes(64 * 1024) if self.left >= 0 else b""

    body = EventStream(
        Made(), size=size if announced else None, limit=2 * size, budget=Budget(2 * size)
    )
    tracemalloc.start()
    try:
        whole = await body.read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(whole) == size
    assert peak < 1.5 * size


# --- after the call


READS: dict[str, Callable[[EventStream], Any]] = {
    "read": lambda event: event.read(),
    "chunks": lambda event: anext(event.__aiter__()),
    "lines": lambda event: anext(event.lines()),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_reading_after_the_call_says_why_it_fails(
    read: Callable[[EventStream], Any],
) -> None:
    """A task that outlives its call gets an error, not an empty body."""
    budget = Budget(LIMIT)
    event = stream(b"12345", size=5, budget=budget)
    event.close()
    with pytest.raises(RuntimeError, match=r"call of this event is answered.*before the handler"):
        await read(event)
    assert budget.used == 0


async def test_reading_when_the_call_ends_says_so_too() -> None:
    """A read that waits for bytes at that moment gets no part of a body, and holds no budget."""
    gate, budget = asyncio.Event(), Budget(LIMIT)

    class Late:
        async def readany(self) -> bytes:
            await gate.wait()
            return b""

    event = EventStream(Late(), size=10, limit=LIMIT, budget=budget)
    reading = asyncio.ensure_future(event.read())
    await asyncio.sleep(0)
    event.close()
    gate.set()
    with pytest.raises(RuntimeError, match="is answered"):
        await reading
    assert budget.used == 0


async def test_reading_that_gets_its_memory_too_late_gives_it_back() -> None:
    """A read that waits for the budget when the call ends takes nothing of it."""
    budget = Budget(LIMIT)
    assert budget.take(LIMIT)
    event = stream(b"12345", size=5, budget=budget)
    reading = asyncio.ensure_future(event.read())
    await asyncio.sleep(0)
    event.close()
    budget.release(LIMIT)
    with pytest.raises(RuntimeError, match="is answered"):
        await reading
    assert budget.used == 0


class Arriving:
    """A source whose chunks are sent one by one; it stalls until then."""

    def __init__(self) -> None:
        self.chunks = asyncio.Queue[bytes]()

    async def readany(self) -> bytes:
        """Return the next chunk, once it is sent."""
        return await self.chunks.get()


async def settled() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_senders_that_stall_keep_no_room_for_what_they_could_send() -> None:
    """Two chunked bodies stand still, each of which may be as large as half of the budget: a third
    event is read at once.
    """
    budget = Budget(256 * MIB)
    stalled = [Arriving(), Arriving()]
    readings = []
    for source in stalled:
        body = EventStream(source, size=None, limit=128 * MIB, budget=budget)
        readings.append(asyncio.ensure_future(body.read()))
        source.chunks.put_nowait(b"begin")
    await settled()
    third = EventStream(Chunks(b"{}"), size=2, limit=128 * MIB, budget=budget)
    assert await asyncio.wait_for(third.read(), 5) == b"{}"
    assert budget.used == 2 * FIRST_PIECE + 2
    for source in stalled:
        source.chunks.put_nowait(b"")
    assert await asyncio.gather(*readings) == [b"begin", b"begin"]
    assert budget.used == 12


BODIES = st.lists(
    st.tuples(st.booleans(), st.lists(st.integers(1, 9), max_size=5)), min_size=1, max_size=6
)


@given(st.integers(1, 30), BODIES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_bodies_that_grow_together_all_arrive(
    total: int, bodies: list[tuple[bool, list[int]]], order: Random
) -> None:
    """In whatever order the chunks of bodies come, of known length or not, each body arrives under
    a small budget, which is exceeded by one body at most, and nothing is held in the end.
    """
    with patch("service.calls.stream.FIRST_PIECE", 2):
        asyncio.run(_all_arrive(total, bodies, order))


async def _all_arrive(total: int, bodies: list[tuple[bool, list[int]]], order: Random) -> None:
    budget, limit = Budget(total), 45

    async def call(source: Arriving, size: int | None) -> int:
        body = EventStream(source, size=size, limit=limit, budget=budget)
        try:
            whole = await body.read()
            await settled()  # the handler's time
            return len(whole)
        finally:
            body.close()

    sources = [Arriving() for _ in bodies]
    calls = [
        asyncio.ensure_future(call(source, sum(chunks) if is_sized else None))
        for source, (is_sized, chunks) in zip(sources, bodies, strict=True)
    ]
    coming = [at for at, (_, chunks) in enumerate(bodies) for _ in [*chunks, 0]]
    order.shuffle(coming)
    left = [[*chunks, 0] for _, chunks in bodies]
    for at in coming:
        sources[at].chunks.put_nowait(b"x" * left[at].pop(0))
        for _ in range(order.randrange(4)):
            await asyncio.sleep(0)
            assert budget.used <= total + limit
    got = await asyncio.wait_for(asyncio.gather(*calls), 30)
    assert got == [sum(chunks) for _, chunks in bodies]
    assert (budget.used, budget.waiting) == (0, 0)


async def test_a_line_whose_end_has_not_come_is_in_the_budget() -> None:
    """`lines()` holds the part of a line that has come, counted, until the line is handed out."""
    budget, source = Budget(LIMIT), Arriving()
    body = EventStream(source, size=None, limit=LIMIT, budget=budget)
    lines = body.lines()
    reading = asyncio.ensure_future(anext(lines))
    for chunk, held in ((b"abc", 3), (b"de", 5)):
        source.chunks.put_nowait(chunk)
        await settled()
        assert budget.used == held
    source.chunks.put_nowait(b"f\nrest")
    assert await reading == b"abcdef"
    assert budget.used == 0
    reading = asyncio.ensure_future(anext(lines))
    await settled()
    assert budget.used == 4
    source.chunks.put_nowait(b"")
    assert await reading == b"rest"
    body.close()
    assert budget.used == 0
