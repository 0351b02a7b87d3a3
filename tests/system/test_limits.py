"""What the operating system refuses (docs/faults.md, I): descriptors, threads, memory,
files, users.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psutil
import pytest

from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, STARTS_WITHIN, Answer, ServerProcess, held_port, request
from tests.system.instance import HEALTH, started

MIB = 1024 * 1024
STRANGER = 54321
"""A user id that nobody has: it is not in /etc/passwd, owns nothing and may write nowhere of ours.
"""

ECHO = """
    async def handler(event, context):
        print("handled")
        return event
"""


def as_stranger(*limits: str, user: int = STRANGER) -> list[str]:
    """Return what starts a command as a user without a name, who may read all that we may."""
    keep = "--inh-caps=-all,+dac_read_search"
    return [
        *("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", keep),
        *("--ambient-caps=+dac_read_search", *(["prlimit", *limits] if limits else [])),
    ]


def can_be_a_stranger() -> bool:
    """Say whether processes of another user can be started here: root can, in most containers."""
    if os.getuid() or not shutil.which("setpriv") or not shutil.which("prlimit"):
        return False
    tried = subprocess.run([*as_stranger(), sys.executable, "-c", ""], capture_output=True)
    return tried.returncode == 0


needs_a_stranger = pytest.mark.skipif(
    not can_be_a_stranger(), reason="needs root, setpriv and prlimit: the process changes its user"
)

Strange = Callable[..., ServerProcess]


@pytest.fixture
def strange() -> Iterator[Strange]:
    """Starts services as a user without a name, in a folder that it cannot write to."""
    folder = Path(mkdtemp(prefix="strange-"))
    processes: list[ServerProcess] = []

    def start(source: str, *flags: str, limits: tuple[str, ...] = (), **environ: str) -> Any:
        own = [sys.executable, "-m", "service", "--port", str(port), *flags]
        homeless = {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", **environ}
        command = [*as_stranger(*limits), *own]
        (folder / "index.py").write_text("")
        for place in (folder, folder / "index.py"):
            place.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH | stat.S_IWUSR)
        processes.append(ServerProcess(folder, source, environ=homeless, command=command))
        return processes[-1]

    with held_port() as port:
        yield start
        for process in processes:
            process.kill()
    shutil.rmtree(folder)


@needs_a_stranger
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_user_without_a_name_home_or_writable_place_can_serve(
    strange: Strange, workers: str
) -> None:
    """I: as on a read-only root with an unprivileged user, which `Dockerfile` has: nothing is
    written where it serves, and it stops with 0.
    """
    server = strange(ECHO, "--workers", workers)
    assert (await server.ask(request(b"event"))).body == b"event"
    assert (await server.ask(HEALTH)).status == 200
    uids = {psutil.Process(pid).uids().real for pid in family(server)}
    assert uids == {STRANGER}
    assert [path.name for path in server.folder.iterdir()] == ["index.py"]
    assert await asyncio.to_thread(server.stop) == 0
    assert server.errors == []


def family(server: ServerProcess) -> list[int]:
    """The processes of a service."""
    parent = psutil.Process(server.process.pid)
    return [parent.pid, *(child.pid for child in parent.children())]


SLEEPY = """
    import threading, time

    def handler(event, context):
        time.sleep(0.05)
        return threading.active_count()
"""


@needs_a_stranger
async def test_fewer_threads_than_calls_serve_all_calls(strange: Strange) -> None:
    """I, F-6: with a limit of 12 threads, 60 calls of a plain handler wait for each other's
    threads, and all are answered.
    """
    server = strange(SLEEPY, limits=("--nproc=12",))
    await server.ask(HEALTH)
    answers = await asyncio.gather(*(server.ask(request()) for _ in range(60)))
    assert {answer.status for answer in answers} == {200}
    assert 2 <= max(answer.json() for answer in answers) <= 12
    assert await asyncio.to_thread(server.stop) == 0


@needs_a_stranger
async def test_with_no_thread_left_a_plain_call_fails_and_the_service_goes_on(
    strange: Strange,
) -> None:
    """I: where not one thread can be started the caller is told; with room again, it is served."""
    source = """
        import resource

        def handler(event, context):
            return event

        async def initialize(context):
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 100))

        async def pre_freeze(context):
            resource.setrlimit(resource.RLIMIT_NPROC, (100, 100))
    """
    server = strange(source, limits=("--nproc=100",))
    await server.ask(request(path="/initialize"))
    answer = await server.ask(request(b"event"))
    assert answer.status == 404
    assert (await server.ask(request(path="/pre-freeze"))).status == 200
    assert (await server.ask(request(b"event"))).body == b"event"
    assert await asyncio.to_thread(server.stop) == 0


GREEDY = """
    async def handler(event, context):
        if event == b"greedy":
            return len(bytearray(8 * 1024 * 1024 * 1024))
        return event[:20]
