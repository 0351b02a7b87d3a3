"""200 calls in one process, and none that can hurt another."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from tests.conftest import Serve
from tests.harness import (
    ANSWERS_WITHIN,
    GATED,
    STARTS_WITHIN,
    Answer,
    Client,
    ServerProcess,
    least,
    request,
)

MIB = 1024 * 1024
HEALTH = request(b"", path="/health", method="GET")


async def health(server: ServerProcess) -> dict[str, Any]:
    """What the service tells of itself."""
    state: dict[str, Any] = (await server.ask(HEALTH)).json()
    return state


async def until(server: ServerProcess, **figures: int) -> Answer:
    """Ask for the health until it shows these figures; return that answer."""
    async with asyncio.timeout(ANSWERS_WITHIN), server.client() as client:
        while True:
            answer = await client.ask(HEALTH)
            if figures.items() <= answer.json().items():
                return answer
            await asyncio.sleep(0.005)


async def line(server: ServerProcess, pattern: str, seconds: float = STARTS_WITHIN) -> str:
    """Wait for a line of the log."""
    return await asyncio.to_thread(server.wait_for, pattern, seconds)


def with_id(server: ServerProcess, request_id: str) -> list[str]:
    """The lines of a call between its markers, without the time."""
    return [text.split(" ", 2)[2] for text in server.lines if f"Z {request_id} [" in text]


# --- failures

FAILS = """
    import asyncio, threading, time

    inside = 0
    lock = threading.Lock()

    def recurse():
        return recurse() + 1

    def fail(name):
        if name == "RecursionError":
            recurse()
        raise {"SystemExit": SystemExit(3), "KeyboardInterrupt": KeyboardInterrupt(),
            "MemoryError": MemoryError("no room"), "CancelledError": asyncio.CancelledError(),
        }[name]

    def enter():
        global inside
        with lock:
            inside += 1

    def handler(event: dict, context):
        enter()
        if event["kind"] == "async":
            return on_the_loop(event)
        while inside < event["all"]:
            time.sleep(0.01)
        if event["fail"]:
            fail(event["fail"])
        return event["number"]

    async def on_the_loop(event):
        while inside < event["all"]:
            await asyncio.sleep(0.01)
        if event["fail"]:
            fail(event["fail"])
        await asyncio.sleep(0.01)
        return event["number"]
