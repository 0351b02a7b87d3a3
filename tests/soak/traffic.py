"""What the soak sends: calls of all sizes, errors, time-outs, and clients that leave."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.harness import Answer, Client, request

KIB = 1024
SIZES = {
    (0, 1): 8,
    (1, KIB): 50,
    (KIB, 16 * KIB): 34,
    (16 * KIB, 256 * KIB): 7,
    (256 * KIB, 4096 * KIB): 1,
}
"""Bytes of an event, from and to, and how often of a hundred."""

PIECES = random.Random(1).randbytes(4096 * KIB)
CHUNK = 32 * KIB
KINDS = {"whole": 40, "streamed": 20, "echo": 15, "slow": 10, "prints": 10, "thread": 5}
ERRORS = 0.05
DISCONNECTS = 0.05
TIMEOUTS = 0.002


@dataclass
class Tally:
    """What was sent and what came back."""

    calls: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def note(self, kind: str, why: str = "") -> None:
        """Count a call; `why` says what was not as it should be."""
        self.calls += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if why:
            self.wrong.append(f"{kind}: {why}")


def event(choose: random.Random) -> bytes:
    """An event of some size."""
    least, most = choose.choices(list(SIZES), list(SIZES.values()))[0]
    size = choose.randrange(least, most)
    at = choose.randrange(len(PIECES) - size)
    return PIECES[at : at + size]


def chunked(what: str, body: bytes) -> bytes:
    """A call whose body comes in chunks."""
    head = request(b"", Content_Length="", Transfer_Encoding="chunked", x_fc_function_name=what)
    parts = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


BAD_CHUNK = chunked("whole", b"abc").replace(b"3\r\n", b"z\r\n")
MALFORMED = request(x_fc_security_token="a\x01b")
TOO_LARGE = request(Content_Length="40000000")

METHODS = ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND")

FAULTS: dict[str, tuple[Callable[[random.Random], bytes], int, str]] = {
    "raises": (
        lambda choose: request(event(choose), x_fc_function_name="raises"),
        404,
        "ValueError",
    ),
    "cancelled": (lambda _: request(x_fc_function_name="cancelled"), 404, "CancelledError"),
    "path": (lambda choose: request(path=f"/a/{choose.random()}"), 404, "NotFound"),
    "method": (lambda choose: request(method=choose.choice(METHODS)), 405, "MethodNotAllowed"),
    "ambiguous": (lambda _: request(Host="a b"), 400, "BadRequest"),
    "malformed": (lambda _: MALFORMED, 400, "BadRequest"),
    "chunk": (lambda _: BAD_CHUNK, 400, "BadRequest"),
    "too-large": (lambda _: TOO_LARGE, 413, "PayloadTooLarge"),
}
"""What goes wrong: the request, the status, and the error's type."""


def hanging(request_id: str) -> bytes:
    """A call that never ends by itself."""
    return request(request_id=request_id, x_fc_function_name="hangs", x_fc_function_timeout="0.4")


def released(request_id: str) -> bytes:
    """The call that gives the thread back which one that hangs still holds."""
    return request(request_id.encode(), x_fc_function_name="release")


class Caller:
    """One client: a connection that is made anew when it has ended, and its calls; between two of
    them it pauses for so many seconds.
    """

    def __init__(self, port: int, seed: int, tally: Tally, pause: float = 0.0) -> None:
        self._port = port
        self._pause = pause
        self._name = f"caller-{seed}"
        self._choose = random.Random(seed)
        self._tally = tally
        self._client: Client | None = None

    async def calls(self, until: float) -> None:
        """Make calls, one after the other, until the loop's clock says so."""
        clock = asyncio.get_running_loop().time
        while clock() < until:
            await self.call()
            await asyncio.sleep(self._pause)

    async def warm_up(self) -> None:
        """Make a call of each kind with the largest event, and one with a small one."""
        for what in KINDS:
            for body in (PIECES, b""):
                await self.ask(request(body, x_fc_function_name=what))

    async def call(self) -> None:
        """Make a call of some kind."""
        kind = self._choose.random()
        if kind < ERRORS:
            await self.fault(self._choose.choice(list(FAULTS)))
        elif kind < ERRORS + DISCONNECTS:
            await self.vanish()
        elif kind < ERRORS + DISCONNECTS + TIMEOUTS:
            await self.times_out()
        else:
            await self.good()

    async def good(self) -> None:
        """A call that succeeds: the answer has the event's size and sum, or is the event."""
        what = self._choose.choices(list(KINDS), list(KINDS.values()))[0]
        body = event(self._choose)
        in_chunks = what == "streamed" and self._choose.random() < 0.5
        data = chunked(what, body) if in_chunks else request(body, x_fc_function_name=what)
        answer = await self.ask(data)
        if isinstance(answer, str) or answer.status != 200:
            self._tally.note(what, str(answer))
        elif what == "echo":
            self._tally.note(what, "" if answer.body == body else "another body")
        else:
            same = answer.json() == {"size": len(body), "sum": zlib.crc32(body)}
            self._tally.note(what, "" if same else f"another sum: {answer}")

    async def fault(self, name: str) -> None:
        """A call that fails, as it should."""
        make, status, code = FAULTS[name]
        answer = await self.ask(make(self._choose))
        found = isinstance(answer, Answer) and answer.status == status
        told = isinstance(answer, Answer) and answer.json()["errorType"] == code
        self._tally.note(name, "" if found and told else str(answer))

    async def times_out(self) -> None:
        """A call that takes longer than its time; its thread comes back once it is answered."""
        name = f"{self._name}-{self._tally.calls}"
        answer = await self.ask(hanging(name))
        told = isinstance(answer, Answer) and answer.json()["errorType"] == "FunctionTimeout"
        await self.ask(released(name))
        self._tally.note("times out", "" if told else str(answer))

    async def vanish(self) -> None:
        """Send a part of a call or all of it, and leave."""
        data = request(event(self._choose), x_fc_function_name="slow")
        client = await self.connected()
        with suppress(ConnectionError):
            await client.send(data[: self._choose.randrange(1, len(data) + 1)])
        await self.leave()
        self._tally.note("vanishes")

    async def ask(self, data: bytes) -> Answer | str:
        """Send a request; return its answer, or what happened instead."""
        client = await self.connected()
        try:
            answer = await client.ask(data)
        except (OSError, EOFError, TimeoutError) as reason:
            await self.leave()
            return f"{type(reason).__name__}: {reason}"
        if answer.closes:
            await self.leave()
        return answer

    async def connected(self) -> Client:
        """The connection, made when there is none."""
        if self._client is None:
            opened = await asyncio.open_connection("127.0.0.1", self._port)
            self._client = Client(*opened)
        return self._client

    async def leave(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.writer.close()
            with suppress(OSError):
                await client.writer.wait_closed()
