"""An instance under test with all of its processes: the service, or another server beside it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from tests.harness import (
    ANSWERS_WITHIN,
    STARTS_WITHIN,
    Client,
    ServerProcess,
    held_port,
    least,
    request,
)
from tests.system.ledger import Caller, Ledger

HANDLERS = Path(__file__).parent.parent / "handlers"
HEALTH = request(b"", path="/health", method="GET")
AT_ONCE = 200


@dataclass(frozen=True)
class Case:
    """How a server is started. `patience` are the seconds after which it may end what stands still
    on a connection (None: its default); `kind` is the function in `ledgered.py`.
    """

    port: int
    workers: int = 1
    loop: str = "auto"
    kind: str = "handler"
    patience: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A server to be tried: anything that runs `ledgered.handler` for POST /invoke.

    `files` are copied into its folder; the function is to be called `index`.
    """

    name: str
    command: Callable[[Case], Sequence[str]]
    files: Mapping[str, Path] = field(
        default_factory=lambda: {"index.py": HANDLERS / "ledgered.py"}
    )


def _ours(case: Case) -> list[str]:
    limits = [] if case.patience is None else ["--header-timeout", "--body-timeout"]
    return [
        *(sys.executable, "-m", "service", "--port", str(case.port)),
        *("--handler", f"index.{case.kind}", "--loop", case.loop),
        *("--workers", str(case.workers), "--concurrency", str(AT_ONCE)),
        *(word for limit in limits for word in (limit, str(case.patience))),
        *case.flags,
    ]


def _stock(case: Case) -> list[str]:
    patience = case.patience or 0
    return [sys.executable, "stock_aiohttp.py", *map(str, (case.port, case.workers, patience))]


OURS = Candidate("fc-event-service", _ours)
STOCK = Candidate(
    "aiohttp",
    _stock,
    {"index.py": HANDLERS / "ledgered.py", "stock_aiohttp.py": HANDLERS / "stock_aiohttp.py"},
)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing tells us."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.02)