"""
RAISED = ["SystemExit", "KeyboardInterrupt", "MemoryError", "RecursionError", "CancelledError"]


async def test_whatever_one_of_200_raises_fails_that_one(serve: Serve) -> None:
    """F-1: with 200 calls inside of the handler, 199 are answered and one has its error, in each of
    five rounds and both kinds of handler.
    """
    server = serve(FAILS, "--concurrency", "200")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(200)]
        inside = 0
        for kind in ("async", "sync"):
            for name in RAISED:
                inside += 200
                events = [
                    {"kind": kind, "fail": "", "number": number, "all": inside}
                    for number in range(200)
                ]
                events[77]["fail"] = name
                answers = await asyncio.gather(
                    *(
                        client.ask(request(orjson.dumps(event)))
                        for client, event in zip(clients, events, strict=True)
                    )
                )
                failed = answers.pop(77)
                assert (failed.status, failed.json()["errorType"]) == (404, name)
                right = [n for n in range(200) if n != 77]
                assert [answer.json() for answer in answers] == right
    assert await asyncio.to_thread(server.stop) == 0


@pytest.mark.alone
async def test_200_plain_handlers_of_a_second_take_little_more_than_one(serve: Serve) -> None:
    """F-6: plain functions have a thread each: 200 of them that sleep for 1 s are done in 1.5 s."""
    source = """
        import time

        def handler(event, context):
            time.sleep(1)
    """
    server = serve(source, "--concurrency", "200")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(200)]

        async def all_of_them() -> float:
            began = time.perf_counter()
            answers = await asyncio.gather(*(client.ask(request()) for client in clients))
            assert {answer.status for answer in answers} == {200}
            return time.perf_counter() - began

        took = await least(all_of_them, below=1.5)
    print(f"200 plain handlers of 1 s each took {took:.3f} s")  # noqa: T201
    assert took < 1.5


FAILING = {
    "raises": 'raise ValueError("no")',
    "raises-the-same-each-time": "raise DOWN",
    "raises-from-another": "raise KeyError from DOWN",
    "raises-a-group": 'raise ExceptionGroup("several", [ValueError("one")])',
    "has-a-result-that-is-no-JSON": "return object()",
    "raises-what-is-odd-in-every-way": "raise Odd(event)",
}


async def grows_by(server: ServerProcess, status: int, how: str = "") -> int:
    """Bytes by which eight calls that fail make the process grow, whose events have 4 MiB each."""
    event = request(b"x" * (4 * MIB), x_fc_function_name=how)
    await server.ask(event)
    before = server.memory()
    for _ in range(8):
        assert (await server.ask(event)).status == status
    return server.memory() - before


async def test_memory_of_bodies_of_all_sizes_is_given_back(serve: Serve) -> None:
    """What 24 clients have sent at once, up to 7 MiB each, is not kept in holes of the heap: of
    about 100 MiB, less than 40 stay when all are answered.
    """
    server = serve("async def handler(event, context):\n    return len(event)")
    await server.ask(request(b"x"))
    before = server.memory()
    sizes = Random(1)
    storms = [[sizes.randrange(50_000, 7 * MIB) for _ in range(8)] for _ in range(24)]

    async def send(those: list[int]) -> None:
        async with server.client() as client:
            for size in those:
                assert (await client.ask(request(b"x" * size))).status == 200

    for _ in range(2):
        await asyncio.gather(*map(send, storms))
    assert server.peak_memory() - before > 40 * MIB
    assert server.memory() - before < 40 * MIB


@pytest.mark.parametrize("kind", ["async def", "def"])
async def test_a_failed_call_lets_go_of_its_event(serve: Serve, kind: str) -> None:
    """G4: events of calls that failed are freed at once, not when Python looks for garbage."""
    ways = "".join(
        f"""
            if context.function.name == {name!r}:
                {how}"""
        for name, how in FAILING.items()
    )
    source = f"""
        import gc

        gc.disable()
        DOWN = ConnectionError("down")

        class Odd(Exception):
            __notes__ = 7
            failure = "a text"

            def __str__(self):
                raise KeyError

        {kind} handler(event, context):{ways}
    """
    server = serve(source)
    for name in FAILING:
        assert await grows_by(server, 404, name) < 8 * MIB, name
    assert "the service failed" not in server.log()


async def test_an_event_that_does_not_fit_is_let_go_of(serve: Serve) -> None:
    """G4: the same for events that are not what the annotation asks for."""
    server = serve("import gc; gc.disable()\ndef handler(event: dict, context): ...")
    assert await grows_by(server, 400) < 8 * MIB


# --- admission


async def test_calls_beyond_slots_and_queue_are_refused_at_once(serve: Serve) -> None:
    """G3: of 250 calls on 200 slots with 20 queue places, 30 get 429 at once and 220 their
    answers.
    """
    server = serve(GATED, "--concurrency", "200", "--queue", "20")
    await server.ask(HEALTH)
    tasks = [asyncio.create_task(server.ask(request(b"%d" % n))) for n in range(250)]
    refused, others = set[asyncio.Task[Answer]](), set(tasks)
    while len(refused) < 30:
        done, others = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        refused |= done
    answers = [task.result() for task in refused]
    assert {(answer.status, answer.headers["retry-after"]) for answer in answers} == {(429, "1")}
    assert {answer.json()["errorType"] for answer in answers} == {"Overloaded"}
    state = await health(server)
    assert (state["running"], state["queued"], state["refused"]) == (200, 20, 30)
    (server.folder / "go").touch()
    answers = await asyncio.gather(*tasks)
    assert Counter(answer.status for answer in answers) == {200: 220, 429: 30}


@pytest.mark.long
@pytest.mark.timeout(100)
async def test_200_large_bodies_at_once_stay_within_their_budget(serve: Serve) -> None:
    """D4: 200 bodies of 32 MB offered at once under a budget of 256 MB are answered, and the
    process never takes more than budget + 100 MB.
    """
    source = """
        async def handler(event, context):
            return len(event)
    """
    flags = ("--concurrency", "200", "--body-budget", "256MiB")
    server = serve(source, *flags)
    await server.ask(request())
    base, began = server.memory(), time.perf_counter()
    server.reset_peak()
    size = 32_000_000
    piece = bytes(MIB)

    async def offer() -> Any:
        async with server.client() as client:
            await client.send(request(bytes(size))[: -size + 1000])
            left = size - 1000
            while left:
                await client.send(piece[: min(left, MIB)])
                left -= min(left, MIB)
            async with asyncio.timeout(60):
                await client.reader.readuntil(b"\r\n\r\n")
                return await client.reader.readexactly(len(str(size)))

    answers = await asyncio.gather(*(offer() for _ in range(200)))
    peak, took = server.peak_memory() - base, time.perf_counter() - began
    print(f"200 bodies: {peak / 1e6:.0f} MB over idle, {took:.1f} s")  # noqa: T201
    assert set(answers) == {b"%d" % size}
    assert peak < 256 * MIB + 100_000_000
    assert (await health(server))["bodyBytes"] == 0


# --- deadlines

SLOW = """
    import asyncio, pathlib, time

    def gone():
        return pathlib.Path("go").exists()

    def handler(event, context):
        if event == b"thread":
            while not gone():
                time.sleep(0.02)
            return
        return on_the_loop(event)

    async def on_the_loop(event):
        try:
            await forever()
        except asyncio.CancelledError:
            print("cancelled")
            if event == b"polite":
                raise
        while not gone():
            await asyncio.sleep(0.02)

    async def forever():
        await asyncio.Event().wait()  # the line
