"""Functions that fail, and processes that die (sections F and H): who else is hurt is counted."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Serve
from tests.handlers import ledgered
from tests.harness import Answer, request
from tests.system import figures
from tests.system.conftest import PAIRS, name
from tests.system.instance import HEALTH, STOCK, Instance, started
from tests.system.ledger import Caller

# --- which of 200 calls fails, and how

AT_ONCE = 200
RAISED = {name: name for name in ledgered.FAULTS}
UNSOUND = dict.fromkeys(ledgered.RESULTS, "UnserializableResult")
LATE = {"hang": "FunctionTimeout", "swallow": "FunctionTimeout"}
QUITS = {"quit": "CancelledError", "quit-and-wait": "CancelledError"}

Plan = dict[int, str]


def plans(words: list[str]) -> st.SearchStrategy[Plan]:
    """Which of the calls fail, and how."""
    which = st.integers(0, AT_ONCE - 1)
    return st.dictionaries(which, st.sampled_from(words), min_size=10, max_size=40)


class Held:
    """An instance and 200 connections to it, on an event loop that waits for us."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.server, self.callers = self.loop.run_until_complete(self._start(case))

    async def _start(self, case: dict[str, Any]) -> tuple[Instance, list[Caller]]:
        flags = ("--deadline-margin", "0", "--queue", "200", "--stall-after", "0")
        server = await self.stack.enter_async_context(started(flags=flags, **case))
        return server, await self.stack.enter_async_context(server.callers(AT_ONCE))

    def close(self) -> None:
        """End the instance."""
        self.loop.run_until_complete(self.stack.aclose())
        self.loop.close()


@pytest.fixture(scope="module", params=PAIRS, ids=name)
def held(request: pytest.FixtureRequest) -> Iterator[Held]:
    """One instance of each of four kinds, in which each two properties meet, for all examples."""
    found = Held(request.param)
    yield found
    found.close()


@settings(max_examples=3)
@given(plan=plans([*RAISED, *UNSOUND, *LATE, *QUITS]))
def test_whichever_of_200_calls_fail_the_others_are_answered(held: Held, plan: Plan) -> None:
    """F-1, F-2, F-3, F-4, D9: whatever some of 200 calls raise, return, wait for or cancel, each of
    these has its error, and each of the others its answer, once, on a connection that goes on.
    """
    held.loop.run_until_complete(calls_with(held, plan))


async def calls_with(held: Held, plan: Plan) -> None:
    """Make 200 calls of which some fail."""
    (held.server.folder / "go").unlink(missing_ok=True)
    plain = held.server.case.kind == "plain"
    plan = {n: word for n, word in plan.items() if not (plain and word in QUITS)}

    async def call(number: int, caller: Caller) -> Answer | None:
        word = plan.get(number, "nap")
        limit = {"x_fc_function_timeout": "0.6"} if word in LATE else {}
        return await caller.ask(f"{word} 0.0{number % 7}".encode(), **limit)

    answers = await asyncio.gather(*(call(n, c) for n, c in enumerate(held.callers)))
    held.server.go()
    expected = {**RAISED, **UNSOUND, **LATE, **QUITS}
    for number, answer in enumerate(answers):
        assert answer
        assert not answer.closes
        assert len(answer.body) < 64 * 1024
        if number in plan:
            assert (answer.status, answer.json()["errorType"]) == (404, expected[plan[number]])
        else:
            assert (answer.status, answer.body) == (200, b"nap 0.0%d" % (number % 7))
    fates = held.server.ledger.count()
    assert fates == {"answered": len(held.server.ledger.sent)}
    assert await held.server.is_alive()
    await held.server.until_state(lost=0)


@pytest.mark.long
async def test_the_figure_of_exits_tells_servers_apart() -> None:
    """F-1: we serve ten of ten neighbours of a `sys.exit`, and go on; stock aiohttp ends."""
    ours = await figures.exited()
    assert (ours["served"], ours["exit answered"], ours["alive"]) == (10, True, True)
    stock = await figures.exited(STOCK)
    assert (stock["exit answered"], stock["alive"]) == (False, False)


# --- what functions do to their process


