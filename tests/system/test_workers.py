"""Several workers on one socket: real processes that are killed, frozen and stopped
(docs/faults.md, H).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.process.signals import SAME_SIGNAL
from tests.conftest import Serve
from tests.harness import (
    ANSWERS_WITHIN,
    ECHO,
    Answer,
    Client,
    ServerProcess,
    held_port,
    least,
    request,
)

SOURCE = """
    import asyncio, os, pathlib, signal

    print("imported", os.getpid())
    if pathlib.Path("crash").exists():
        os._exit(5)

    def initialize(context):
        print("initialized", os.getpid())

    def pre_stop(context):
        print("stopping", os.getpid(), context.function.name)

    def pre_freeze(context):
        print("freezing", os.getpid(), context.function.name)

    async def handler(event, context):
        if event == b"wait":
            print("running")
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.02)
        if event == b"exit":
            os._exit(3)
        if event == b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        return {"pid": os.getpid()}
"""
FIRST = """
    import asyncio, os, pathlib

    try:
        os.close(os.open("first", os.O_CREAT | os.O_EXCL))
        FIRST = True
    except FileExistsError:
        FIRST = False

"""
"""Code that knows which of two workers was first."""

HEALTH = request(b"", path="/health", method="GET")
SERVES_AGAIN = r"worker \d serves again"


class Service:
    """A service of two workers."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self._known: set[int] = set()

    @property
    def parent(self) -> int:
        """The process that was started."""
        return self.server.process.pid

    def pids(self) -> list[int]:
        """The workers that there are now."""
        found = [child.pid for child in psutil.Process(self.parent).children()]
        self._known.update(found)
        return found

    async def until(self, pattern: str, count: int = 1) -> str:
        """Wait for lines of the log."""
        return await asyncio.to_thread(self.server.wait_for, pattern, count=count)

    async def serves(self) -> list[int]:
        """Wait until both workers serve; return them."""
        await asyncio.to_thread(lambda: self.server.port)
        return self.pids()

    async def initialized(self) -> None:
        """Wait until the initializer of every worker has succeeded, which begins when it serves."""
        assert (await self.server.ask(request(b"", path="/initialize"))).status == 200

    async def health(self) -> dict[str, Any]:
        """What `/health` says once every worker has answered in the time that it has for it."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            while True:
                state: dict[str, Any] = (await self.server.ask(HEALTH)).json()
                if all(each["answers"] for each in state["each"]):
                    return state

    async def has_taken(self, calls: int) -> None:
        """Wait until so many calls have slots or wait for one, however they are split."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            while True:
                state = await self.health()
                if state["running"] + state["queued"] == calls:
                    return

    def end(self) -> None:
        """Leave no worker behind, frozen ones included."""
        with suppress(psutil.NoSuchProcess):
            self.pids()
        self.server.process.kill()  # first: it would replace the others
        for pid in self._known:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if "service" in process.cmdline():
                    process.kill()
        self.server.kill()


Two = Callable[..., Service]


@pytest.fixture
def two(serve: Serve) -> Iterator[Two]:
    """Starts services of two workers; leaves no process of theirs behind."""
    started: list[Service] = []

    def start(source: str = SOURCE, *flags: str, **options: Any) -> Service:
        started.append(Service(serve(source, "--workers", "2", *flags, **options)))
        return started[-1]

    yield start
    for service in started:
        service.end()


def pid_of(answer: Answer) -> int:
    """The worker that answered."""
    return int(answer.json()["pid"])


async def connections(service: Service, stack: AsyncExitStack, count: int) -> list[Client]:
    """Connections that are opened at once."""
    opened = [stack.enter_async_context(service.server.client()) for _ in range(count)]
    return await asyncio.gather(*opened)


