"""`--reload` with real processes: several saves, starts that fail or hang, pools, stops."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from select import select

import psutil
import pytest

from tests.conftest import Serve
from tests.harness import ENDS_WITHIN, ServerProcess, held_port, request

SOURCE = """
    import asyncio, pathlib

    async def handler(event, context):
        if event:
            print("waits in", VERSION)
            while not pathlib.Path(event.decode()).exists():
                await asyncio.sleep(0.01)
        return VERSION
"""
STUBBORN = """
    import os, time

    print("hangs", os.getpid())
    while True:
        try:
            time.sleep(300)
        except BaseException:
            print("goes on")
"""
"""An import that no exception leaves."""

MAKES_POOL = {
    "Pool": """
        import multiprocessing

        pool = multiprocessing.get_context("fork").Pool(2)
    """,
    "ProcessPoolExecutor": """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        pool = ProcessPoolExecutor(2, multiprocessing.get_context("fork"))
        pool.submit(int).result()
    """,
}
"""How a module makes two processes while it is imported."""

GROUP_OF_ITS_OWN = ("setsid", sys.executable, "-m", "service", "--reload", "--port", "0")
"""The command as a shell starts it: a Ctrl-C reaches it and all in its group."""


def send(server: ServerProcess, number: signal.Signals) -> None:
    """Send a signal to the process, or SIGINT as a terminal does."""
    (os.killpg if number == signal.SIGINT else os.kill)(server.process.pid, number)


def version(number: object, *parts: str) -> str:
    """Return the text of a function that answers with its version, an expression."""
    return "\n".join(map(textwrap.dedent, (*parts, f"VERSION = str({number})", SOURCE)))


def save(server: ServerProcess, text: str, name: str = "index.py") -> None:
    """Put another file in the place of the one there is, at once, as editors do."""
    new = server.folder / "new"
    new.write_text(text)
    new.replace(server.folder / name)


async def told(server: ServerProcess, pattern: str, count: int = 1) -> None:
    """Wait for so many lines."""
    await asyncio.to_thread(server.wait_for, pattern, count=count)


async def answers(server: ServerProcess, count: int = 20) -> set[str]:
    """Return what calls, each on a connection of its own, are answered with."""
    asked = await asyncio.gather(*(server.ask(request(b"")) for _ in range(count)))
    return {answer.body.decode() for answer in asked}


def below(process: int) -> list[int]:
    """Return the ids of the processes that a process has started, and of theirs."""
    return [each.pid for each in psutil.Process(process).children(recursive=True)]


async def all_ended(those: list[int]) -> None:
    """Wait until all of these processes have ended, reaped or not."""
    for each in those:
        with suppress(ProcessLookupError):
            end = os.pidfd_open(each)
            try:
                assert (await asyncio.to_thread(select, [end], [], [], ENDS_WITHIN))[0]
            finally:
                os.close(end)


def listens(process: int) -> bool:
    """Return whether a process can take connections."""
    with suppress(psutil.NoSuchProcess):
        sockets = psutil.Process(process).net_connections("tcp")
        return any(each.status == psutil.CONN_LISTEN for each in sockets)
    return False


async def replaced(those: list[int]) -> None:
    """Wait until none of these takes connections any more. The old code does for a moment after the
    new one serves: until its signal has come.
    """
    async with asyncio.timeout(ENDS_WITHIN):
        for each in those:
            while await asyncio.to_thread(listens, each):
                pass


async def test_a_second_save_does_not_end_a_call_of_the_oldest_code(serve: Serve) -> None:
    """Each call in flight is answered by the code that it began on, and new ones by the newest."""
    server = serve(version(1), "--reload")
    calls = []
    for number in (1, 2):
        calls.append(asyncio.create_task(server.ask(request(b"go"))))
        await told(server, f"waits in {number}")
        old = below(server.process.pid)
        save(server, version(number + 1))
        await replaced(old)
        assert await answers(server) == {str(number + 1)}
    assert not any(each.done() for each in calls)
    (server.folder / "go").touch()
    assert [(await each).body for each in calls] == [b"1", b"2"]
    await all_ended(old)
    assert await answers(server) == {"3"}
    assert await asyncio.to_thread(server.stop) == 0


@pytest.mark.parametrize(
    ("name", "wrong", "told_of_it", "mended", "answer"),
    [
        ("index.py", "def handler(", "line 1: syntax error", version(2), "2"),
        ("config/service.toml", "workers = 2", "serves with one worker", "concurrency = 9", "1"),
    ],
    ids=["code", "settings"],
)
async def test_a_save_that_cannot_be_served_leaves_the_old_code_serving(
    serve: Serve, tmp_path: Path, name: str, wrong: str, told_of_it: str, mended: str, answer: str
) -> None:
    """What is wrong is told, and the next save that is right is served."""
    (tmp_path / "config").mkdir()
    server = serve(version(1), "--reload", folder=tmp_path)
    assert await answers(server) == {"1"}
    old = below(server.process.pid)
    save(server, wrong, name)
    await told(server, told_of_it)
    await told(server, "the code from before the change is served")
    assert await answers(server) == {"1"}
    save(server, mended, name)
    await all_ended(old)
    assert await answers(server) == {answer}
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_process_that_is_killed_is_replaced(serve: Serve) -> None:
    """It is told; who connects meanwhile is served by the next one, and its pool has ended."""
    pool = MAKES_POOL["ProcessPoolExecutor"]
    server = serve(version("os.getpid()", "import os", pool), "--reload")
    (first,) = await answers(server, 1)
    left = below(server.process.pid)
    assert len(left) >= 3
    os.kill(int(first), signal.SIGKILL)
    await told(server, "was ended by SIGKILL: another one is started")
    (second,) = await answers(server)
    assert second != first
    await all_ended(left)
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_first_start_that_fails_leaves_no_port_and_the_mended_file_is_served(
    serve: Serve,
) -> None:
    """Clients are refused at once, and do not wait for an answer that nobody gives."""
    with held_port() as port:
        server = serve("def handler(", "--reload", "--port", str(port))
        await told(server, "line 1: syntax error")
        await told(server, "nothing is served until a file changes")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        save(server, version(1))
        assert await answers(server) == {"1"}
        assert await asyncio.to_thread(server.stop) == 0


@pytest.mark.parametrize(
    "made",
    [
        pytest.param((), id="alone", marks=pytest.mark.long),
        pytest.param(("ProcessPoolExecutor",), id="with a pool"),
    ],
)
async def test_an_import_that_hangs_is_ended_by_the_next_save(
    serve: Serve, made: tuple[str, ...]
) -> None:
    """Until the new code serves the old one does, and not beside it; the pool that the import has
    made ends, too.
    """
    server = serve(version(1), "--reload")
    assert await answers(server) == {"1"}
    save(server, version(2, *(MAKES_POOL[kind] for kind in made), STUBBORN))
    await told(server, r"hangs \d+")
    left = below(server.process.pid)
    assert len(left) >= 2 + 2 * len(made)
    assert await answers(server) == {"1"}
    save(server, version(3))
    await all_ended(left)
    assert await answers(server) == {"3"}
    assert await asyncio.to_thread(server.stop) == 0


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(MAKES_POOL["Pool"], id="Pool"),
        pytest.param(
            MAKES_POOL["ProcessPoolExecutor"], id="ProcessPoolExecutor", marks=pytest.mark.long
        ),
    ],
)
async def test_a_module_that_makes_a_pool_goes_on_reloading(serve: Serve, pool: str) -> None:
    """Two saves later only the newest code answers, and the pools of the others have ended."""
    server = serve(version(1, pool), "--reload")
    for number in (1, 2, 3):
        assert await answers(server) == {str(number)}
        old = below(server.process.pid)
        assert len(old) >= 3
        if number < 3:
            save(server, version(number + 1, pool))
            await all_ended(old)
    assert await asyncio.to_thread(server.stop) == 0
    await all_ended(old)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["SIGTERM", "Ctrl-C", "SIGKILL"],
)
async def test_the_end_while_an_import_hangs_ends_all(
    serve: Serve, number: signal.Signals, code: int
) -> None:
    """The import, which may never end, and the pool that it has made."""
    hangs = version(1, MAKES_POOL["ProcessPoolExecutor"], STUBBORN)
    server = serve(hangs, command=GROUP_OF_ITS_OWN)
    await told(server, r"hangs \d+")
    left = below(server.process.pid)
    send(server, number)
    assert await server.ends() == code
    await all_ended(left)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGINT, id="Ctrl-C", marks=pytest.mark.long),
    ],
)
async def test_a_stop_while_calls_run_lets_all_of_them_finish(
    serve: Serve, number: signal.Signals
) -> None:
    """Those of the code from before the change, too."""
    server = serve(version(1), command=GROUP_OF_ITS_OWN)
    calls = [asyncio.create_task(server.ask(request(b"go")))]
    await told(server, "waits in 1")
    old = below(server.process.pid)
    save(server, version(2))
    await replaced(old)
    calls.append(asyncio.create_task(server.ask(request(b"go"))))
    await told(server, "waits in 2")
    send(server, number)
    await told(server, "SIGTERM: stopping", count=2)
    (server.folder / "go").touch()
    assert [(await each).body for each in calls] == [b"1", b"2"]
    assert await server.ends() == 0
    assert "Traceback" not in server.log()