async def test_a_default_executor_that_is_full_holds_up_nothing_of_ours(serve: Serve) -> None:
    """F-7: with every thread of the loop's own executor taken, calls, hooks and health go on."""
    source = """
        import asyncio, pathlib, time

        def wait():
            while not pathlib.Path("go").exists():
                time.sleep(0.02)

        async def handler(event, context):
            if event == b"fill":
                print("filling")
                await asyncio.gather(*(asyncio.to_thread(wait) for _ in range(20)))
            return event

        def pre_freeze(context):
            print("freezing")
    """
    server = serve(source)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(5)]
        for client in clients:
            await client.send(request(b"fill"))
        await asyncio.to_thread(server.wait_for, "filling", count=5)
        assert (await server.ask(request(b"event"))).body == b"event"
        assert (await server.ask(HEALTH)).status == 200
        freeze = request(b"", path="/pre-freeze", method="GET")
        assert (await server.ask(freeze)).status == 200
        (server.folder / "go").touch()
        assert [(await client.answer()).body for client in clients] == [b"fill"] * 5


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [
        ("faulthandler._sigsegv()", -signal.SIGSEGV, "Segmentation fault"),
        ("os.abort()", -signal.SIGABRT, "Aborted"),
        ("os._exit(5)", 5, ""),
    ],
    ids=["segfault", "abort", "_exit"],
)
async def test_a_fault_that_ends_the_process_leaves_its_stack(
    serve: Serve, fault: str, code: int, told: str
) -> None:
    """F-8: a crash in C code is the end of a single process, whose last words are the kind of fault
    and the line that ran; the Start line of the call that did it is out.
    """
    source = f"""
        import faulthandler, os

        async def handler(event, context):
            {fault}
    """
    server = serve(source)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await server.ask(request(request_id="the-last"))
    assert await server.ends() == code
    assert "FC Invoke Start RequestId: the-last" in server.lines
    said = "\n".join(server.errors)
    assert told in said
    assert ("index.py" in said and "in handler" in said) == bool(told)


async def test_child_processes_of_a_call_hold_up_nothing(serve: Serve, loop_kind: str) -> None:
    """F-9: children that nobody waits for, one of which has our standard output and lives on, hold
    up neither calls nor the stop.
    """
    source = """
        import asyncio, subprocess, sys

        async def handler(event, context):
            if event == b"start":
                subprocess.Popen(["true"])
                return subprocess.Popen(["sleep", "100"]).pid
            process = await asyncio.create_subprocess_exec("true")
            return await process.wait()
    """
    server = serve(source, "--loop", loop_kind)
    pids = [(await server.ask(request(b"start"))).json() for _ in range(5)]
    for _ in range(5):
        assert (await server.ask(request(b"wait"))).body == b"0"
    server.signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.process.wait, 20) == 0
    for pid in pids:
        with suppress(psutil.Error):
            os.kill(pid, signal.SIGKILL)


async def test_the_failure_of_a_task_left_behind_is_told_with_its_call(serve: Serve) -> None:
    """F-9: a task that fails after its call's answer, and that nobody asks, is a line with the id
    of the call that started it.
    """
    source = """
        import asyncio, gc

        async def fail():
            await asyncio.sleep(0.05)
            raise LookupError("nobody asks")

        async def handler(event, context):
            if event == b"leave":
                asyncio.create_task(fail())
            else:
                await asyncio.sleep(0.1)
                gc.collect()
    """
    server = serve(source)
    await server.ask(request(b"leave", request_id="leaver"))
    await server.ask(request(b"collect"))
    await asyncio.to_thread(server.wait_for, " leaver .* LookupError: nobody asks")


VANDALS = {
    "closes its standard streams": "os.close(1); os.close(2); sys.stdout.close()",
    "has no standard streams": "sys.stdout = sys.stderr = sys.__stdout__ = None",
    "removes its working directory": "os.mkdir('x'); os.chdir('x'); os.rmdir(os.getcwd())",
    "takes signals": "signal.signal(signal.SIGUSR1, print); signal.signal(signal.SIGHUP, print)",
    "changes the locale": "import locale; locale.setlocale(locale.LC_ALL, '')",
    "lowers the recursion limit": "sys.setrecursionlimit(120)",
    "sets another loop policy": "asyncio.set_event_loop_policy(None); asyncio.set_event_loop(None)",
    "stops the loop": "asyncio.get_running_loop().stop()",
    "debugs the loop": "asyncio.get_running_loop().set_debug(True)",
    "has its own task factory": "asyncio.get_running_loop().set_task_factory(None)",
    "sets socket timeouts": "socket.setdefaulttimeout(0.001)",
    "configures logging anew": "logging.basicConfig(force=True); logging.disable()",
    "clears its environment": "os.environ.clear()",
    "turns the collector off": "gc.disable(); gc.freeze()",
    "changes the time zone": "os.environ['TZ'] = 'Asia/Shanghai'; time.tzset()",
    "seeds the random numbers": "random.seed(0)",
    "takes its file limit down": "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))",
}