async def spread(service: Service, stack: AsyncExitStack, each: int) -> dict[int, list[Client]]:
    """Connections of which either worker has so many: one that gets no CPU for a while is not
    waited for, and has fewer than the other.
    """
    places: dict[int, list[Client]] = {}
    async with asyncio.timeout(ANSWERS_WITHIN):
        while len(places) < 2 or min(map(len, places.values())) < each:
            for client in await connections(service, stack, 2 * each):
                places.setdefault(pid_of(await client.ask(request())), []).append(client)
    return {pid: clients[:each] for pid, clients in places.items()}


async def refused(port: int) -> None:
    """Wait until nothing listens on the port any more."""
    async with asyncio.timeout(ANSWERS_WITHIN):
        with suppress(ConnectionError):
            while True:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    with suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(psutil.Process(pid).wait, ANSWERS_WITHIN)


# --- connections


@pytest.mark.alone
async def test_a_burst_of_connections_is_shared_out(two: Two, loop_kind: str) -> None:
    """Of 100 connections opened at once neither worker has more than 65, as a rule: one that gets
    no CPU for a while is not waited for.
    """
    service = two(SOURCE, "--loop", loop_kind)
    await service.serves()
    most = []
    for _ in range(9):
        async with AsyncExitStack() as stack:
            clients = await connections(service, stack, 100)
            answers = await asyncio.gather(*(client.ask(request()) for client in clients))
        most.append(max(Counter(pid_of(answer) for answer in answers).values()))
    assert statistics.median(most) <= 65, most


async def test_the_queue_of_a_killed_worker_is_served_by_the_other(
    two: Two, loop_kind: str
) -> None:
    """F12, H1: 40 connections wait in the kernel while both workers stand still; the kill of one of
    them loses none.
    """
    service = two(SOURCE, "--loop", loop_kind)
    dead, alive = await service.serves()
    for pid in (dead, alive):
        os.kill(pid, signal.SIGSTOP)
    async with AsyncExitStack() as stack:
        clients = await connections(service, stack, 40)
        for client in clients:
            await client.send(request())
        os.kill(dead, signal.SIGKILL)
        await service.until("was killed by SIGKILL")
        os.kill(alive, signal.SIGCONT)
        answers = await asyncio.gather(*(client.answer() for client in clients))
    assert [answer.status for answer in answers] == [200] * 40
    assert dead not in {pid_of(answer) for answer in answers}


async def test_a_hung_worker_takes_no_connections_and_is_told_of(two: Two, loop_kind: str) -> None:
    """H4: new connections go to the worker that runs, `/health` is 503 meanwhile, nothing is
    killed.
    """
    service = two(SOURCE, "--loop", loop_kind)
    hung, other = await service.serves()
    await service.initialized()
    os.kill(hung, signal.SIGSTOP)
    async with AsyncExitStack() as stack:
        clients = await connections(service, stack, 40)
        answers = await asyncio.gather(*(client.ask(request()) for client in clients))
    assert {pid_of(answer) for answer in answers} == {other}
    health = await service.server.ask(HEALTH)
    assert health.status == 503
    assert sorted(each["answers"] for each in health.json()["each"]) == [False, True]
    os.kill(hung, signal.SIGCONT)
    assert (await service.health())["healthy"]
    assert set(service.pids()) == {hung, other}


# --- workers that die


@pytest.mark.alone
async def test_a_dead_worker_is_replaced_within_a_second(two: Two) -> None:
    """H1: another one serves in its place at once."""

    async def replaced() -> float:
        service = two(SOURCE)
        victim, _ = await service.serves()
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        await service.until(SERVES_AGAIN)
        return time.monotonic() - began

    assert await least(replaced, below=1.0) < 1.0


