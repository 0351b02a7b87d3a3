"""Questions to all workers, and what becomes of late, double and missing answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from service.context.call import RUNNING, Context
from service.context.derived import sent_headers
from service.errors import InitializationError, ServiceError
from service.instance.duties import Duty, Work
from service.protocol import Operation, error_body
from service.settings.table import Settings
from service.workers.messages import Inbox, Message, Outbox, new_inbox, received
from service.workers.peers import PeerFailed, Peers


def duty(path: str, seconds: float = 60.0) -> Duty:
    """A row of the table of duties."""
    return Duty(Operation(path, path, ("GET",)), lambda _service: here, lambda _settings: seconds)


DO = duty("/do")
INITIALIZE = replace(duty("/initialize"), is_done_at_end=False)
SHORT = duty("/short", 0.01)
SPARED = replace(duty("/spared", 0.01), silence_fails=False)
ROWS = (DO, INITIALIZE, SHORT, SPARED)


@pytest.fixture
def inboxes() -> Iterator[list[Inbox]]:
    """The mailinboxes of two workers."""
    made = [new_inbox(), new_inbox()]
    yield made
    for inbox in made:
        inbox.close()


def peer(inboxes: list[Inbox], place: int, work: Work | None = None) -> Peers:
    """A worker that reads its mail, and does `work` when it is asked to."""
    made = Peers(place, inboxes, Settings())
    if work is not None:
        made.work = {row.path: work for row in ROWS}
    made.open()
    return made


async def here() -> str:
    """What the worker that is asked first says."""
    return "here"


async def there() -> str:
    """What the other one says."""
    return "there"


def put(inbox: Inbox, message: Message) -> None:
    """Send a message to an inbox."""
    Outbox(inbox).send(message)


async def question_in(inbox: Inbox) -> Message:
    """The question that arrives in a mailbox nobody else reads."""
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    while True:
        loop.add_reader(inbox.reading, arrived.set)
        await arrived.wait()
        loop.remove_reader(inbox.reading)
        arrived.clear()
        for message in received(inbox, Message):
            if message.kind == "question":
                return message


async def test_all_workers_answer_in_their_order(inboxes: list[Inbox]) -> None:
    """A duty is done in every worker, whichever was asked."""
    first, second = peer(inboxes, 0, there), peer(inboxes, 1, there)
    assert await first.ask(DO, here) == ["here", "there"]
    assert await second.ask(DO, here) == ["there", "here"]
    first.close()
    second.close()


async def test_a_duty_runs_under_the_context_of_who_asked(inboxes: list[Inbox]) -> None:
    """Request id, platform headers and deadline go along; other headers do not. What the duty
    logged is flushed before it is answered.
    """
    seen: list[Context] = []
    flushed: list[str] = []

    async def look() -> None:
        seen.append(RUNNING.get())

    first = peer(inboxes, 0)
    headers = {"X-Fc-Function-Name": "fun", "Authorization": "secret"}
    RUNNING.set(Context(headers, "r1", 12.5))
    asked = asyncio.create_task(first.ask(DO, here))
    question = await question_in(inboxes[1])
    assert question.headers == {"X-Fc-Function-Name": "fun"}
    put(inboxes[1], question)
    second = peer(inboxes, 1, look)
    second.before_answer = flushed.append
    await asked
    (context,) = seen
    assert (context.request_id, context.deadline) == ("r1", 12.5)
    assert sent_headers(context) == question.headers
    assert flushed == ["r1"]
    first.close()
    second.close()


async def test_what_is_no_error_of_ours_is_an_answer_too(
    inboxes: list[Inbox], caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of the service in the other worker is not waited for."""

    async def fail() -> None:
        raise ZeroDivisionError

    first, second = peer(inboxes, 0), peer(inboxes, 1, fail)
    with pytest.raises(PeerFailed, match="the service failed"):
        await first.ask(DO, here)
    assert "/do failed: ZeroDivisionError" in caplog.text
    first.close()
    second.close()


@pytest.mark.parametrize("text", ["x" * 300_000, "\ud83d", "caf\udce9"], ids=ascii)
async def test_any_failure_of_another_worker_is_told(inboxes: list[Inbox], text: str) -> None:
    """However long its text is and whatever is in it, the answer is what it would be here."""

    async def fail() -> None:
        raise InitializationError(text)

    first, second = peer(inboxes, 0), peer(inboxes, 1, fail)
    RUNNING.set(Context({"x-fc-function-name": "caf\udce9"}, "r1", None))
    with pytest.raises(PeerFailed) as raised:
        await first.ask(DO, here)
    expected = error_body("InitializationError", text, "r1", [])
    assert error_body(raised.value.code, str(raised.value), "r1", []) == expected
    first.close()
    second.close()


