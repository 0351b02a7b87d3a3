"""Log lines that leave together, and who waits until they are out."""

from __future__ import annotations

import asyncio

import pytest

from service.logs.gathering import FEW_IN_A_TURN, GatheringPipe
from tests.assembly import Pipe
from tests.logs.conftest import LINE


async def test_gathered_lines_leave_together_at_the_end_of_the_turn(pipe: Pipe) -> None:
    """Nothing is written before the turn ends; then all is, before who waits for it goes on."""
    pipe.log.attach()
    seen = list[bytes]()
    for name in (b"one", b"two"):
        pipe.log.gather(name + b"\n")
        pipe.log.when_out(lambda: seen.append(pipe.read()))
    assert (pipe.read(), seen) == (b"", [])
    await asyncio.sleep(0)
    assert seen == [b"one\ntwo\n", b""]
    pipe.log.detach()


async def test_a_line_takes_the_gathered_ones_along(pipe: Pipe) -> None:
    """What a handler writes stands behind its Start line, and is out at once, from any thread."""
    pipe.log.attach()
    pipe.log.gather(b"start\n")
    await asyncio.to_thread(pipe.log.write, b"line\n")
    assert pipe.read() == b"start\nline\n"
    pipe.log.gather(b"end\n")
    assert pipe.log.flush()
    assert pipe.read() == b"end\n"
    pipe.log.detach()


def test_without_a_loop_nothing_is_gathered(pipe: Pipe) -> None:
    """Before the service runs, and after, lines are written as they come."""
    seen = list[bytes]()
    pipe.log.gather(b"line\n")
    pipe.log.when_out(lambda: seen.append(pipe.read()))
    assert seen == [b"line\n"]


async def test_one_that_fails_holds_up_no_other(pipe: Pipe) -> None:
    """Those who wait for the same turn go on, and the failure is the loop's to report."""
    failures, seen = list[str](), list[int]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(str(context["exception"])))

    def fail() -> None:
        raise ValueError("mine")

    pipe.log.attach()
    pipe.log.gather(b"line\n")
    pipe.log.when_out(lambda: seen.append(1))
    pipe.log.when_out(fail)
    pipe.log.when_out(lambda: seen.append(2))
    await asyncio.sleep(0)
    assert (seen, failures) == ([1], ["mine"])
    await asyncio.sleep(0)
    assert seen == [1, 2]
    pipe.log.detach()


async def test_a_crowd_is_many_calls_that_begin_in_one_turn(pipe: Pipe) -> None:
    """A few calls in a turn are none, and a crowd is one for the next turn too."""
    pipe.log.attach()
    assert [bool(pipe.log.begins()) for _ in range(FEW_IN_A_TURN + 2)] == [
        False
    ] * FEW_IN_A_TURN + [True] * 2
    await asyncio.sleep(0)
    assert pipe.log.begins()
    await asyncio.sleep(0)
    assert not pipe.log.begins()
    pipe.log.detach()


async def test_a_few_calls_that_end_in_a_turn_are_not_held_up_for_its_end(pipe: Pipe) -> None:
    """Of calls that began in an earlier turn, in a crowd or not, further ones are gathered; those
    that end in the turn in which their crowd began all are, and do not count.
    """
    pipe.log.attach()
    crowds = [pipe.log.begins() for _ in range(FEW_IN_A_TURN + 2)]
    assert pipe.log.ends(crowds[-1])
    for _ in range(2):
        await asyncio.sleep(0)
        assert [pipe.log.ends(crowd) for crowd in crowds] == [False] * FEW_IN_A_TURN + [True] * 2
    pipe.log.detach()


async def test_a_gathered_crowd_waits_for_a_slow_reader(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for gathered lines goes on when the reader has them."""
    monkeypatch.setattr("service.logs.gathering.READER_PATIENCE", 3600.0)
    pipe.log.attach()
    pipe.log.write(LINE * 50)
    out = asyncio.Event()
    pipe.log.gather(b"mine\n")
    pipe.log.when_out(out.set)
    await asyncio.sleep(0)
    assert not out.is_set()
    text = pipe.read()
    async with asyncio.timeout(60):
        await out.wait()
        while not text.endswith(b"mine\n"):
            text += pipe.read()
            await asyncio.sleep(0)
    pipe.log.detach()


# --- a reader that is slow


async def drained(log: GatheringPipe) -> None:
    """Wait until the lines written so far are out."""
    out = asyncio.Event()
    log.when_out(out.set)
    await out.wait()


async def test_the_loop_writes_on_when_there_is_room(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is pending leaves as soon as the reader takes more, with no further line; who waits for
    it goes on then.
    """
    monkeypatch.setattr("service.logs.gathering.READER_PATIENCE", 3600.0)
    pipe.log.write(LINE * 50)
    pipe.log.attach()
    for _ in range(2):
        waits = asyncio.ensure_future(drained(pipe.log))
        await asyncio.sleep(0)
        assert not waits.done()
        text = pipe.read()
        await waits
        assert text + pipe.read() == LINE * 50
        await drained(pipe.log)
        pipe.log.write(LINE * 50)
    pipe.log.detach()
    assert pipe.log.lost == 0


async def test_each_waits_for_its_own_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes a little at a time lets go on who wrote first, and then the next."""
    monkeypatch.setattr("service.logs.gathering.READER_PATIENCE", 3600.0)
    pipe, ended = Pipe(capacity=100_000, size=4096), list[str]()

    async def call(name: str) -> None:
        pipe.log.write(LINE * 100)
        await drained(pipe.log)
        ended.append(name)

    pipe.log.attach()
    calls = [asyncio.ensure_future(call(name)) for name in ("first", "second")]
    text, seen = b"", list[list[str]]()
    async with asyncio.timeout(60):
        while not all(task.done() for task in calls):
            text += pipe.read()
            seen.append(ended[:])
            await asyncio.sleep(0)
    assert (text + pipe.read()).count(LINE) == 200
    assert ["first"] in seen
    assert ended == ["first", "second"]
    pipe.log.detach()
    pipe.close()


async def test_an_answer_waits_no_longer_than_a_moment(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for a reader ends; there is none for one that has been gone, or without a loop."""
    monkeypatch.setattr("service.logs.gathering.READER_PATIENCE", 0.01)
    pipe.log.write(LINE * 50)
    await drained(pipe.log)
    pipe.log.attach()
    await asyncio.wait_for(drained(pipe.log), 60)
    monkeypatch.setattr("service.logs.gathering.READER_PATIENCE", 3600.0)
    pipe.log._moved -= 3600
    await asyncio.wait_for(drained(pipe.log), 60)
    pipe.log.detach()
    assert pipe.log._pending