"""
WHERE = 1 + next(n for n, text in enumerate(SLOW.splitlines()) if "# the line" in text)


def timed(event: bytes, request_id: str, seconds: float) -> bytes:
    """A call with a time limit."""
    return request(event, request_id=request_id, x_fc_function_timeout=str(seconds))


@pytest.mark.alone
async def test_a_call_is_answered_at_its_deadline(serve: Serve, loop_kind: str) -> None:
    """F-2, F-3, F-4: an async handler is cancelled, with the line that it waited on in the log; one
    that swallows this, and a thread, are answered all the same and counted until they come back.
    """
    server = serve(SLOW, "--loop", loop_kind)
    await server.ask(HEALTH)

    async def cut(event: bytes, name: str) -> float:
        began = time.perf_counter()
        answer = await server.ask(timed(event, name, 0.6))
        took = time.perf_counter() - began
        assert (answer.status, answer.json()["errorType"]) == (404, "FunctionTimeout")
        assert took > 0.35
        return took

    for event, lost in ((b"polite", 0), (b"stubborn", 1), (b"thread", 2)):
        name = event.decode()
        await cut(event, name)
        await until(server, lost=lost)
        written = with_id(server, name)
        place = r"on_the_loop|forever" if event != b"thread" else "handler"
        assert re.fullmatch(
            rf"\[ERROR\] FunctionTimeout while running index\.handler, at"
            rf" {server.folder}/index\.py:(\d+) in ({place})",
            written[0],
        )
    assert f"index.py:{WHERE} in forever" in with_id(server, "polite")[0]
    assert "[STDOUT] cancelled" in with_id(server, "stubborn")
    assert await least(lambda: cut(b"polite", "again"), below=0.6) < 0.6
    (server.folder / "go").touch()
    await until(server, lost=0, running=0)


async def test_an_instance_that_has_lost_its_threads_says_so(serve: Serve) -> None:
    """F-4: with more than half of its threads lost an instance is unhealthy, until they come
    back.
    """
    server = serve(SLOW, "--concurrency", "4")
    await server.ask(HEALTH)
    for count in (1, 2, 3):
        await server.ask(timed(b"thread", f"call-{count}", 1.2))
        answer = await until(server, lost=count)
        assert answer.status == (503 if count > 2 else 200)
    (server.folder / "go").touch()
    assert (await until(server, lost=0)).status == 200


async def test_a_call_leaves_the_queue_at_its_deadline(serve: Serve) -> None:
    """G3: calls that wait for a slot are refused when their time is up, and never run."""
    server = serve(GATED, "--concurrency", "1", "--queue", "20")
    running = asyncio.create_task(server.ask(request(b"runs")))
    await until(server, running=1)
    calls = (timed(b"late", f"queued-{n}", 0.4) for n in range(10))
    answers = await asyncio.gather(*map(server.ask, calls))
    assert {answer.json()["errorType"] for answer in answers} == {"FunctionTimeout"}
    assert all("waiting for a free slot" in answer.json()["errorMessage"] for answer in answers)
    await until(server, queued=0, running=1)
    (server.folder / "go").touch()
    assert (await running).body == b"runs"


async def test_hooks_do_not_wait_for_threads_that_are_lost(serve: Serve) -> None:
    """A plain call that never comes back keeps its thread, and no hook from running."""
    source = """
        import time

        def handler(event, context):
            time.sleep(300)

        def pre_stop(context):
            print("pre_stop ran")
    """
    server = serve(source, "--concurrency", "1", "--drain-timeout", "1")
    answer = await server.ask(request(x_fc_function_timeout="1"))
    assert answer.json()["errorType"] == "FunctionTimeout"
    assert await asyncio.to_thread(server.stop) == 0
    assert any("pre_stop ran" in line for line in server.lines)


async def test_an_initializer_that_hung_is_tried_again(serve: Serve) -> None:
    """The thread of one that never came back is not the next one's."""
    source = """
        import time

        tries = []

        def initialize(context):
            tries.append(1)
            if len(tries) == 1:
                time.sleep(300)

        def handler(event, context):
            return len(tries)
    """
    server = serve(source, "--concurrency", "1", "--initialize-timeout", "0.5")
    await asyncio.to_thread(server.wait_for, "FunctionTimeout while running index.initialize")
    async with asyncio.timeout(ANSWERS_WITHIN):
        while (answer := await server.ask(request())).status != 200:
            assert answer.json()["errorType"] == "InitializationError"  # a machine may be busy
    assert answer.json() >= 2