async def test_what_calls_do_to_their_process_ends_no_service(serve: Serve, loop_kind: str) -> None:
    """F-10: calls before, beside and after each of them are served, `/health` answers, and a stop
    ends with 0.
    """
    source = f"""
        import asyncio, gc, logging, os, pathlib, random, resource, signal, socket, sys, time

        exists = pathlib.Path("go").absolute().exists

        async def handler(event, context):
            word = event.decode()
            exec({VANDALS!r}.get(word, "pass"))
            context.logger.info(word)
            while word == "hold" and not exists():
                await asyncio.sleep(0.02)
            return event
    """
    server = serve(source, "--loop", loop_kind)
    go = server.folder / "go"
    async with server.client() as warm, server.client() as beside:
        await warm.ask(request(b"before"))
        for vandal in VANDALS:
            go.unlink(missing_ok=True)
            await beside.send(request(b"hold"))
            answer = await warm.ask(request(vandal.encode()))
            assert answer.body.decode() == vandal
            go.touch()
            assert (await beside.answer()).body == b"hold", vandal
            for client in (warm, beside):
                assert (await client.ask(request(b"after"))).body == b"after", vandal
            assert (await server.ask(request(b"new"))).body == b"new", vandal
            assert (await server.ask(HEALTH)).status == 200, vandal
    assert await asyncio.to_thread(server.stop) == 0


# --- workers


@asynccontextmanager
async def under_load(server: Instance, count: int) -> AsyncIterator[None]:
    """Call the instance on many connections, each opened again when it ends."""
    over = asyncio.Event()

    async def load() -> None:
        while not over.is_set():
            async with server.callers(1) as (caller,):
                while not over.is_set() and await caller.ask(b"nap 0.02"):
                    pass

    tasks = [asyncio.create_task(load()) for _ in range(count)]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks)


async def kill_again_and_again(server: Instance, times: int, pause: float) -> None:
    """Kill a worker again and again under load."""
    at_once = 40
    killed = set[str]()
    for number in range(times):
        async with under_load(server, at_once):
            await asyncio.sleep(pause)
            victim = random.choice(server.workers())
            os.kill(victim, signal.SIGKILL)
            killed.add(str(victim))
            await asyncio.to_thread(server.wait_for, "serves again", count=number + 1)
            await asyncio.sleep(pause)
    fates = server.ledger.fates()
    assert set(fates.values()) <= {"answered", "run without an answer", "never run"}
    where = dict(server.ledger.lines("began"))
    lost = [name for name, fate in fates.items() if fate != "answered"]
    assert {where[name] for name in lost if name in where} <= killed
    assert len(lost) <= at_once * times
    assert await server.is_alive()


async def test_kills_under_load_lose_no_more_than_the_dead_workers_calls(loop_kind: str) -> None:
    """H1: a worker of two is killed three times under load. What is lost each time is not more than
    the calls that were on its connections, nothing runs twice, and none waits for ever.
    """
    async with started(loop=loop_kind, workers=2) as server:
        await kill_again_and_again(server, times=3, pause=0.3)


@pytest.mark.long
@pytest.mark.timeout(200)
async def test_a_minute_of_kills_loses_no_more_than_the_dead_workers_calls(loop_kind: str) -> None:
    """H1: the same, thirty times, every two seconds."""
    async with started(loop=loop_kind, workers=2) as server:
        await kill_again_and_again(server, times=30, pause=1.0)


@pytest.mark.long
async def test_the_figure_of_kills_tells_servers_apart() -> None:
    """H1: the kill of a worker that stood still loses none of 40 requests; of two processes of
    aiohttp, which have a queue each, it loses some.
    """
    ours = await figures.killed()
    assert (ours["lost"], ours["alive"]) == (0, True)
    assert (await figures.killed(STOCK))["lost"] > 0


async def test_the_parent_has_neither_threads_nor_a_loop_when_it_forks() -> None:
    """H7: its only thread is the main one, before its workers and with them; it holds no loop's
    selector.
    """
    async with started(workers=2) as server:
        parent = psutil.Process(server.process.pid)
        assert parent.num_threads() == 1
        kinds = [os.readlink(f"/proc/{parent.pid}/fd/{fd.name}") for fd in descriptors(parent)]
        assert not [kind for kind in kinds if "eventpoll" in kind]
        os.kill(server.workers()[0], signal.SIGKILL)
        await asyncio.to_thread(server.wait_for, "serves again")
        assert parent.num_threads() == 1


def descriptors(process: psutil.Process) -> list[os.DirEntry[str]]:
    """The open descriptors of a process."""
    return list(os.scandir(f"/proc/{process.pid}/fd"))
