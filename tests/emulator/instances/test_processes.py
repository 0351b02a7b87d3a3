"""The processes of an instance: all of them, wherever they have gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from service.emulator.instances import proc
from service.emulator.instances.proc import process_table
from service.emulator.instances.processes import Processes
from service.emulator.instances.reaper import Reaper
from tests.emulator.play import FUNCTIONS, WITHIN, is_frozen, runs, state

Start = Callable[..., Processes]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts processes, and ends them after the test."""
    started: list[Processes] = []

    def start(*command: str, **variables: str) -> Processes:
        environment = {
            "PATH": os.environ["PATH"],
            "FC_INSTANCE_ID": f"c-{os.getpid()}-{len(started)}",
        }
        with open(os.devnull, "wb") as nothing:
            started.append(Processes(command, FUNCTIONS, environment | variables, nothing.fileno()))
        return started[-1]

    yield start
    for processes in started:
        async with asyncio.timeout(WITHIN):
            await processes.kill()


@asynccontextmanager
async def told(script: str, start: Start) -> AsyncIterator[tuple[Processes, list[int]]]:
    """The processes of a shell script, and the numbers that it has written to "$out"."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    async with AsyncExitStack() as stack:
        stack.callback(os.close, read)
        # The descriptor is closed in the child, so the script opens it through us.
        processes = start("sh", "-c", f"exec 9>/proc/{os.getpid()}/fd/{write}; {script}")
        line = await asyncio.to_thread(lambda: _line(read))
        os.close(write)
        yield processes, [int(word) for word in line.split()]


def _line(descriptor: int) -> str:
    text = b""
    while not text.endswith(b"\n"):
        text += os.read(descriptor, 100)
    return text.decode()


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -KILL $$", 137), ("true", 0)])
async def test_the_end_is_told_with_its_code(start: Start, script: str, code: int) -> None:
    """`ended` becomes the exit code, or 128 and the number of the signal."""
    assert await start("sh", "-c", script).ended == code


async def test_the_end_is_told_where_the_kernel_has_no_descriptor_for_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pidfd_open (macOS) the end is noticed as well."""
    monkeypatch.delattr(os, "pidfd_open")
    assert await start("sh", "-c", "exit 4").ended == 4


@pytest.mark.parametrize(
    ("command", "error"),
    [("missing", FileNotFoundError), ("./exits.py", PermissionError)],
    ids=["no such file", "not executable"],
)
async def test_a_command_that_cannot_be_executed_says_why(
    start: Start, command: str, error: type[OSError]
) -> None:
    """exec's own error comes back."""
    with pytest.raises(error):
        start(command)


CHILDREN = {
    "in its group": "sleep 1000 & echo $! >&9; wait",
    "in a session of its own": "setsid sleep 1000 & echo $! >&9; wait",
    "left by its parent": "(setsid sh -c 'echo $$ >&9; exec sleep 1000' &) ; sleep 1000",
    "without its environment": "setsid env -i /bin/sh -c 'echo $$ >&9; exec sleep 1000' & wait",
    "a grandchild elsewhere": "setsid sh -c 'sleep 1000 & echo $! >&9; wait' & wait",
}


@pytest.mark.parametrize("script", CHILDREN.values(), ids=CHILDREN.keys())
async def test_a_signal_reaches_a_process(start: Start, script: str) -> None:
    """Wherever a process of the instance has gone, it is frozen and thawed."""
    async with told(script, start) as (processes, [pid]):
        processes.signal_all(signal.SIGSTOP)
        processes.unsure = True
        while processes.unsure:
            processes.look(process_table())
            await asyncio.sleep(0)
        processes.signal_strays(signal.SIGSTOP)
        await is_frozen(processes.pid, pid)
        processes.signal_all(signal.SIGCONT)
        await runs(processes.pid, pid)


@pytest.mark.parametrize("script", CHILDREN.values(), ids=CHILDREN.keys())
async def test_no_process_is_left(start: Start, script: str) -> None:
    """Killing an instance ends all that it has started, frozen or not."""
    async with told(script, start) as (processes, [pid]):
        processes.signal_all(signal.SIGSTOP)
        await processes.kill()
        assert processes.ended.result() == 137
        assert state(pid) == ""


async def test_another_process_with_the_number_of_a_stray_is_let_be(start: Start) -> None:
    """A number that was given to another process since is no process of the instance."""
    stranger = start("sleep", "1000")
    processes = start("sleep", "1000")
    processes._strays = {stranger.pid: 1}
    processes.signal_all(signal.SIGKILL)
    assert await processes.ended == 137
    await runs(stranger.pid)