async def test_to_thread_has_a_thread_for_each_call(serve: Serve) -> None:
    """`asyncio.to_thread`, which a blocked loop's warning names, runs as many jobs as calls run."""
    source = """
        import asyncio, threading

        all_here = threading.Barrier(60)

        async def handler(event, context):
            await asyncio.to_thread(all_here.wait, 60)
            return event
    """
    server = serve(source)
    answers = await asyncio.gather(*(server.ask(request(b"here")) for _ in range(60)))
    assert {answer.body for answer in answers} == {b"here"}


async def test_who_cancels_all_tasks_cancels_none_of_the_service(
    serve: Serve, loop_kind: str
) -> None:
    """S7: the recipe that cancels `asyncio.all_tasks()`, or waits for them, ends neither process
    nor stop. In a handler it cuts the calls that run, its own too.
    """
    source = """
        import asyncio

        def others():
            return asyncio.all_tasks() - {asyncio.current_task()}

        async def handler(event, context):
            if event == b"cancel":
                for task in others():
                    task.cancel()
                await asyncio.sleep(0.01)
            return event

        async def pre_stop(context):
            for task in others():
                task.cancel()
            await asyncio.gather(*others(), return_exceptions=True)
            print("pre_stop is done")
    """
    server = serve(source, "--loop", loop_kind)
    assert (await server.ask(request(b"first"))).body == b"first"
    with suppress(asyncio.IncompleteReadError):
        await server.ask(request(b"cancel"))
    assert (await server.ask(request(b"last"))).body == b"last"
    assert await asyncio.to_thread(server.stop) == 0
    assert "pre_stop is done" in server.log()
    assert "Traceback" not in server.log()


async def test_a_plain_handler_finds_an_event_loop_in_its_thread(
    serve: Serve, loop_kind: str
) -> None:
    """Old code that says `get_event_loop().run_until_complete(...)` runs as it does in the main
    thread, also where it closes the loop each time.
    """
    source = """
        import asyncio

        async def work(event):
            await asyncio.sleep(0.01)
            return event

        def handler(event, context):
            loop = asyncio.get_event_loop()
            try:
                return loop.run_until_complete(work(event))
            finally:
                if event == b"close":
                    loop.close()
    """
    server = serve(source, "--loop", loop_kind, "--concurrency", "2")
    for event in (b"one", b"two", b"close", b"close", b"three", b"four"):
        assert (await server.ask(request(event))).body == event


