"""What the system tests are made of: real server processes, and a client that repairs nothing."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import orjson
import pytest

from tests.warm_start import WarmProcess, warm_starts

# What a test waits for comes at once. These are for a machine on which nothing does: no test says
# by them how fast the service is.
STARTS_WITHIN = 60.0
ANSWERS_WITHIN = 60.0
ENDS_WITHIN = 30.0
"""Less than the `drain_timeout` that a service has by default: a stop that waits for it fails."""
RUNS_WITHIN = 120.0
"""For a command with its start, beside which a busy machine does others."""


FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
"""Of a test that forks: whether Python warns of it depends on the threads of the tests before."""

ECHO = """
    async def handler(event, context):
        return event
"""
"""A function that answers with its event."""

GATED = """
    import asyncio, pathlib

    async def handler(event, context):
        print("running")
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.02)
        print("done")
        return event
"""
"""The same, once there is a file `go` in its folder."""


async def least(measure: Callable[[], Awaitable[float]], below: float, tries: int = 5) -> float:
    """The least of several values, most often seconds, that are measured until one is `below`.

    What a busy machine adds to one of them says nothing of the service; what the service itself
    takes is in each.
    """
    found = [await measure()]
    while min(found) >= below and len(found) < tries:
        found.append(await measure())
    return min(found)


@contextmanager
def held_port() -> Iterator[int]:
    """A port that no other process is given meanwhile, though nothing listens there yet."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the service may have it too
        holder.bind(("0.0.0.0", 0))
        yield holder.getsockname()[1]


@dataclass(frozen=True)
class Answer:
    """One HTTP response as it was on the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's JSON value."""
        return orjson.loads(self.body)

    @property
    def closes(self) -> bool:
        """True when the server says that it ends the connection."""
        return self.headers.get("connection") == "close"


def request(
    body: bytes = b"{}",
    *,
    path: str = "/invoke",
    method: str = "POST",
    request_id: str = "",
    **headers: str,
) -> bytes:
    """The bytes of a request; underscores in header names stand for hyphens."""
    fields = {"Host": "127.0.0.1", "Content-Length": str(len(body))}
    if request_id:
        fields["x-fc-request-id"] = request_id
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items() if v), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class Client:
    """One connection. What is sent is sent as it is; an answer is read by its Content-Length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        """The next answer. Raises IncompleteReadError when the connection ends without one."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            fields = (line.split(": ", 1) for line in lines)
            headers = {name.lower(): value for name, value in fields}
            size = int(headers.get("content-length", "0"))
            return Answer(int(first.split()[1]), headers, await self.reader.readexactly(size))

    async def ask(self, data: bytes) -> Answer:
        """Send bytes and read an answer."""
        await self.send(data)
        return await self.answer()

    async def ended(self) -> bool:
        """True once the server has closed the connection, with no further byte."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


class Output:
    """The lines that a process writes to a pipe. A thread reads them as they come."""

    def __init__(self, stream: IO[bytes], news: threading.Condition) -> None:
        self.stream = stream
        self.lines: list[str] = []
        self.ended = False
        self._news = news
        self._begun = b""
        os.set_blocking(stream.fileno(), False)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        ready = select.poll()
        ready.register(self.stream, select.POLLIN)
        while not self.ended:
            ready.poll()
            with self._news:
                self._take()
                self._news.notify_all()

    def catch_up(self) -> None:
        """Read all that is in the pipe by now. Our thread may not have run since it was written."""
        with self._news:
            while self._take():
                pass

    def _take(self) -> bool:
        """Read what there is; return False when that is nothing."""
        if self.ended:
            return False
        try:
            data = os.read(self.stream.fileno(), 1 << 20)
        except BlockingIOError:
            return False
        self.ended = not data
        *whole, self._begun = (self._begun + data).split(b"\n")
        if self.ended and self._begun:
            whole.append(self._begun)
        self.lines.extend(line.decode(errors="surrogateescape") for line in whole)
        return True

    def close(self) -> None:
        """Read no more."""
        with self._news:
            self.ended = True
            self.stream.close()


UNMOVED = {"SERVICE_LOG_CALLS": "off"}
"""Settings by which a busy machine adds no line to the log: any call may be slow there."""


def variables(own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a service, with variables of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SERVICE_", "FC_", "OTEL_"))}
    return {**kept, **UNMOVED, **(own or {})}


PLAIN = [sys.executable, "-m", "service"]
FROM_THE_FIRST = {"--reload", "--start-report"}
"""Flags of starts that look at their own imports, or start others."""


def _warm(
    line: list[str], folder: Path, env: dict[str, str], stdout: int
) -> subprocess.Popen[bytes] | WarmProcess:
    """Start a service whose imports are done, if that is the same as a real start."""
    same = line[:3] == PLAIN and not FROM_THE_FIRST.intersection(line)
    if same and warm_starts().may_start(env):
        return warm_starts().start(line[3:], folder, env, stdout)
    return _real(line, folder, env, stdout)


def _real(
    line: list[str], folder: Path, env: dict[str, str], stdout: int
) -> subprocess.Popen[bytes] | WarmProcess:
    return subprocess.Popen(
        line, cwd=folder, env=env, stdout=stdout, stderr=subprocess.PIPE, bufsize=0
    )


def run_service(
    folder: Path,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    stdout: int = subprocess.PIPE,
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m service` with these arguments to its end."""
    with tempfile.TemporaryFile() as file:
        file.write(stdin)
        file.seek(0)
        env, command = variables(environ), [*PLAIN, *arguments]
        if not warm_starts().may_start(env):
            return subprocess.run(
                command, cwd=folder, env=env, stdin=file, stdout=stdout, stderr=subprocess.PIPE,
                timeout=RUNS_WITHIN, check=False,
            )  # fmt: skip
        process = warm_starts().start(arguments, folder, env, stdout, file.fileno())
    output, errors = process.communicate(RUNS_WITHIN)
    return subprocess.CompletedProcess(command, process.wait(), output, errors)