@pytest.mark.parametrize("event", [b"", b"exit", b"crash"], ids=["SIGKILL", "os._exit", "segfault"])
async def test_only_the_calls_of_a_dead_worker_are_lost(two: Two, event: bytes) -> None:
    """H1, F-8: however it dies, its own calls fail, the other one's are served, and there are two
    again.
    """
    service = two(SOURCE)
    await service.serves()
    async with AsyncExitStack() as stack:
        clients = await connections(service, stack, 41)
        first, *others = clients
        places = [pid_of(await client.ask(request())) for client in clients]
        for client in others:
            await client.send(request(b"wait"))
        await service.until("running", count=40)
        if event:
            await first.send(request(event))
        else:
            os.kill(places[0], signal.SIGKILL)
        await service.until(SERVES_AGAIN)
        (service.server.folder / "go").touch()
        results = await asyncio.gather(*(c.answer() for c in others), return_exceptions=True)
    for place, result in zip(places[1:], results, strict=True):
        assert isinstance(result, Answer) == (place != places[0])
    assert (await service.health())["workers"] == 2
    assert places[0] not in service.pids()


async def test_a_worker_that_cannot_start_stops_the_whole_with_its_reason(two: Two) -> None:
    """H2: a module that fails ends the instance with exit code 3 and one line; nothing is
    retried.
    """
    service = two('print("imported")\nraise ValueError("no such thing")')
    assert await service.server.ends() == 3
    (line,) = (each for each in service.server.errors if "no such thing" in each)
    assert line.startswith("python -m service: ")
    imported = [each for each in service.server.lines if "imported" in each]
    assert 1 <= len(imported) <= 2
    assert " serves " not in service.server.log()


async def test_one_worker_that_cannot_start_is_enough(two: Two) -> None:
    """H2: the worker that did start is stopped as well."""
    service = two(FIRST + "    if not FIRST:\n        1 / 0\n    def handler(event, context): ...")
    assert await service.server.ends() == 3
    assert "ZeroDivisionError" in service.server.log()


async def test_a_worker_that_dies_at_start_stops_the_whole(two: Two) -> None:
    """H2: an import that ends the process is exit code 3 with what is known of it."""
    service = two("import os\nos._exit(7)")
    assert await service.server.ends() == 3
    errors = service.server.errors
    assert len(errors) == 1, errors
    assert "a worker ended with code 7 before it served" in errors[0]


async def test_a_worker_that_dies_while_the_other_starts_is_replaced(two: Two) -> None:
    """H2: one worker serves, dies, and another one takes its place, before the slower one serves;
    then the instance is announced.
    """
    with held_port() as port:
        service = two(
            FIRST
            + """
    import time
    if FIRST:
        print("first")
    while not FIRST and not pathlib.Path("go").exists():
        time.sleep(0.02)

    def handler(event, context):
        return {"pid": os.getpid()}
    """,
            "--port",
            str(port),
        )
        await service.until("first")
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        serves = pid_of(await client.ask(request()))  # nothing is announced yet
        client.writer.close()
        os.kill(serves, signal.SIGKILL)
        line = await service.until("another one takes its place")
        assert "was killed by SIGKILL" in line
        (service.server.folder / "go").touch()
        workers = await service.serves()
        await service.initialized()
        assert (await service.health())["ready"]
        assert len(workers) == 2
        assert serves not in workers
        assert await asyncio.to_thread(service.server.stop) == 0


async def test_only_calls_that_were_there_are_said_to_be_lost(two: Two) -> None:
    """H1: a worker dies at rest, then one with a call in flight."""
    service = two()
    workers = await service.serves()
    await service.initialized()
    async with service.server.client() as client:
        asked = pid_of(await client.ask(request()))
        await client.ask(HEALTH)
    # The one that was asked may still write its answer down. The other one has told it of itself
    # since, and rests.
    (victim,) = set(workers) - {asked}
    os.kill(victim, signal.SIGKILL)
    assert "calls are lost" not in await service.until("another one takes its place")
    await service.until(SERVES_AGAIN)
    async with service.server.client() as client:
        busy = pid_of(await client.ask(request()))
        await client.send(request(b"wait"))
        await service.until("running")
        os.kill(busy, signal.SIGKILL)
        line = await service.until("another one takes its place", count=2)
        assert "was killed by SIGKILL: its calls are lost" in line