# --- a stalled loop

BLOCKS = """
    import asyncio, pathlib, time

    async def handler(event, context):
        if event == b"beside":
            await asyncio.sleep(0.005)
            while pathlib.Path("together").exists():
                await asyncio.sleep(0.02)
        elif event == b"sub-task":
            context.bind(order_id=7)
            await asyncio.create_task(block())
        elif event == b"interpreter":
            print("blocking")
            began = time.process_time()
            sum(range(2_000_000))
            pace = 2_000_000 / (time.process_time() - began)
            sum(range(int(1.5 * pace)))  # holds the interpreter
        else:
            context.bind(order_id=7)
            await block()
        return event

    async def block():
        print("blocking")
        while not pathlib.Path("go").exists():
            time.sleep(0.01)  # the line
"""
BLOCKED_AT, HELD_AT = (
    1 + next(n for n, text in enumerate(BLOCKS.splitlines()) if note in text)
    for note in ("# the line", "# holds the interpreter")
)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("loop_kind", "how"),
    [("uvloop", b"handler"), ("asyncio", b"sub-task")],
    ids=["uvloop-handler", "asyncio-sub-task"],
)
async def test_a_stalled_loop_is_named_while_it_stands(
    serve: Serve, loop_kind: str, how: bytes
) -> None:
    """F-5: within 1 s one line tells file, line, request id, how many calls wait and what the call
    has bound; it is counted.
    """

    async def stall() -> float:
        server = serve(BLOCKS, "--loop", loop_kind)
        await server.ask(HEALTH)
        (server.folder / "together").touch()
        beside = [asyncio.create_task(server.ask(request(b"beside"))) for _ in range(5)]
        await until(server, running=5)
        blocking = asyncio.create_task(server.ask(request(how, request_id="blocker")))
        said = await line(server, "has been blocked")
        began = await line(server, "STDOUT. blocking")
        assert re.search(
            r" blocker \[WARNING\] the event loop has been blocked for \d\.\d s at"
            rf" {server.folder}/index\.py:({BLOCKED_AT}|{BLOCKED_AT - 1}) in block;"
            r" 5 other calls wait: .* order_id=7$",
            said,
        )
        (server.folder / "go").touch()
        (server.folder / "together").unlink()
        assert (await blocking).body == how
        await asyncio.gather(*beside)
        assert (await health(server))["stalls"] == 1
        assert server.log().count("has been blocked") == 1
        return (time_of(said) - time_of(began)).total_seconds()

    assert await least(stall, below=1.0) < 1.0


def time_of(line: str) -> datetime:
    """When a line was written."""
    return datetime.fromisoformat(line.split(" ", 1)[0])


@pytest.mark.alone
async def test_code_that_holds_the_interpreter_is_named_after_it(serve: Serve) -> None:
    """F-5: a C call during which no thread runs is reported when it is over, with its call's id and
    its line: as a rule, since a watch that gets no CPU just then sees where the loop has gone on
    to.
    """
    server = serve(BLOCKS)

    async def wrong_line() -> float:
        count = (await health(server))["stalls"]
        await server.ask(request(b"interpreter", request_id=f"holds-{count}"))
        said = await line(server, rf" holds-{count} \[WARNING\] .* has been blocked")
        assert "; 0 other calls wait" in said
        assert server.log().count("has been blocked") == count + 1
        return f" at {server.folder}/index.py:{HELD_AT} in handler;" not in said

    assert await least(wrong_line, below=1) == 0