async def test_the_first_failure_is_raised_once_all_have_answered(inboxes: list[Inbox]) -> None:
    """A failure keeps its status, code and message on its way from another worker."""
    ended = asyncio.Event()

    async def fail() -> None:
        raise InitializationError("no table")

    async def wait() -> None:
        await asyncio.sleep(0)
        ended.set()

    first, second = peer(inboxes, 0), peer(inboxes, 1, fail)
    with pytest.raises(PeerFailed, match="no table") as raised:
        await first.ask(DO, wait)
    assert ended.is_set()
    assert (raised.value.status, raised.value.code) == (404, "InitializationError")
    first.close()
    second.close()


async def test_a_failure_here_does_not_hide_that_the_other_was_asked(
    inboxes: list[Inbox],
) -> None:
    """The duty is done there although it failed here."""
    done = asyncio.Event()

    async def fail() -> None:
        raise InitializationError("here")

    async def note() -> None:
        done.set()

    first, second = peer(inboxes, 0), peer(inboxes, 1, note)
    with pytest.raises(InitializationError):
        await first.ask(DO, fail)
    assert done.is_set()
    first.close()
    second.close()


async def test_a_silent_worker_fails_a_duty_unless_it_is_spared(inboxes: list[Inbox]) -> None:
    """The wait is bounded; the error names the worker."""
    first = peer(inboxes, 0)
    with pytest.raises(ServiceError, match="worker 2 did not answer /short within"):
        await first.ask(SHORT, here)
    assert await first.ask(SPARED, here) == ["here", None]
    first.close()


async def test_a_successor_is_asked_what_its_predecessor_did_not_answer(
    inboxes: list[Inbox],
) -> None:
    """The mail that a dead worker has read is sent again when the next one is there, and done
    once.
    """
    runs = 0

    async def count() -> int:
        nonlocal runs
        runs += 1
        return runs

    first = peer(inboxes, 0)
    asked = asyncio.create_task(first.ask(DO, here))
    question = await question_in(inboxes[1])
    put(inboxes[1], question)  # as if it had not been read as well: it arrives twice
    second = peer(inboxes, 1, count)
    assert await asked == ["here", 1]
    assert await first.ask(DO, here) == ["here", 2]
    first.close()
    second.close()


async def test_stale_mail_is_passed_over(inboxes: list[Inbox]) -> None:
    """An answer for another process or to no question is nobody's, an overdue question is not
    done, and an answer that comes twice counts once.
    """
    first = peer(inboxes, 0)
    pid = os.getpid()
    put(inboxes[0], Message(kind="answer", sender=1, asker=pid, number=7))
    put(inboxes[0], Message(kind="question", sender=1, asker=pid, number=9, path="/do", until=1.0))
    asked = asyncio.create_task(first.ask(DO, here))
    question = await question_in(inboxes[1])
    for asker, result in ((pid + 1, "stranger"), (pid, "right"), (pid, "again")):
        put(
            inboxes[0],
            Message(kind="answer", sender=1, asker=asker, number=question.number, result=result),
        )
    assert await asked == ["here", "right"]
    first.close()


async def test_a_worker_that_ends_gives_up_what_it_does(inboxes: list[Inbox]) -> None:
    """Closing cancels the duties that others wait for: their successor does them."""
    began = asyncio.Event()

    async def wait() -> None:
        began.set()
        await asyncio.Event().wait()

    first, second = peer(inboxes, 0), peer(inboxes, 1, wait)
    asked = asyncio.create_task(first.ask(DO, here))
    await began.wait()
    second.close()
    third = peer(inboxes, 1, there)
    assert await asked == ["here", "there"]
    first.close()
    third.close()


@pytest.mark.parametrize("row", [DO, INITIALIZE], ids=lambda row: row.path)
async def test_nobody_waits_for_a_worker_that_has_ended_for_good(
    inboxes: list[Inbox], row: Duty
) -> None:
    """What it was asked, and is asked later, has no result; but it is not initialized. Its
    successor, should there be one all the same, is asked again.
    """
    began = asyncio.Event()

    async def wait() -> None:
        began.set()
        await asyncio.Event().wait()

    async def result() -> list[str | None] | str:
        try:
            return await first.ask(row, here)
        except ServiceError as failure:
            return failure.code

    first, second = peer(inboxes, 0), peer(inboxes, 1, wait)
    expected = "Stopping" if row is INITIALIZE else ["here", None]
    asked = asyncio.create_task(result())
    await began.wait()
    second.close(for_good=True)
    assert await asked == expected
    assert await result() == expected
    third = peer(inboxes, 1, there)
    async with asyncio.timeout(60):
        while True:
            if await result() == ["here", "there"]:
                break
    first.close()
    third.close()
