"""What the system tests are made of: real server processes, and a client that repairs nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

STARTS_WITHIN = 20.0
ANSWERS_WITHIN = 15.0


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
    ) -> None:
        """`options` are the interpreter's own; `open_files` limits the process's descriptors; a
        `stdout` of the test's own is not read here.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if source:
            (folder / "index.py").write_text(textwrap.dedent(source))
        limited = ["sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh"] if open_files else []
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SERVICE_", "FC_"))}
        self.process = subprocess.Popen(
            [*limited, sys.executable, *options, "-m", "service", "--port", "0", *flags],
            cwd=folder,
            env={**kept, **(environ or {})},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
            if pair[0] is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            with self._news:
                lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, pattern: str, seconds: float = STARTS_WITHIN, count: int = 1) -> str:
        """Wait for lines that match, on stdout or stderr; return the last of `count` of them."""

        def found() -> list[str]:
            return [line for line in [*self.lines, *self.errors] if re.search(pattern, line)]

        with self._news:
            met = self._news.wait_for(
                lambda: len(found()) >= count or self.process.poll() is not None, seconds
            )
        lines = found()
        told = f"no line matches {pattern!r}: {self.lines[-20:]} {self.errors[-20:]}"
        assert met, told
        assert len(lines) >= count, told
        return lines[count - 1]

    @property
    def port(self) -> int:
        """The port, once the service listens."""
        line = self.wait_for(r" serves .* on http://")
        return int(line.rsplit(":", 1)[1].rstrip("/"))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def wait(self, seconds: float = 20.0) -> int:
        """Wait for the end; return the exit code. All output has been read then."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return code

    async def ends(self, seconds: float = 20.0) -> int:
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
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

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