@pytest.mark.alone
async def test_a_freeze_is_not_taken_for_a_stall(serve: Serve) -> None:
    """B6: an instance that is frozen under load, for longer than `stall_after`, blames no
    handler.
    """
    servers = [serve(BLOCKS, "--loop", kind) for kind in ("uvloop", "asyncio")]
    going = True

    async def load(server: ServerProcess) -> int:
        count = 0
        async with server.client() as client:
            while going:
                assert (await client.ask(request(b"beside"))).status == 200
                count += 1
        return count

    for server in servers:
        await server.ask(HEALTH)
    callers = [asyncio.create_task(load(server)) for server in servers * 10]
    for frozen in (0.6, 1.5):
        await asyncio.sleep(0.3)
        for server in servers:
            server.signal(signal.SIGSTOP)
        await asyncio.sleep(frozen)
        for server in servers:
            server.signal(signal.SIGCONT)
    await asyncio.sleep(1.0)
    going = False
    assert min(await asyncio.gather(*callers)) > 10
    for server in servers:
        assert (await health(server))["stalls"] == 0
        assert "has been blocked" not in server.log()


@pytest.mark.alone
async def test_an_idle_service_takes_no_cpu_time(serve: Serve) -> None:
    """Right after a call, with the watch awake, 3 s cost less than 0.5% of a core on each loop."""
    servers = [serve(BLOCKS, "--loop", kind) for kind in ("uvloop", "asyncio")]

    async def idle() -> float:
        for server in servers:
            await server.ask(request(b"beside"))
        before = [spent(server) for server in servers]
        await asyncio.sleep(3)
        return max(spent(s) - then for s, then in zip(servers, before, strict=True)) / 3

    share = await least(idle, below=0.005)
    print(f"idle: {share:.3%} of a core")  # noqa: T201
    assert share < 0.005


def spent(server: ServerProcess) -> float:
    """The CPU seconds of a process so far. psutil counts in steps of 10 ms, too few for 3 s."""
    threads = Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


async def test_the_watch_can_be_turned_off(serve: Serve) -> None:
    """With `stall_after` 0 a handler may block as long as it likes."""
    server = serve(BLOCKS, "--stall-after", "0")
    call = asyncio.create_task(server.ask(request(b"handler")))
    await line(server, "STDOUT. blocking")
    await asyncio.sleep(1)
    (server.folder / "go").touch()
    assert (await call).status == 200
    assert (await health(server))["stalls"] == 0
    assert "has been blocked" not in server.log()


# --- work left behind

LEAVES = """
    import asyncio, pathlib

    async def upload():
        try:
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.02)  # the line
            print("uploaded")
        finally:
            print("over")

    async def handler(event, context):
        asyncio.create_task(asyncio.sleep(0))
        task = asyncio.create_task(upload())
        await asyncio.sleep(0)
        context.logger.info("leaving %s", task.done())
"""
LEFT_AT = 1 + next(n for n, text in enumerate(LEAVES.splitlines()) if "# the line" in text)


async def ended(server: ServerProcess) -> list[str]:
    """The call's lines up to its End line, without their heads."""
    await line(server, "FC Invoke End RequestId: leaver")
    lines = server.lines[: server.lines.index("FC Invoke End RequestId: leaver")]
    return [text.split(" ", 2)[2] for text in lines if " leaver [" in text]


async def test_a_task_left_behind_is_warned_of(serve: Serve) -> None:
    """F-9: by default the answer does not wait; the warning names the task, its line and the
    remedy.
    """
    server = serve(LEAVES)
    assert (await server.ask(request(request_id="leaver"))).status == 200
    said = await ended(server)
    assert said[0] == "[INFO] leaving False"
    assert said[1].startswith(
        f"[WARNING] the call left 1 tasks running: upload at {server.folder}/index.py:{LEFT_AT};"
    )
    assert len(said) == 2
    (server.folder / "go").touch()
    assert " leaver [STDOUT] uploaded" in await line(server, "uploaded")


async def test_a_task_left_behind_is_waited_for(serve: Serve) -> None:
    """F-9: with `background` wait the answer comes after the task."""
    server = serve(LEAVES, "--background", "wait")
    call = asyncio.create_task(server.ask(request(request_id="leaver")))
    await line(server, "leaving")
    await until(server, running=1)
    assert not call.done()
    (server.folder / "go").touch()
    assert (await call).status == 200
    assert await ended(server) == [
        "[INFO] leaving False", "[STDOUT] uploaded", "[STDOUT] over"
    ]  # fmt: skip


