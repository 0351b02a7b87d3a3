"""Processes that handlers fork: they work, end, and log as their call's, and harm no other call."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

import pytest

from tests.conftest import Serve
from tests.harness import request


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_forked_process_is_ended_by_a_signal_and_alone(
    serve: Serve, loop_kind: str, workers: str
) -> None:
    """`Process.terminate` of multiprocessing ends the child, and the service serves on."""
    source = """
        import multiprocessing, time

        def child(sender):
            sender.send("runs")
            time.sleep(100)

        def handler(event, context):
            fork = multiprocessing.get_context("fork")
            receiver, sender = fork.Pipe()
            process = fork.Process(target=child, args=(sender,))
            process.start()
            assert receiver.recv() == "runs"
            process.terminate()
            process.join(10)
            if process.exitcode is None:
                process.kill()
            return {"code": process.exitcode}
    """
    server = serve(source, "--loop", loop_kind, "--workers", workers)
    for _ in range(2):
        assert (await server.ask(request())).json() == {"code": -signal.SIGTERM}
    assert "stopping" not in server.log()
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_forked_process_can_log_whatever_other_threads_do(serve: Serve) -> None:
    """A process that is forked while another thread writes a line finds the log free, and each line
    of each call is there once.
    """
    source = """
        import logging, multiprocessing, time

        def child():
            logging.debug("kept")
            print("of the child", flush=True)

        def handler(event, context):
            process = multiprocessing.get_context("fork").Process(target=child)
            for number in range(20):
                print("before", number)
                logging.debug("kept")
            process.start()
            for number in range(20):
                print("after", number)
            end = time.monotonic() + 20
            while process.exitcode is None and time.monotonic() < end:
                process.join(1)  # in vain in the moment in which another call's start has reaped it
            if process.exitcode is None:
                process.kill()
            return {"code": process.exitcode}
    """
    calls = 60
    server = serve(source)
    ids = [f"call-{number}" for number in range(calls)]
    answers = await asyncio.gather(*(server.ask(request(request_id=each)) for each in ids))
    assert Counter(answer.body for answer in answers) == {b'{"code":0}': calls}
    assert await asyncio.to_thread(server.stop) == 0
    lines = Counter(line.partition("Z ")[2] for line in server.lines if "[STDOUT]" in line)
    texts = [f"{when} {number}" for when in ("before", "after") for number in range(20)]
    assert lines == {
        f"{each} [STDOUT] {text}": 1 for each in ids for text in ("of the child", *texts)
    }
    assert sum("FC Invoke" in line for line in server.lines) == 2 * calls


@pytest.mark.parametrize(
    ("pool", "job"),
    [
        ("concurrent.futures.ProcessPoolExecutor(1, fork)", "pool.submit(print, text).result()"),
        ("fork.Pool(1)", "pool.apply(print, (text,))"),
    ],
    ids=["ProcessPoolExecutor", "Pool"],
)
async def test_a_job_of_a_process_pool_is_not_logged_as_another_calls(
    serve: Serve, pool: str, job: str
) -> None:
    """S2: a pool's process serves all calls; its lines carry no id, not that of the call that made
    it.
    """
    source = f"""
        import concurrent.futures, multiprocessing

        fork = multiprocessing.get_context("fork")
        pool = None

        def handler(event, context):
            global pool
            pool = pool or {pool}
            text = "job of " + context.request_id
            {job}
    """
    server = serve(source)
    for number in range(3):
        await server.ask(request(request_id=f"call-{number}"))
    assert await asyncio.to_thread(server.stop) == 0
    lines = [line.partition("Z ")[2] for line in server.lines if "job of" in line]
    assert lines == [f"- [STDOUT] job of call-{number}" for number in range(3)]


DEFAULTS = {
    "Process": """
            queue = multiprocessing.SimpleQueue()
            process = multiprocessing.Process(target=tell, args=(queue, 7))
            process.start()
            process.join()
            return [queue.get(), process.exitcode]
    """,
    "Pool": """
            with multiprocessing.Pool(1) as pool:
                return [pool.apply(double, (7,)), 0]
    """,
    "ProcessPoolExecutor": """
            with concurrent.futures.ProcessPoolExecutor(1) as pool:
                return [pool.submit(double, 7).result(), 0]
    """,
}


@pytest.mark.parametrize("body", DEFAULTS.values(), ids=DEFAULTS)
async def test_processes_work_by_the_way_that_python_starts_them_by_itself(
    serve: Serve, body: str
) -> None:
    """Code that names no start method works, forked or, from Python 3.14 on, by a fork server."""
    source = f"""
        import concurrent.futures, multiprocessing

        def double(number):
            return 2 * number

        def tell(queue, number):
            queue.put(double(number))

        def handler(event, context):{body}
    """
    server = serve(source)
    for _ in range(2):
        assert (await server.ask(request())).json() == [14, 0]
    assert await asyncio.to_thread(server.stop) == 0


LEAVES = {b"returns": 0, b"exits": 3, b"exits with a text": 1, b"raises": 1}
"""How the child leaves the handler, and its exit code."""


@pytest.mark.parametrize("kind", ["async def", "def"])
async def test_a_fork_that_leaves_the_handler_ends(serve: Serve, loop_kind: str, kind: str) -> None:
    """The copy of the service that `os.fork` makes takes no calls: it ends with the code that it
    would have by itself, and every later call is answered.
    """
    source = f"""
        import os, sys

        def leave(event):
            if event == b"exits":
                sys.exit(3)
            if event == b"exits with a text":
                sys.exit("so long")
            if event == b"raises":
                raise ValueError("of the child")

        {kind} handler(event, context):
            if event.isdigit():
                return event
            pid = os.fork()
            if not pid:
                leave(event)
                return event
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    """
    server = serve(source, "--loop", loop_kind)
    for event, code in LEAVES.items():
        assert (await server.ask(request(event))).json() == code, event
        for number in range(20):
            assert (await server.ask(request(b"%d" % number))).body == b"%d" % number
        assert ("of the child" in server.log()) == (event == b"raises")
    assert await asyncio.to_thread(server.stop) == 0


STARTS = ["fork", "spawn", "forkserver"]


@pytest.mark.parametrize("start", STARTS)
async def test_a_process_that_is_ended_at_once_ends(
    serve: Serve, loop_kind: str, start: str
) -> None:
    """A signal that comes while a process is being made is not lost, however early it is."""
    source = f"""
        import time
        from multiprocessing import get_context

        def handler(event, context):
            codes = []
            for _ in range(20):
                process = get_context({start!r}).Process(target=time.sleep, args=(30,))
                process.start()
                process.terminate()
                process.join(10)
                codes.append(process.exitcode)
                process.kill()
            return sorted(set(codes))
    """
    server = serve(source, "--loop", loop_kind)
    assert (await server.ask(request())).json() == [-signal.SIGTERM]
    assert "stopping" not in server.log()


@pytest.mark.parametrize("start", STARTS)
async def test_a_pool_in_a_handler_works_and_ends(serve: Serve, loop_kind: str, start: str) -> None:
    """`multiprocessing.Pool` as in Python's own documentation."""
    source = f"""
        from multiprocessing import get_context

        def square(number):
            return number * number

        def handler(event, context):
            for _ in range({20 if start == "fork" else 1}):
                with get_context({start!r}).Pool(2) as pool:
                    found = pool.map(square, [1, 2])
            return found
    """
    server = serve(source, "--loop", loop_kind)
    assert (await server.ask(request())).json() == [1, 4]


