"""Concurrency 1 and a plain handler: import, hooks and calls run in one thread, the main one."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from tests.conftest import Serve
from tests.harness import ServerProcess, request

CASES = {
    "sqlite3": """
        import sqlite3
        db = sqlite3.connect(":memory:")

        def initialize(context):
            db.execute("create table t (n)")

        def handler(event, context):
            return db.execute("select count(*) from t").fetchone()[0] == 0

        def pre_stop(context):
            db.close()
            print("pre_stop ran")
    """,
    "threading.local": """
        import threading
        box = threading.local()
        box.client = "made at import"

        def initialize(context):
            box.started = True

        def handler(event, context):
            return box.client == "made at import" and box.started

        def pre_stop(context):
            assert box.started
            print("pre_stop ran")
    """,
    "the main thread": """
        import threading

        def here():
            return threading.current_thread() is threading.main_thread()

        def initialize(context):
            assert here()

        def handler(event, context):
            return here()

        def pre_stop(context):
            assert here()
            print("pre_stop ran")
    """,
    "asyncio.run": """
        import asyncio

        async def work():
            await asyncio.sleep(0)
            return True

        def handler(event, context):
            return asyncio.run(work())

        def pre_stop(context):
            print("pre_stop ran", asyncio.run(work()))
    """,
}


def one(serve: Serve, source: str, loop_kind: str, *flags: str) -> ServerProcess:
    """A service that runs one call at a time."""
    return serve(source, "--concurrency", "1", "--loop", loop_kind, *flags)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("source", CASES.values(), ids=CASES)
async def test_what_belongs_to_a_thread_serves_all_calls(
    serve: Serve, source: str, workers: str
) -> None:
    """What was made at import is used by hooks and calls as in the built-in runtime."""
    flags = ["--workers", workers]
    server = serve(source, "--concurrency", workers, *flags)
    for _ in range(3):
        assert (await server.ask(request())).body == b"true"
    assert await asyncio.to_thread(server.stop) == 0
    assert server.log().count("pre_stop ran") == int(workers)
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("source", [CASES["sqlite3"], CASES["asyncio.run"]])
async def test_invoke_runs_a_call_there_too(serve: Serve, source: str) -> None:
    """The command is no other place than the service."""
    flags = ["--concurrency", "1"]
    server = serve(source, command=[sys.executable, "-m", "service", "invoke", *flags])
    assert await server.ends() == 0
    assert server.lines == ["true"]


async def test_an_alarm_interrupts_the_call(serve: Serve, loop_kind: str) -> None:
    """A time-out by SIGALRM ends what waits, and the next call is served."""
    source = """
        import signal, time

        def late(*_):
            raise TimeoutError("too late")

        signal.signal(signal.SIGALRM, late)

        def handler(event, context):
            if event == b"slow":
                signal.setitimer(signal.ITIMER_REAL, 0.01)
                for _ in range(600):  # the alarm may come just before a sleep, and not end it
                    time.sleep(0.1)
            return "done"
    """
    server = one(serve, source, loop_kind)
    answer = await server.ask(request(b"slow"))
    assert answer.json()["errorMessage"] == "too late"
    assert (await server.ask(request())).body == b"done"


async def test_an_alarm_that_comes_between_calls_ends_nothing(serve: Serve, loop_kind: str) -> None:
    """What a signal's handler raises while no call runs is no failure of the service's."""
    source = """
        import signal

        def late(*_):
            signal.signal(signal.SIGUSR1, late)
            print("raises", flush=True)
            raise TimeoutError("nobody waits")

        signal.signal(signal.SIGUSR1, late)

        def handler(event, context):
            return event
    """
    server = one(serve, source, loop_kind)
    for number in range(1, 6):
        assert (await server.ask(request(b"x"))).body == b"x"
        server.signal(signal.SIGUSR1)
        await asyncio.to_thread(server.wait_for, "raises", 60, number)
    assert (await server.ask(request(b"x"))).body == b"x"
    assert await asyncio.to_thread(server.stop) == 0


HELD = """
    import pathlib, threading

    def handler(event, context):
        print("running")
        while event == b"hold" and not pathlib.Path("go").exists():
            threading.Event().wait(0.02)
        while event == b"endless":
            pass
        return event
"""


async def test_a_call_in_flight_is_finished_before_the_end(serve: Serve, loop_kind: str) -> None:
    """The main thread is busy, and a stop is heard at once; `/health` answers meanwhile."""
    server = one(serve, HELD, loop_kind)
    async with server.client() as client:
        await client.send(request(b"hold"))
        await asyncio.to_thread(server.wait_for, "running")
        health = await server.ask(request(b"", path="/health", method="GET"))
        assert health.json()["running"] == 1
        server.signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait_for, "SIGTERM: stopping")
        (server.folder / "go").touch()
        assert (await client.answer()).body == b"hold"
    assert await server.ends() == 0


async def test_a_call_that_never_ends_has_its_deadline_and_holds_up_no_stop(
    serve: Serve, loop_kind: str
) -> None:
    """Its caller is told, and the process ends though the main thread never comes back."""
    server = one(serve, HELD, loop_kind, "--timeout", "0.5", "--drain-timeout", "0.1")
    answer = await server.ask(request(b"endless"))
    assert answer.json()["errorType"] == "FunctionTimeout"
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_fork_that_leaves_the_handler_ends_there_too(serve: Serve, loop_kind: str) -> None:
    """The copy takes no calls."""
    source = """
        import os

        def handler(event, context):
            pid = os.fork()
            if not pid:
                raise SystemExit(7)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    """
    server = one(serve, source, loop_kind)
    for _ in range(3):
        assert (await server.ask(request())).json() == 7
    assert await asyncio.to_thread(server.stop) == 0
