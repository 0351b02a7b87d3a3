"""A debugger as the tests have one: a client of the Debug Adapter Protocol over its socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.emulator.play import WITHIN

Message = dict[str, Any]


class Debugger:
    """One session. Messages that nobody has asked for yet are kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sent = 0
        self._kept: list[Message] = []

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request; return its number."""
        self._sent += 1
        told = {"seq": self._sent, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(told).encode()
        self._writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return self._sent

    async def answer(self, number: int) -> Message:
        """Return what a request was answered."""
        found = await self._next(lambda each: each.get("request_seq") == number)
        assert found["success"], found
        body: Message = found.get("body") or {}
        return body

    async def ask(self, command: str, **arguments: Any) -> Message:
        """Send a request, and return what it was answered."""
        return await self.answer(self.send(command, **arguments))

    async def event(self, name: str) -> Message:
        """Wait for an event."""
        found = await self._next(lambda each: each.get("event") == name)
        body: Message = found.get("body") or {}
        return body

    async def attach(self, file: Path, line: int) -> None:
        """Begin to debug, with a breakpoint."""
        await self.ask("initialize", adapterID="debugpy", pathFormat="path")
        attached = self.send("attach", justMyCode=False)
        await self.event("initialized")
        source, place = {"path": str(file)}, {"line": line}
        found = await self.ask("setBreakpoints", source=source, breakpoints=[place])
        assert found["breakpoints"][0]["verified"], found
        await self.ask("configurationDone")
        await self.answer(attached)

    async def _next(self, wanted: Callable[[Message], bool]) -> Message:
        async with asyncio.timeout(WITHIN):
            while True:
                for place, each in enumerate(self._kept):
                    if wanted(each):
                        return self._kept.pop(place)
                self._kept.append(await self._read())

    async def _read(self) -> Message:
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = int(head.partition(b":")[2])
        told: Message = json.loads(await self._reader.readexactly(size))
        return told


@asynccontextmanager
async def debugging(port: int) -> AsyncIterator[Debugger]:
    """A debugger that is connected to a port of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Debugger(reader, writer)
    finally:
        writer.close()