class ServerProcess:
    """`python -m service` in a folder with the given `index.py`."""

    def __init__(
        self,
        folder: Path,
        source: str,
        *flags: str,
        environ: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        open_files: int | None = None,
        stdout: int = subprocess.PIPE,
        command: Sequence[str] = (),
        is_warm: bool = True,
    ) -> None:
        """`options` are the interpreter's own; `open_files` limits the process's descriptors; a
        `stdout` of the test's own is not read here; `command` starts another server than ours. Its
        imports are done already if it may be `is_warm`, and nothing else asks for a real start.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if source:
            (folder / "index.py").write_text(textwrap.dedent(source))
        limited = ["sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh"] if open_files else []
        ours = [sys.executable, *options, "-m", "service", "--port", "0", *flags]
        started = _warm if is_warm and not limited else _real
        line = [*limited, *(command or ours)]
        self.process = started(line, folder, variables(environ), stdout)
        self._news = threading.Condition()
        self._outputs = [
            Output(stream, self._news)
            for stream in (self.process.stderr, self.process.stdout)
            if stream is not None
        ]
        self._errors = self._outputs[0].lines
        self._lines = self._outputs[1].lines if self.process.stdout is not None else []

    @property
    def lines(self) -> list[str]:
        """The lines of its stdout by now."""
        self._catch_up()
        return self._lines

    @property
    def errors(self) -> list[str]:
        """The lines of its stderr by now."""
        self._catch_up()
        return self._errors

    def _catch_up(self) -> None:
        for output in self._outputs:
            output.catch_up()

    def wait_for(self, pattern: str, seconds: float = STARTS_WITHIN, count: int = 1) -> str:
        """Wait for lines that match, on stdout or stderr; return the last of `count` of them."""

        def found() -> list[str]:
            return [line for line in [*self._lines, *self._errors] if re.search(pattern, line)]

        with self._news:
            self._news.wait_for(
                lambda: len(found()) >= count or all(output.ended for output in self._outputs),
                seconds,
            )
            lines = found()
        told = f"no line matches {pattern!r}: {self._lines[-20:]} {self._errors[-20:]}"
        assert len(lines) >= count, told
        return lines[count - 1]

    @cached_property
    def port(self) -> int:
        """The port, once the service listens."""
        line = self.wait_for(r" serves .* on http://")
        return int(re.findall(r":(\d+)", line)[-1])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def stop_while_frozen(self) -> None:
        """Freeze the process, tell it to stop, and let it go on; return once it has heard."""
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):
            self.signal(number)
        self.wait_for("SIGTERM: stopping")

    def wait(self, seconds: float = ENDS_WITHIN) -> int:
        """Wait for the end; return the exit code. All output has been read then."""
        code = self.process.wait(seconds)
        for output in self._outputs:
            output.thread.join(5)
        return code

    async def ends(self, seconds: float = ENDS_WITHIN) -> int:
        """Like `wait`, while other coroutines go on."""
        return await asyncio.to_thread(self.wait, seconds)

    def stop(self) -> int:
        """SIGTERM, then wait."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def stop_reading(self) -> None:
        """Close our end of its stdout, as a log collector that dies would.

        The pipe breaks once the thread that reads it has seen one more line.
        """
        assert self.process.stdout is not None
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), self.process.stdout.fileno())

    def kill(self) -> None:
        """End it now, by its own id."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.wait()
        for output in self._outputs:
            output.close()

    def log(self) -> str:
        """Everything it wrote."""
        return "\n".join(self.lines + self.errors)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """An open connection to the service."""
        port = await asyncio.to_thread(lambda: self.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()

    async def ask(self, data: bytes) -> Answer:
        """Send a request on a connection of its own; return the answer."""
        async with self.client() as client:
            return await client.ask(data)

    def memory(self) -> int:
        """Resident bytes now."""
        return self._status("VmRSS")

    def peak_memory(self) -> int:
        """Resident bytes at most since the start, or since `reset_peak`."""
        return self._status("VmHWM")

    def reset_peak(self) -> None:
        """Let `peak_memory` count anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(rf"{name}:\s+(\d+) kB", text)
        assert match
        return int(match[1]) * 1024
