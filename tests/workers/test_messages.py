"""What processes tell one another arrives, whatever text is in it and whoever does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from service.errors import InitializationError, StartError
from service.workers.messages import (
    LARGEST_MESSAGE,
    MOST_WAITING,
    Failure,
    Inbox,
    Message,
    Outbox,
    WorkerReport,
    decoded,
    encoded,
    failure_of,
    new_inbox,
    received,
    report_of,
)

TEXTS = {
    "plain": "no table",
    "not UTF-8": "caf\udce9",
    "a lone surrogate": "\ud83d",
    "astral": "\U0001f600" * 20_000,
    "long": "x" * 300_000,
    "NUL": "a\x00b",
}


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """An inbox that nobody else reads."""
    made = new_inbox()
    yield made
    made.close()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_any_failure_arrives(inbox: Inbox, text: str) -> None:
    """Its text is what a caller would be told here: as it is, or the same part of it."""
    failure = failure_of(InitializationError(text))
    Outbox(inbox).send(Message(kind="answer", sender=1, failure=failure))
    (got,) = received(inbox, Message)
    assert got.failure == failure
    assert failure.text[:16384] == text[:16384]
    if len(text) > 16384:
        assert failure.text.endswith(f"... [{len(text) - 16384} characters cut]")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_worker_can_tell_any_reason(text: str) -> None:
    """What keeps it from starting reaches the supervisor."""
    report = report_of(7, StartError(text))
    data = encoded(report)
    assert len(data) <= LARGEST_MESSAGE
    assert decoded(data, WorkerReport) == report


def test_headers_go_as_they_are() -> None:
    """A field that is not UTF-8 is the same field in the other worker."""
    message = Message(kind="question", sender=0, headers={"x-fc-function-name": "caf\udce9"})
    assert decoded(encoded(message), Message) == message


def test_of_too_many_headers_the_largest_are_left_out() -> None:
    """The question is asked all the same."""
    headers = {"x-fc-a": "a" * LARGEST_MESSAGE, "x-fc-b": "b" * 100_000, "x-fc-c": "c" * 99_000}
    message = Message(kind="question", sender=0, headers=headers)
    assert decoded(encoded(message), Message).headers == {"x-fc-c": "c" * 99_000}


async def test_a_message_to_a_full_inbox_arrives_when_there_is_room(inbox: Inbox) -> None:
    """In order, and none is lost: an answer that is lost would be waited for in vain."""
    outbox, letters = Outbox(inbox), 40
    for number in range(letters):
        outbox.send(Message("answer", 0, number=number, failure=Failure(404, "X", "y" * 30_000)))
    got: list[int] = []
    async with asyncio.timeout(20):
        while len(got) < letters:
            got += [message.number for message in received(inbox, Message)]
            await asyncio.sleep(0)
    assert got == list(range(letters))


async def test_what_is_kept_for_a_worker_that_hangs_is_bounded(inbox: Inbox) -> None:
    """Further messages are dropped: it would not answer them."""
    outbox = Outbox(inbox)
    for _ in range(3 * MOST_WAITING):
        outbox.send(Message("started", 0, failure=Failure(404, "X", "y" * 30_000)))
    outbox.close()
    arrived = sum(1 for _ in received(inbox, Message))
    assert 0 < arrived < MOST_WAITING


async def test_an_inbox_that_nobody_has_any_more_takes_all(inbox: Inbox) -> None:
    """Who sends to the dead goes on."""
    inbox.reading.close()
    outbox = Outbox(inbox)
    outbox.send(Message("started", 0))
    outbox.send(Message("started", 0))
