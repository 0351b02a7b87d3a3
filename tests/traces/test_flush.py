"""When what was recorded is sent, and who waits for it how long."""

from __future__ import annotations

import asyncio
import threading

from service.traces.flush import Flusher

LONG = 60.0


class Sender:
    """Sends when it is let; notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[bool] = []
        self.begun = threading.Semaphore(0)
        self.may = threading.Semaphore(0)

    def __call__(self, all_of_it: bool) -> None:
        self.asked.append(all_of_it)
        self.begun.release()
        self.may.acquire()


def recorded(flusher: Flusher) -> asyncio.Event:
    """Record something, and wait for its flush; return what is set when an answer may leave."""
    flusher.dirty = True
    out = asyncio.Event()
    flusher.before(out.set)
    return out


async def test_an_answer_waits_until_all_is_sent() -> None:
    """It leaves when the flush is done, and at once if nothing was recorded."""
    send = Sender()
    flusher = Flusher(send, LONG)
    out = recorded(flusher)
    await asyncio.to_thread(send.begun.acquire)
    assert not out.is_set()
    send.may.release()
    await out.wait()
    assert send.asked == [False]
    left: list[int] = []
    flusher.before(lambda: left.append(1))
    assert left == [1]


async def test_an_answer_waits_no_longer_than_its_time() -> None:
    """Behind a flush that does not end nobody waits; once it has ended, answers wait again."""
    send = Sender()
    flusher = Flusher(send, 0.01)
    await recorded(flusher).wait()
    assert flusher.behind
    assert recorded(flusher).is_set()
    send.may.release(2)
    while flusher.behind:  # noqa: ASYNC110 - another thread tells it
        await asyncio.sleep(0)
    flusher.seconds = LONG
    out = recorded(flusher)
    assert not out.is_set()
    send.may.release()
    await out.wait()


async def test_no_time_means_no_wait() -> None:
    """With 0 seconds nothing is sent for an answer's sake."""
    send = Sender()
    flusher = Flusher(send, 0.0)
    assert recorded(flusher).is_set()
    assert send.asked == []


async def test_all_is_sent_when_it_is_asked_for() -> None:
    """`flush` sends metrics too, and what comes while it goes on is sent by the next one."""
    send = Sender()
    flusher = Flusher(send, LONG)
    first = recorded(flusher)
    await asyncio.to_thread(send.begun.acquire)
    all_of_it = asyncio.ensure_future(flusher.flush(LONG))
    await asyncio.sleep(0)
    send.may.release(2)
    await all_of_it
    assert first.is_set()
    assert send.asked == [False, True]


async def test_the_loop_is_free_while_it_is_sent() -> None:
    """Sending goes on in a thread that does not hold up the exit."""
    threads = []

    def send(_all: bool) -> None:
        threads.append(threading.current_thread())

    await recorded(Flusher(send, LONG)).wait()
    assert threads[0] is not threading.main_thread()
    assert threads[0].daemon


async def test_a_failure_of_what_sends_holds_up_nobody() -> None:
    """An exporter that raises is told of in the log, and the next flush is tried."""

    def send(_all: bool) -> None:
        raise RuntimeError("no luck")

    flusher = Flusher(send, LONG)
    await recorded(flusher).wait()
    await recorded(flusher).wait()