"""


async def test_a_call_that_asks_for_too_much_memory_fails_alone(serve: Serve) -> None:
    """I: under a cap of its address space the call that asks for more has MemoryError, and those
    beside it are answered.
    """
    server = serve(GREEDY)
    await server.ask(HEALTH)
    cap = psutil.Process(server.process.pid).memory_info().vms + 512 * MIB
    psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_AS, (cap, cap))
    greedy, *others = await asyncio.gather(
        server.ask(request(b"greedy")), *(server.ask(request(b"modest")) for _ in range(20))
    )
    assert (greedy.status, greedy.json()["errorType"]) == (404, "MemoryError")
    assert {answer.body for answer in others} == {b"modest"}
    assert await asyncio.to_thread(server.stop) == 0


async def test_bodies_that_find_no_memory_end_no_service(loop_kind: str, serve: Serve) -> None:
    """I, D4: with a budget that is larger than the memory there is, bodies that find none are
    refused; the service goes on.
    """
    server = serve(GREEDY, "--loop", loop_kind, "--body-budget", "2GiB")
    await server.ask(HEALTH)
    process = psutil.Process(server.process.pid)
    cap = process.memory_info().vms + 256 * MIB
    process.rlimit(psutil.RLIMIT_AS, (cap, cap))
    body = bytes(30 * MIB)

    async def offer() -> Answer | None:
        try:
            return await server.ask(request(body))
        except (ConnectionError, asyncio.IncompleteReadError):
            return None

    answers = await asyncio.gather(*(offer() for _ in range(30)))
    served = [answer for answer in answers if answer and answer.status == 200]
    assert served
    assert (await server.ask(request(b"event"))).body == b"event"
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_log_on_a_full_disk_fails_no_call(serve: Serve) -> None:
    """I: lines that cannot be written are counted, and the calls that wrote them are answered."""
    full = os.open("/dev/full", os.O_WRONLY)
    server = serve(ECHO, "--port", "0", stdout=full)
    os.close(full)
    async with asyncio.timeout(STARTS_WITHIN):
        port = await listening(server)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(20):
        writer.write(request(b"event"))
        assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(5) == b"event"
    writer.write(HEALTH)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 OK" in head
    assert b'"logLinesLost":0' not in await reader.readuntil(b"}")
    writer.close()
    assert await asyncio.to_thread(server.stop) == 0


async def listening(server: ServerProcess) -> int:
    """Wait until a process listens, whose banner nobody can read; return its port."""
    process = psutil.Process(server.process.pid)
    while True:
        for each in process.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN:
                return int(each.laddr.port)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_service_opens_no_socket_but_its_own(loop_kind: str, workers: int) -> None:
    """B7, S2: it listens on its address and port, has its clients' connections, and no other."""
    async with started(loop=loop_kind, workers=workers) as server, server.callers(5) as callers:
        for caller in callers:
            assert await caller.ask(b"echo")
        found = [
            each for pid in server.pids() for each in psutil.Process(pid).net_connections("inet")
        ]
        assert {each.laddr.port for each in found} == {server.port}
        listening = {each.laddr for each in found if each.status == psutil.CONN_LISTEN}
        assert listening == {("0.0.0.0", server.port)}
        assert {each.type for each in found} == {1}


async def test_more_connects_than_descriptors_of_two_workers_are_survived(loop_kind: str) -> None:
    """I: with two workers, too, what is beyond the descriptors is refused in few words, and good
    requests are served when there is room again.
    """
    options = {"open_files": 80}
    async with started(options=options, workers=2, loop=loop_kind) as server:
        async with server.callers(300) as callers:
            answers = [await caller.ask(b"echo") for caller in callers]
            assert any(answer is None for answer in answers)
            assert any(answer is not None for answer in answers)
        async with asyncio.timeout(ANSWERS_WITHIN):
            while True:
                if await server.is_alive():  # once it has seen that the others are gone
                    break
                await asyncio.sleep(0.02)
        assert server.ledger.count().keys() == {"answered", "never run"}
        assert server.log().count("refused a connection") < 30
        server.signal(signal.SIGTERM)
        assert await server.ends() == 0