async def test_a_crash_loop_ends_the_instance(two: Two) -> None:
    """H2: workers that die right after their start are tried again more and more slowly, then the
    instance ends with exit code 3 and the reason.
    """
    service = two()
    victim, _ = await service.serves()
    (service.server.folder / "crash").touch()
    os.kill(victim, signal.SIGKILL)
    assert await service.server.ends() == 3
    (line,) = service.server.errors
    assert re.search(
        r"ended \d times in a row right after its start \(it ended with code 5\)", line
    )
    assert 6 <= service.server.log().count("imported") <= 9


async def test_workers_drain_when_their_parent_is_killed(two: Two, loop_kind: str) -> None:
    """H3: SIGKILL of the parent: calls in flight are finished, the workers end, the port is
    free.
    """
    service = two(SOURCE, "--loop", loop_kind)
    workers = await service.serves()
    port = service.server.port
    async with AsyncExitStack() as stack:
        clients = await connections(service, stack, 20)
        for client in clients:
            await client.send(request(b"wait"))
        await service.until("running", count=20)
        os.kill(service.parent, signal.SIGKILL)
        await refused(port)
        (service.server.folder / "go").touch()
        answers = [await client.answer() for client in clients]
    assert {(answer.status, answer.closes) for answer in answers} == {(200, True)}
    for pid in workers:
        await gone(pid)
    await service.server.ends()
    assert service.server.log().count("the parent process is gone: stopping") == 2


# --- all workers at once


async def test_initialize_waits_for_every_worker(two: Two) -> None:
    """H6: `/initialize` is answered once the last worker's initializer has succeeded."""
    service = two(
        FIRST
        + """
    async def initialize(context):
        print("began")
        while not FIRST and not pathlib.Path("go").exists():
            await asyncio.sleep(0.02)

    def handler(event, context): ...
    """
    )
    await service.serves()
    await service.until("began", count=2)
    states = [(await service.health()) for _ in range(2)]
    for state in states:
        assert not state["ready"]
        assert sorted(each["ready"] for each in state["each"]) == [False, True]
    asked = [
        asyncio.create_task(service.server.ask(request(b"", path="/initialize"))) for _ in range(6)
    ]
    assert not (await service.health())["ready"]
    assert not any(task.done() for task in asked)
    (service.server.folder / "go").touch()
    assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
    assert (await service.health())["ready"]


async def test_initialize_reports_the_worker_that_failed(two: Two) -> None:
    """H6: one worker's failure is the answer, whichever worker is asked."""
    service = two(
        FIRST
        + """
    def initialize(context):
        if not FIRST:
            raise LookupError("no table")

    def handler(event, context):
        return FIRST
    """
    )
    await service.serves()
    for _ in range(8):
        answer = await service.server.ask(request(b"", path="/initialize"))
        assert answer.status == 404
        assert answer.json()["errorType"] == "InitializationError"
        assert answer.json()["errorMessage"] == "the initializer failed: LookupError: no table"


@pytest.mark.parametrize(
    "text",
    ["'x' * 300_000", "'\\ud83d'", "os.fsdecode(b'caf\\xe9')"],
    ids=["long", "surrogate", "file name"],
)
async def test_any_failure_of_a_hook_is_told(two: Two, text: str) -> None:
    """H6: whatever a hook's error says, the request is answered with it, whichever worker is asked,
    and under whatever headers.
    """
    service = two(
        FIRST
        + f"""
    def fail(context):
        if not FIRST:
            raise LookupError({text})

    initialize = pre_stop = pre_freeze = fail

    def handler(event, context):
        return FIRST
    """
    )
    await service.serves()
    odd: dict[str, str] = {"x_fc_function_name": "caf\xe9"}
    for path in ("/initialize", "/pre-freeze", "/pre-stop"):
        asked = await service.server.ask(request(b"", path="/health", method="GET", **odd))
        assert len(asked.json()["each"]) == 2
        answer = await service.server.ask(request(b"", path=path, **odd))
        assert answer.status == 404
        assert "LookupError" in answer.body.decode()
    assert await asyncio.to_thread(service.server.stop) == 0