async def test_a_task_left_behind_is_cancelled(serve: Serve) -> None:
    """F-9: with `background` cancel the task has ended, and said so, when the answer leaves."""
    server = serve(LEAVES, "--background", "cancel")
    assert (await server.ask(request(request_id="leaver"))).status == 200
    said = await ended(server)
    assert said[1].startswith("[INFO] cancelled 1 tasks that the call left running: upload at ")
    assert said[2:] == ["[STDOUT] over"]


# --- a log pipe that fails

WRITES = """
    async def handler(event, context):
        for _ in range(int(event)):
            print("x" * 100)
"""


class LogPipe:
    """The pipe that is a service's stdout, read when the test says so."""

    def __init__(self, size: int = 65536) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, size)
        self.text = b""

    @classmethod
    def of(cls, reader: int) -> LogPipe:
        """A pipe that is there already."""
        made = cls.__new__(cls)
        made.reader, made.writer, made.text = reader, -1, b""
        os.set_blocking(reader, True)
        return made

    def given_to(self, server: ServerProcess) -> None:
        """Close our copy of the end that the service writes to; read the start's lines."""
        if self.writer >= 0:
            os.close(self.writer)
        while b"Ctrl-C" not in self.text:
            self.text += os.read(self.reader, 65536)
        server.lines.extend(self.text.decode().splitlines())

    def read(self, seconds: float = 0.0) -> bytes:
        """Read what is there, until there has been nothing for so long."""
        os.set_blocking(self.reader, False)
        end = time.monotonic() + seconds
        read = b""
        while True:
            try:
                read += os.read(self.reader, 65536)
                end = time.monotonic() + seconds
            except BlockingIOError:
                if time.monotonic() >= end:
                    return read
                time.sleep(0.002)

    def read_until(self, pattern: bytes) -> bytes:
        """Read until something matches."""
        os.set_blocking(self.reader, True)
        read = b""
        while not re.search(pattern, read):
            read += os.read(self.reader, 65536)
        return read

    def close(self) -> None:
        """Close our end: nobody reads any more."""
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1


@pytest.fixture
def pipe() -> Iterator[LogPipe]:
    """A pipe of the usual size."""
    made = LogPipe()
    yield made
    made.close()


async def latencies(client: Client, event: bytes, count: int) -> list[float]:
    """How long calls take, one after the other."""
    took = []
    for _ in range(count):
        began = time.perf_counter()
        assert (await client.ask(request(event))).status == 200
        took.append(time.perf_counter() - began)
    return took


@pytest.mark.alone
async def test_a_log_that_nobody_reads_costs_calls_nothing(
    serve: Serve, loop_kind: str, pipe: LogPipe
) -> None:
    """I: with a full pipe calls are as fast as ever; what was lost is counted, and reported when
    the reader comes back, with no further line needed.
    """
    server = serve(WRITES, "--loop", loop_kind, stdout=pipe.writer)
    pipe.given_to(server)
    async with server.client() as client:
        await latencies(client, b"10000", 2)  # 2.6 MB: the pipe and what is kept are full
        took, quiet = list[float](), list[float]()

        async def slowest() -> float:
            took[:] = await latencies(client, b"10", 100)
            quiet[:] = await latencies(client, b"0", 100)
            return max(took[5:])

        most = await least(slowest, below=0.2)
        lost = (await client.ask(HEALTH)).json()["logLinesLost"]
        print(f"full pipe: median {statistics.median(took) * 1e3:.2f} ms,"  # noqa: T201
              f" most {most * 1e3:.1f} ms, {lost} lines lost")  # fmt: skip
        assert lost > 1000
        assert statistics.median([*took, *quiet]) < 0.02
        assert most < 0.2
        text = await asyncio.to_thread(pipe.read_until, rb"log lines were lost: [^\n]*\n")
        assert (
            text.decode()
            .splitlines()[-1]
            .endswith(f"Z - [WARNING] {lost} log lines were lost: the log pipe was full or closed")
        )
        await client.ask(request(b"1", request_id="healed"))
        await asyncio.to_thread(pipe.read_until, b"FC Invoke End RequestId: healed\n")
        assert (await client.ask(HEALTH)).json()["logLinesLost"] == lost