class Instance(ServerProcess):
    """A candidate that runs, and the ledger of what is asked of it."""

    def __init__(self, folder: Path, candidate: Candidate, case: Case, **options: Any) -> None:
        folder = folder.resolve()
        for name, source in candidate.files.items():
            shutil.copy(source, folder / name)
        super().__init__(folder, "", command=candidate.command(case), **options)
        self.case = case
        self.ledger = Ledger(folder / "ledger")
        self._known: set[int] = set()

    @property
    def port(self) -> int:
        """The port."""
        return self.case.port

    def pids(self) -> list[int]:
        """Return the processes of the instance, the first one first."""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            found = [first.pid, *(child.pid for child in first.children(recursive=True))]
            self._known.update(found)
            return found
        return []

    def workers(self) -> list[int]:
        """Return the processes that serve."""
        pids = self.pids()
        return pids[1:] or pids

    async def ready(self) -> None:
        """Wait until each of its workers has answered a request."""
        seen = set[str]()
        async with asyncio.timeout(STARTS_WITHIN):
            while len(seen) < self.case.workers:
                assert self.process.poll() is None, self.log()
                with suppress(ConnectionError, asyncio.IncompleteReadError):
                    async with AsyncExitStack() as stack:
                        for _ in range(8 * self.case.workers):
                            client = await stack.enter_async_context(self.client())
                            await client.ask(request(b"echo", request_id="ready"))
                seen = {pid for name, pid in self.ledger.lines("began") if name == "ready"}
                await asyncio.sleep(0.02)
        self.pids()

    @asynccontextmanager
    async def callers(self, count: int) -> AsyncIterator[list[Caller]]:
        """Open connections, all at once."""
        async with AsyncExitStack() as stack:
            opened = [stack.enter_async_context(self.client()) for _ in range(count)]
            callers = [Caller(client, self.ledger) for client in await asyncio.gather(*opened)]
            try:
                yield callers
            finally:
                for caller in callers:  # those that were opened again too
                    caller.client.writer.transport.abort()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """An open connection; it is cut at the end, whatever is left to be sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()

    async def running(self, count: int, within: float = ANSWERS_WITHIN) -> int:
        """Wait until the function has begun to run so many requests of the ledger; return how many
        it has, where they do not become so many.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await until(lambda: self._begun() >= count)
        return self._begun()

    def _begun(self) -> int:
        return len(self.ledger.runs().keys() - {"ready", ""})

    def go(self) -> None:
        """Let the calls that `hold` end."""
        (self.folder / "go").touch()

    def freeze(self) -> None:
        """Stop all processes, as the platform does."""
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        for pid in reversed(self.pids()):
            os.kill(pid, signal.SIGCONT)

    async def good(self) -> float:
        """Return the seconds that a good request takes."""
        clock = asyncio.get_running_loop().time
        began = clock()
        assert (await self.ask(request(b"echo good"))).body == b"echo good"
        return clock() - began

    async def is_alive(self) -> bool:
        """Say whether a good request is answered within a second."""
        try:
            async with asyncio.timeout(10):
                return await least(self.good, below=1.0) < 1.0
        except (OSError, EOFError, TimeoutError, AssertionError):
            return False

    async def state(self) -> dict[str, Any]:
        """Return what the service tells of itself."""
        found: dict[str, Any] = (await self.ask(HEALTH)).json()
        return found

    async def at_rest(self) -> None:
        """Wait until nothing is in flight."""
        await self.until_state(inFlight=0)

    async def until_state(self, **figures: int) -> None:
        """Wait until the service tells this of itself."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            while True:
                if figures.items() <= (await self.state()).items():
                    return
                await asyncio.sleep(0.01)

    async def has_taken(self, calls: int) -> None:
        """Wait until so many calls have slots or wait for one."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            while True:
                state = await self.state()
                if state["running"] + state["queued"] == calls:
                    return
                await asyncio.sleep(0.01)

    async def is_listening(self) -> bool:
        """Say whether a connection is taken."""
        with suppress(ConnectionError):
            async with self.client():
                return True
        return False

    def descriptors(self) -> int:
        """Return how many file descriptors its workers have open."""
        return sum(psutil.Process(pid).num_fds() for pid in self.workers())

    async def forgets(self, before: int) -> None:
        """Wait until no more descriptors are open than there were before."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            await until(lambda: self.descriptors() <= before)

    def reset_peak(self) -> None:
        """Let `peak_memory` count anew."""
        for pid in self.pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        """Return the bytes of a field of /proc/PID/status, of all processes together."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self.pids()]
        found = [re.findall(rf"{name}:\s+(\d+) kB", text) for text in texts]
        return sum(int(size) * 1024 for sizes in found for size in sizes)

    def end(self) -> None:
        """Leave no process of it behind, frozen ones included."""
        self.pids()
        self.process.kill()  # first: it would replace the others
        for pid in self._known - {self.process.pid}:
            with suppress(psutil.Error, ProcessLookupError):
                if psutil.Process(pid).cwd() == str(self.folder):  # not another one's by now
                    os.kill(pid, signal.SIGKILL)
        self.kill()
        self.ledger.keep()


@asynccontextmanager
async def started(
    candidate: Candidate = OURS,
    *,
    options: Mapping[str, Any] | None = None,
    waits: bool = True,
    **case: Any,
) -> AsyncIterator[Instance]:
    """Start a server; end it. `case` is of a `Case`, `options` of a ServerProcess; unless `waits`
    is false, the server answers.
    """
    with TemporaryDirectory() as folder, held_port() as port:
        instance = Instance(Path(folder), candidate, Case(port, **case), **(options or {}))
        try:
            if waits:
                await instance.ready()
            yield instance
        finally:
            instance.end()