async def test_pre_stop_and_pre_freeze_run_once_in_every_worker(two: Two) -> None:
    """A6, A7: both hooks run in both workers before the answer, under the request's id and with its
    headers; `pre_stop` runs once though it is asked for twice and followed by SIGTERM.
    """
    service = two()
    workers = await service.serves()
    port = service.server.port
    named: dict[str, str] = {"x_fc_function_name": "fun"}
    async with service.server.client() as client:
        for request_id in ("f1", "f2"):
            data = request(b"", path="/pre-freeze", request_id=request_id, **named)
            assert (await client.ask(data)).status == 200
        stop = request(b"", path="/pre-stop", request_id="s1", **named)
        async with service.server.client() as second:
            answers = await asyncio.gather(client.ask(stop), second.ask(stop))
    assert [answer.status for answer in answers] == [200, 200]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    assert await asyncio.to_thread(service.server.stop) == 0
    lines = service.server.lines
    for what, request_id in (("freezing", "f1"), ("freezing", "f2"), ("stopping", "s1")):
        end = next(i for i, line in enumerate(lines) if f"End RequestId: {request_id}" in line)
        ran = [line for line in lines[:end] if f" {request_id} [STDOUT] {what} " in line]
        assert {line.split(what)[1] for line in ran} == {f" {pid} fun" for pid in workers}
    assert service.server.log().count("stopping ") == 2


async def test_pre_stop_is_answered_by_a_dead_workers_successor(two: Two) -> None:
    """A6, H1: a worker that dies while it drains does not leave `/pre-stop` without an answer."""
    service = two()
    await service.serves()
    async with AsyncExitStack() as stack:
        places = await spread(service, stack, 1)
        (asked, (caller,)), (dead, (busy,)) = places.items()
        await busy.send(request(b"wait"))
        await service.until("running")
        stop = asyncio.create_task(caller.ask(request(b"", path="/pre-stop")))
        await service.until(f"stopping {asked}")
        os.kill(dead, signal.SIGKILL)
        assert (await stop).status == 200
    assert await asyncio.to_thread(service.server.stop) == 0


async def test_health_sums_up_all_workers(two: Two) -> None:
    """The figures of an instance are those of its workers together, each of which is listed."""
    service = two()
    await service.serves()
    async with AsyncExitStack() as stack:
        for client in await connections(service, stack, 30):
            await client.send(request(b"wait"))
        await service.until("running", count=30)
        state = await service.health()
        (service.server.folder / "go").touch()
    assert (state["workers"], len(state["each"])) == (2, 2)
    assert (state["running"], state["inFlight"]) == (30, 30)
    assert sum(each["running"] for each in state["each"]) == 30
    assert state["uptimeSeconds"] == max(each["uptimeSeconds"] for each in state["each"])


async def test_the_limits_hold_for_the_instance(two: Two) -> None:
    """G3: three slots and a queue of one are three slots and a queue of one, over both workers."""
    service = two(SOURCE, "--concurrency", "3", "--queue", "1")
    await service.serves()
    async with AsyncExitStack() as stack:
        some, others = (await spread(service, stack, 20)).values()
        clients = [*some, *others]
        answers = [asyncio.create_task(client.ask(request(b"wait"))) for client in clients]
        await service.until("Overloaded", count=36)
        state = await service.health()
        (service.server.folder / "go").touch()
        statuses = Counter(answer.status for answer in await asyncio.gather(*answers))
    assert (state["running"], state["queued"], state["refused"]) == (3, 1, 36)
    assert statuses == {200: 4, 429: 36}


# --- the end