async def test_what_does_not_belong_to_it_is_not_touched(start: Start) -> None:
    """Neither we ourselves nor another instance are taken for processes of an instance."""
    other = start("sleep", "1000")
    processes = start("sleep", "1000")
    processes.look(process_table())
    assert set(processes._members) == {processes.pid}
    processes.look(process_table())  # the second time, strangers are known
    assert set(processes._members) == {processes.pid}
    assert other.pid not in processes._members


async def test_the_memory_is_that_of_all_processes(start: Start) -> None:
    """Children count, in the group and outside of it."""
    taken = "import os, time; b = bytes([1]) * 60_000_000; os.write(9, b'1\\n'); time.sleep(1000)"
    fed = f'(setsid {sys.executable} -c "{taken}" &); sleep 1000'
    async with told(fed, start) as (processes, _):
        alone = processes.memory()
        processes.look(process_table())
        assert processes.memory() > alone + 55


async def test_it_is_known_where_an_instance_listens(start: Start) -> None:
    """IPv4 and IPv6 addresses, as people write them."""
    script = (
        "import os, socket, sys, time\n"
        "a = socket.create_server(('127.0.0.1', 0))\n"
        "b = socket.create_server(('::', 0), family=socket.AF_INET6)\n"
        "c = socket.create_server(('::1', 0), family=socket.AF_INET6)\n"
        "print(*(s.getsockname()[1] for s in (a, b, c)), file=open(sys.argv[1], 'w'))\n"
        "time.sleep(1000)\n"
    )
    async with told(f'exec {sys.executable} -c "{script}" /dev/fd/9', start) as (processes, ports):
        first, second, third = ports
        assert sorted(processes.listening()) == sorted(
            [
                ("127.0.0.1", first),
                ("::", second),
                ("0000:0000:0000:0000:0000:0000:0000:0001", third),
            ]
        )


async def test_without_proc_the_group_is_what_is_known(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there is no /proc (macOS), instances start, freeze and end all the same."""
    monkeypatch.setattr(proc, "PROC", tmp_path / "none")
    processes = start("sleep", "1000")
    assert process_table() == {}
    processes.look(process_table())
    assert processes.memory() == 0.0
    assert processes.listening() == []
    await processes.kill()
    assert processes.ended.result() == 137


EMULATOR = """
import asyncio
from tests.emulator.play import function, playing

async def main():
    async with playing(function(concurrency=2)) as play:
        pids = [int((await play.call(f"child {kind}")).body) for kind in ("", "session", "orphan")]
        assert play.instance.frozen
        print(play.instance.processes.pid, *pids, flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


async def test_an_instance_dies_with_the_emulator() -> None:
    """After kill -9 of the emulator no process of its instances is left, though all are frozen."""
    emulator = subprocess.Popen(  # noqa: ASYNC220 # it comes at once
        [sys.executable, "-c", EMULATOR],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert emulator.stdout is not None
    with emulator.stdout:
        pids = [int(word) for word in (await asyncio.to_thread(emulator.stdout.readline)).split()]
        ends = [os.pidfd_open(pid) for pid in pids]
        emulator.kill()
        emulator.wait()
    async with asyncio.timeout(WITHIN):
        await asyncio.gather(*map(_ended, ends))


async def _ended(descriptor: int) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    await ended.wait()
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)


async def test_the_guard_kills_groups_where_there_is_no_proc(start: Start) -> None:
    """What it was told last counts; where it is let go, it kills nothing."""
    first, second, third = (start("sleep", "1000") for _ in range(3))
    reaper = Reaper("c-nobody", "/none")
    reaper.watch([first.pid, third.pid])
    reaper.watch([first.pid, second.pid])
    assert reaper._process.stdin is not None
    reaper._process.stdin.close()  # as the end of this process would
    async with asyncio.timeout(WITHIN):
        assert await first.ended == await second.ended == 137
    reaper._process.wait()
    released = Reaper("c-nobody", "/none")
    released.watch([third.pid])
    released.close()
    assert not third.ended.done()
    await runs(third.pid)


async def test_a_guard_that_was_killed_is_no_fault() -> None:
    """Nothing watches then, and nothing else is wrong."""
    reaper = Reaper("c-nobody", "/none")
    reaper._process.kill()
    reaper._process.wait()
    reaper.watch([1])
    reaper.close()
