"""What the console's tests are made of: a source that shows what a test says, and a page that reads
what it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from service.console.access import ConsoleAccess
from service.console.entry import CallEntry, CallTimes
from service.console.history import CallHistory
from service.console.second_figures import SecondFigures
from service.console.server import ConsoleServer
from service.console.source import ConsoleOperation, PageRow
from service.origins import OwnHosts
from tests.harness import ANSWERS_WITHIN

TOKEN = "a-token-of-the-tests"
CHANGES = {"X-Console": "1"}


class PlainSource:
    """One function, one instance, and whatever a test adds."""

    def __init__(self) -> None:
        self.history = CallHistory(lambda: self.wake())
        self.figures = SecondFigures()
        self.rows: dict[str, list[PageRow]] = {"instances": [], "tasks": [], "marks": []}
        self.operations: Mapping[str, ConsoleOperation] = {"send": self._send, "again": self._again}
        self.sent: list[Mapping[str, Any]] = []
        self.broken = False
        self.told_faults: PageRow = {}

    def wake(self) -> None:
        """Set by a server."""

    def about(self) -> PageRow:
        return {"source": "test", "offers": ["send"]}

    def functions(self) -> Sequence[PageRow]:
        if self.broken:
            raise RuntimeError("no functions today")
        return [{"name": "fn", "in_flight": self.figures.in_flight["fn"]}]

    def instances(self) -> Sequence[PageRow]:
        return self.rows["instances"]

    def counts(self) -> Mapping[str, tuple[int, int]]:
        return {"fn": (len(self.rows["instances"]), 0)}

    def tasks(self) -> Sequence[PageRow]:
        return self.rows["tasks"]

    def faults(self) -> PageRow:
        return self.told_faults

    def marks(self) -> Sequence[PageRow]:
        return self.rows["marks"]

    def detail(self, entry: CallEntry) -> PageRow:
        return {"headers": {"x-fc-function-name": entry.function}}

    def copied(self, entry: CallEntry, form: str) -> str:
        return f"{form} {entry.id}"

    async def _send(self, fields: Mapping[str, Any]) -> PageRow:
        self.sent.append(fields)
        return {"ids": ["1-a"]}

    async def _again(self, fields: Mapping[str, Any]) -> PageRow:
        self.sent.append(fields)
        return {"ids": ["1-b"]}

    def call(self, request_id: str, event: bytes = b"{}", result: bytes = b"1") -> CallEntry:
        """Note a call that has ended."""
        entry = self.history.begin(request_id, "fn", "sync", event)
        entry.status, entry.code = "ok", 200
        entry.times = CallTimes(0.001, 0.0, 0.0, 0.25)
        self.history.end(entry, result)
        return entry


class Page:
    """An open page: what it was told is in `events`, what it asks for is JSON."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def get(self, path: str, **parameters: str) -> Any:
        async with self.session.get(self.url + path, params=parameters) as response:
            assert response.status == 200, await response.text()
            return orjson.loads(await response.read())

    async def post(self, path: str, **fields: Any) -> Any:
        async with self.session.post(self.url + path, json=fields, headers=CHANGES) as response:
            assert response.status == 200, await response.text()
            return orjson.loads(await response.read())

    async def refusal(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        """The status and the error that a request is answered with."""
        options = {"headers": CHANGES} | options
        async with self.session.request(method, self.url + path, **options) as response:
            assert response.status >= 400, await response.text()
            return response.status, orjson.loads(await response.read())["error"]

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Stream]:
        """The stream of changes."""
        async with self.session.get(f"{self.url}/events") as response:
            assert response.status == 200
            yield Stream(response)


class Stream:
    """Reads events one by one."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self._read = b""

    async def next(self) -> tuple[str, Any]:
        """The next event's kind and what it says."""
        kind, number = "", ""
        async with asyncio.timeout(ANSWERS_WITHIN):
            while True:
                name, _, value = (await self._line()).partition(": ")
                if name == "event":
                    kind = value
                elif name == "id":
                    number = value
                elif name == "data":
                    assert number.isdigit()
                    return kind, orjson.loads(value)

    async def until(self, name: str, **fields: Any) -> Any:
        """The first row of a kind that has these fields, in what is told from now on."""
        while True:
            _, told = await self.next()
            for row in told.get(name, ()):
                if fields.items() <= row.items():
                    return row

    async def _line(self) -> str:
        while b"\n" not in self._read:  # a line may be longer than what the reader takes at once
            part = await self.response.content.readany()
            assert part, "the stream has ended"
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()


@asynccontextmanager
async def served(source: PlainSource, port: int = 0) -> AsyncIterator[ConsoleServer]:
    """A console on a port of its own."""
    server = ConsoleServer(source, ConsoleAccess(TOKEN, OwnHosts()), "1.2.3")
    source.wake = server.hub.wake  # type: ignore[method-assign]
    await server.start("127.0.0.1", port)
    try:
        yield server
    finally:
        async with asyncio.timeout(ANSWERS_WITHIN):
            await server.stop()


@asynccontextmanager
async def opened(url: str, token: str = TOKEN) -> AsyncIterator[Page]:
    """A browser that has opened the console by its address."""
    jar = aiohttp.CookieJar(unsafe=True)  # which keeps cookies of addresses, too
    async with aiohttp.ClientSession(cookie_jar=jar, read_bufsize=64 * 1024) as session:
        async with session.get(f"{url}/", params={"token": token}) as response:
            assert response.status == 200
        yield Page(session, url)