@pytest.mark.alone
async def test_a_log_that_is_closed_costs_calls_nothing(
    serve: Serve, loop_kind: str, pipe: LogPipe
) -> None:
    """I: with a broken pipe calls are as fast as ever, and waiting for the next one costs
    nothing.
    """
    server = serve(WRITES, "--loop", loop_kind, stdout=pipe.writer)
    pipe.given_to(server)
    async with server.client() as client:
        await latencies(client, b"10000", 1)
        pipe.close()

        async def usual() -> float:
            return statistics.median(await latencies(client, b"10", 100))

        assert await least(usual, below=0.02) < 0.02
        assert (await client.ask(HEALTH)).json()["logLinesLost"] > 1000
    before = spent(server)
    await asyncio.sleep(1)
    assert spent(server) - before < 0.1


async def test_a_log_that_is_opened_again_reports_what_was_lost(
    serve: Serve, loop_kind: str, tmp_path: Path
) -> None:
    """I: a named pipe whose reader dies takes lines again from a new one, with the count."""
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fifo, os.O_WRONLY)
    server = serve(WRITES, "--loop", loop_kind, stdout=writer)
    os.close(writer)
    pipe = LogPipe.of(reader)
    await asyncio.to_thread(pipe.given_to, server)
    async with server.client() as client:
        pipe.close()
        await latencies(client, b"7", 3)
        lost = (await client.ask(HEALTH)).json()["logLinesLost"]
        assert lost >= 27
        pipe = LogPipe.of(os.open(fifo, os.O_RDONLY))
        await client.ask(request(b"1", request_id="healed"))
        text = await asyncio.to_thread(pipe.read_until, b"FC Invoke End RequestId: healed\n")
        pipe.close()
    assert f"{lost} log lines were lost".encode() in text
    assert b"Z healed [STDOUT] x" in text


@pytest.mark.alone
async def test_an_answer_waits_a_moment_for_its_lines(serve: Serve, loop_kind: str) -> None:
    """I: with a slow reader a call's lines are out before its answer: a freeze right after it holds
    none back.
    """

    async def held_back() -> float:
        pipe = LogPipe(size=4096)
        server = serve(WRITES, "--loop", loop_kind, stdout=pipe.writer)
        pipe.given_to(server)
        os.set_blocking(pipe.reader, False)
        answered, read = threading.Event(), list[bytes]()

        def read_slowly() -> None:
            while not answered.wait(0.002):
                with suppress(BlockingIOError):
                    read.append(os.read(pipe.reader, 4096))

        slow = asyncio.create_task(asyncio.to_thread(read_slowly))
        async with server.client() as client:
            answer = await client.ask(request(b"100", request_id="slow"))
            server.signal(signal.SIGSTOP)
            answered.set()
        assert answer.status == 200
        await slow
        text = b"".join(read) + pipe.read()
        pipe.close()
        return 101 - len(re.findall(rb" slow \[STDOUT\] x{100}\n|End RequestId: slow\n", text))

    assert await least(held_back, below=1) == 0


VARIABLES = """
    import contextvars
    from service import EventStream

    seen = contextvars.ContextVar("seen", default="nothing")

    async def handler(event: EventStream, context):
        before = seen.get()
        seen.set(context.request_id)
        await event.read()
        return before
"""


@pytest.mark.parametrize("size", [2, 3 * MIB], ids=["small", "large"])
async def test_no_call_sees_the_context_variables_of_the_one_before(
    serve: Serve, loop_kind: str, size: int
) -> None:
    """G2: calls that follow each other on a connection, pipelined or not, each begin with none:
    also behind a body whose reading starts and stops the socket.
    """
    server = serve(VARIABLES, "--loop", loop_kind)
    calls = [request(b"x" * size, request_id=f"r-{number}") for number in range(4)]
    async with server.client() as client:
        answers = [(await client.ask(call)).body for call in calls]
        await client.send(b"".join(calls))
        answers += [(await client.answer()).body for _ in calls]
    assert answers == [b"nothing"] * 8