async def test_a_stop_finishes_every_call_in_every_worker(two: Two, loop_kind: str) -> None:
    """A1, A2 over two workers: 200 calls and 50 half-sent bodies at SIGTERM, none is lost."""
    service = two(SOURCE, "--concurrency", "200", "--queue", "500", "--loop", loop_kind)
    await service.serves()
    port = service.server.port
    async with AsyncExitStack() as stack:
        clients = await connections(service, stack, 250)
        halves, whole = clients[:50], clients[50:]
        for half in halves:
            await half.send(request(b"0123456789")[:-5])
        for client in whole:
            await client.send(request(b"wait"))
        await service.has_taken(250)
        service.server.signal(signal.SIGTERM)
        await refused(port)  # both workers drain
        for half in halves:
            await half.send(b"56789")
        (service.server.folder / "go").touch()
        answers = await asyncio.gather(*(client.answer() for client in clients))
    assert {(answer.status, answer.closes) for answer in answers} == {(200, True)}
    assert await service.server.ends() == 0


async def test_what_waits_in_the_kernel_at_a_stop_is_served(two: Two, loop_kind: str) -> None:
    """A1: 100 connections that no worker had taken yet at SIGTERM are answered, none is reset."""
    service = two(SOURCE, "--loop", loop_kind)
    workers = await service.serves()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    async with AsyncExitStack() as stack:
        clients = await connections(service, stack, 100)
        for client in clients:
            await client.send(request())
        service.server.signal(signal.SIGTERM)
        await service.until("SIGTERM: stopping")
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        answers = [await client.answer() for client in clients]
    assert {answer.status for answer in answers} == {200}
    assert await service.server.ends() == 0


@pytest.mark.parametrize("order", [1, -1], ids=["parent first", "workers first"])
async def test_a_signal_to_the_whole_group_is_one_signal(two: Two, order: int) -> None:
    """H5: SIGTERM to the parent and to each worker, as to a group: all drain, none is killed."""
    service = two()
    workers = await service.serves()
    async with AsyncExitStack() as stack:
        clients = await connections(service, stack, 20)
        for client in clients:
            await client.send(request(b"wait"))
        await service.until("running", count=20)
        for pid in [service.parent, *workers][::order]:
            os.kill(pid, signal.SIGTERM)
        await service.until("SIGTERM: stopping", count=3)
        (service.server.folder / "go").touch()
        answers = [await client.answer() for client in clients]
    assert {answer.status for answer in answers} == {200}
    assert await service.server.ends() == 0
    assert service.server.log().count("stopping ") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_at_once(two: Two, number: signal.Signals) -> None:
    """A5: with calls in flight that never end, the second signal ends the parent and its
    workers.
    """
    service = two()
    workers = await service.serves()
    async with service.server.client() as client:
        await client.send(request(b"wait"))
        await service.until("running")
        service.server.signal(number)
        await service.until(f"{number.name}: stopping")
        await asyncio.sleep(SAME_SIGNAL + 0.1)  # what comes sooner is the first one's echo
        service.server.signal(number)
        assert await service.server.ends() == 128 + number
        assert await client.ended()
    for pid in workers:
        await gone(pid)


async def test_a_stop_while_workers_start_ends_them(two: Two) -> None:
    """A5: SIGTERM during the import of the function is exit code 0, at once."""
    service = two("import time\nprint('importing')\ntime.sleep(100)")
    await service.until("importing", count=2)
    service.server.signal(signal.SIGTERM)
    assert await service.server.ends() == 0
    assert "Traceback" not in service.server.log()


async def test_a_stop_at_any_moment_of_the_start_is_clean(two: Two, tmp_path: Path) -> None:
    """A5: SIGTERM as soon as a worker is there, and ever later, is exit code 0 without a
    traceback.
    """
    for number in range(1, 7):
        service = two(ECHO, folder=tmp_path / str(number))
        moments = 0
        while moments < number:  # as many looks at the machine's processes, which take their time
            moments += bool(service.pids())
        service.server.signal(signal.SIGTERM)
        assert await service.server.ends() == 0, service.server.log()
        assert service.server.errors == []
        assert "Traceback" not in service.server.log()