async def test_the_last_words_of_a_forked_process_are_logged(serve: Serve, loop_kind: str) -> None:
    """What it prints without a line end is a line, once, at its end; what its parent had begun is
    the parent's.
    """
    source = """
        import multiprocessing, sys

        def child():
            sys.stdout.write("last words")

        def handler(event, context):
            print("begun", end=" ")
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start()
            process.join()
            print("and ended")
    """
    server = serve(source, "--loop", loop_kind)
    await server.ask(request(request_id="call"))
    assert await asyncio.to_thread(server.stop) == 0
    lines = [line.partition("Z ")[2] for line in server.lines if "[STDOUT]" in line]
    assert sorted(lines) == ["call [STDOUT] begun and ended", "call [STDOUT] last words"]


async def test_a_forked_process_hears_no_signal_of_the_services(
    serve: Serve, loop_kind: str
) -> None:
    """A handler that a function sets for a signal runs in the process that gets the signal."""
    source = """
        import multiprocessing, os, signal, time

        def note(*_):
            print("noted by", os.getpid(), flush=True)

        signal.signal(signal.SIGUSR1, note)

        def child():
            os.kill(os.getpid(), signal.SIGUSR1)

        def handler(event, context):
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start()
            process.join()
            return process.pid
    """
    server = serve(source, "--loop", loop_kind)
    pid = (await server.ask(request())).json()
    assert await asyncio.to_thread(server.stop) == 0
    assert [line.split()[-1] for line in server.lines if "noted by" in line] == [str(pid)]
