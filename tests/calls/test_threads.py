"""The threads that run plain functions."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from typing import Any

import pytest

from service.calls.threads import ThreadOutcome, ThreadPool, attempt

RAISED = [ValueError("x"), SystemExit(3), KeyboardInterrupt(), StopIteration(1), GeneratorExit()]


@pytest.mark.parametrize("failure", RAISED, ids=lambda failure: type(failure).__name__)
def test_nothing_that_user_code_raises_passes(failure: BaseException) -> None:
    """Whatever is raised becomes an outcome, `SystemExit` included."""

    def work() -> None:
        raise failure

    assert attempt(work) == ThreadOutcome(None, failure)
    assert attempt(max, 1, 2) == ThreadOutcome(2, None)


async def test_a_lent_thread_that_hangs_is_replaced() -> None:
    """After a hook that does not come back, further jobs get a thread of the pool's own, and their
    CPU time is measured as it was before.
    """
    pool, hangs, may_go = ThreadPool(1), threading.Event(), threading.Event()
    pool.measures_cpu = True

    def hang() -> None:
        hangs.set()
        may_go.wait()

    pool.lend_thread()
    lent = threading.Thread(target=pool.serve_here)
    lent.start()
    hung = pool.run(hang)
    await asyncio.to_thread(hangs.wait)
    pool.replace_lent()
    assert (await pool.run(threading.get_ident)).result != lent.ident
    assert pool.measures_cpu
    may_go.set()
    await hung
    pool.close()
    await asyncio.to_thread(lent.join)


async def test_as_many_run_at_once_as_there_are_threads() -> None:
    """A pool of 50 runs 50 pieces of work that wait for each other."""
    pool, barrier = ThreadPool(50), threading.Barrier(50)
    outcomes = await asyncio.gather(*(pool.run(barrier.wait) for _ in range(50)))
    assert sorted(outcome.result for outcome in outcomes) == list(range(50))
    assert pool.threads == 50
    pool.close()


async def test_threads_are_made_as_needed_and_used_again() -> None:
    """Work that comes one after the other needs one thread."""
    pool = ThreadPool(50)
    assert pool.threads == 0
    names = {(await pool.run(lambda: threading.current_thread().name)).result for _ in range(20)}
    assert len(names) == pool.threads == 1
    pool.close()


async def test_more_work_than_threads_waits_its_turn() -> None:
    """Work beyond the pool's size is done in the order in which it came."""
    pool, gate, done = ThreadPool(1), threading.Event(), list[int]()
    first = pool.run(gate.wait)
    others = [pool.run(done.append, number) for number in range(5)]
    assert pool.threads == 1
    gate.set()
    await asyncio.gather(first, *others)
    assert done == [0, 1, 2, 3, 4]
    pool.close()


async def test_work_that_nobody_waits_for_is_not_begun() -> None:
    """What is cancelled while it waits for a thread never runs."""
    pool, gate, ran = ThreadPool(1), threading.Event(), list[str]()
    first = pool.run(gate.wait)
    second = pool.run(ran.append, "cancelled")
    second.cancel()
    third = pool.run(ran.append, "third")
    gate.set()
    await asyncio.gather(first, third)
    assert ran == ["third"]
    pool.close()


async def test_work_that_is_cancelled_while_it_runs_ends_unheard() -> None:
    """A late outcome of cancelled work is dropped, and its thread serves on."""
    pool, gate, runs = ThreadPool(1), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(runs.set)
        gate.wait()

    first = pool.run(work)
    await runs.wait()
    first.cancel()
    gate.set()
    assert (await pool.run(int, "7")).result == 7
    pool.close()


async def test_an_instance_without_threads_left_serves_with_those_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the instance's limit of threads the pool stays as it is; with none at all it fails."""

    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool, gate = ThreadPool(5), threading.Event()
    first = pool.run(gate.wait)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    second = pool.run(int, "7")
    assert pool.threads == 1
    gate.set()
    await first
    assert (await second).result == 7
    with pytest.raises(RuntimeError, match="can't start"):
        ThreadPool(5).run(int)
    pool.close()


def test_a_thread_that_outlives_its_loop_harms_nobody() -> None:
    """An outcome for a loop that is closed is dropped; the thread takes the next job."""
    pool, gate, ended = ThreadPool(1), threading.Event(), threading.Event()

    async def leave_behind() -> None:
        pool.run(gate.wait)

    async def ask() -> Any:
        return (await pool.run(ended.is_set)).result

    asyncio.run(leave_behind())
    gate.set()
    assert asyncio.run(ask()) is False
    pool.close()


async def test_an_idle_thread_keeps_nothing_of_its_last_call() -> None:
    """The event of a call is freed once the call has ended."""

    class Event:
        pass

    pool = ThreadPool(1)
    event = Event()
    gone = threading.Event()
    weakref.finalize(event, gone.set)
    await pool.run(lambda _: None, event)
    del event
    gc.collect()
    assert await asyncio.to_thread(gone.wait, 60)
    pool.close()


async def test_a_closed_pool_lets_its_threads_end() -> None:
    """After `close` the idle threads are gone; all are daemons, which hold up no exit."""
    pool = ThreadPool(3)
    barrier = threading.Barrier(3)

    def work() -> threading.Thread:
        barrier.wait()
        return threading.current_thread()

    threads = [o.result for o in await asyncio.gather(*(pool.run(work) for _ in range(3)))]
    assert all(thread.daemon for thread in threads)
    pool.close()
    for thread in threads:
        await asyncio.to_thread(thread.join, 60)
        assert not thread.is_alive()


async def test_a_pool_that_is_gone_has_given_its_descriptors_back() -> None:
    """Once its threads have ended, nothing of a pool stays open."""
    before = len(os.listdir("/proc/self/fd"))
    pool = ThreadPool(1)
    thread = (await pool.run(threading.current_thread)).result
    assert len(os.listdir("/proc/self/fd")) == before + 2
    pool.close()
    await asyncio.to_thread(thread.join, 60)
    del pool
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


WAITS = """
    import pathlib, signal, threading
    from service.calls.threads import ThreadPool

    pool = ThreadPool(1)
    pool.lend_thread()
    signal.signal(signal.SIGUSR1, lambda *_: pool.close())
    file = pathlib.Path(f"/proc/self/task/{threading.get_native_id()}/syscall")

    def send():
        while file.read_text().split()[0] not in ("0", "63"):  # `read`, on x86 and on ARM
            pass
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    threading.Thread(target=send).start()
    pool.serve_here()
    print(signal.set_wakeup_fd(-1))
"""


def test_a_signal_that_interrupts_no_wait_ends_it_all_the_same() -> None:
    """The main thread waits for jobs, and the signal comes to another thread, or just before the
    wait: its handler runs at once, and not with the next job.
    """
    command = [sys.executable, "-c", textwrap.dedent(WAITS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("-1\n", "")