async def test_a_stop_that_reaches_a_worker_as_its_loop_closes_is_clean(
    two: Two, loop_kind: str
) -> None:
    """A5: it has heard of the end by the pipe, and told too late that it serves: so it is sent
    SIGTERM, too.
    """
    service = two(
        """
        import os, pathlib, signal
        from concurrent.futures import ThreadPoolExecutor

        def shutdown(pool, *arguments, **named):
            pathlib.Path(f"closed-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGTERM)
            end(pool, *arguments, **named)

        end = ThreadPoolExecutor.shutdown
        ThreadPoolExecutor.shutdown = shutdown  # what a loop calls that has closed

        def handler(event, context):
            return event
        """,
        "--loop",
        loop_kind,
    )
    workers = await service.serves()
    service.server.signal(signal.SIGTERM)
    assert await service.server.ends() == 0, service.server.log()
    closed = {int(path.name[7:]) for path in service.server.folder.glob("closed-*")}
    assert closed == set(workers)
    assert service.server.errors == []


async def test_a_frozen_instance_loses_no_worker(two: Two, loop_kind: str) -> None:
    """B1: SIGSTOP of all processes for longer than any of their own waits: the same workers
    go on.
    """
    service = two(SOURCE, "--loop", loop_kind)
    workers = await service.serves()
    await service.initialized()
    async with AsyncExitStack() as stack:
        clients = await connections(service, stack, 20)
        for client in clients:
            await client.ask(request())
        for pid in (service.parent, *workers):
            os.kill(pid, signal.SIGSTOP)
        for client in clients:
            await client.send(request())
        await asyncio.sleep(2.5)
        for pid in (*workers, service.parent):
            os.kill(pid, signal.SIGCONT)
        answers = [await client.answer() for client in clients]
    assert {answer.status for answer in answers} == {200}
    assert (await service.health())["healthy"]
    assert set(service.pids()) == set(workers)
    assert "another one" not in service.server.log()


# --- one log, one start


async def test_the_start_is_told_once(two: Two) -> None:
    """H7: the platform's line and the banner are written once, when both workers serve; the parent
    does not import the function; nothing warns of a fork.
    """
    service = two(SOURCE, options=["-W", "error"])
    workers = await service.serves()
    assert service.server.stop() == 0
    log = service.server.log()
    assert log.count("FunctionCompute fc-event-service runtime inited.") == 1
    assert log.count(" serves index.handler on ") == 1
    assert "  workers  2 processes" in log
    imported = {int(line.rsplit(" ", 1)[1]) for line in service.server.lines if "imported" in line}
    assert imported == set(workers)
    assert service.parent not in imported
    assert service.server.errors == []


async def test_the_lines_of_two_workers_are_whole(two: Two) -> None:
    """Two workers write 4,000 lines at once to one pipe, and each line is one line."""
    service = two(
        """
        async def handler(event, context):
            for number in range(20):
                print("x" * 900, context.request_id)
        """
    )
    await service.serves()
    async with AsyncExitStack() as stack:
        clients = await connections(service, stack, 20)
        for turn in range(10):
            asked = [
                client.ask(request(request_id=f"r{turn}-{number}"))
                for number, client in enumerate(clients)
            ]
            assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
    assert await asyncio.to_thread(service.server.stop) == 0
    printed = [line for line in service.server.lines if "[STDOUT]" in line]
    whole = re.compile(r"\S+Z (\S+) \[STDOUT\] x{900} (\S+)")
    found = [whole.fullmatch(line) for line in printed]
    assert len(found) == 4000
    assert all(match and match[1] == match[2] for match in found)


async def test_reload_is_refused(two: Two) -> None:
    """Two workers with `--reload` are exit code 2, in one line."""
    service = two(SOURCE, "--reload")
    assert await service.server.ends() == 2
    (line,) = service.server.errors
    assert "--reload serves with one worker" in line
