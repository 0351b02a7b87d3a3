"""Whose line is it: 200 calls at once that write from every kind of place, each field checked.

ATTRIBUTION_CALLS sets the calls of each variant; 10,000 of them check over a million fields.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from tests.conftest import Serve
from tests.harness import Client, ServerProcess, request

CALLS = int(os.environ.get("ATTRIBUTION_CALLS", "200"))
AT_ONCE = 200
SENTENCES = 2
"""Lines that a call writes from each place."""

VARIANTS = [
    pytest.param("text", ("--loop", "uvloop"), id="text-uvloop"),
    pytest.param("json", ("--loop", "asyncio"), id="json-asyncio"),
    pytest.param("json", ("--loop", "uvloop"), id="json-uvloop", marks=pytest.mark.long),
    pytest.param("text", ("--loop", "asyncio"), id="text-asyncio", marks=pytest.mark.long),
    pytest.param("text", ("--workers", "2"), id="two-workers"),
]

PIPE = 1 << 20
"""Bytes that the log's pipe holds: on a busy machine its reader, our thread, may come late."""

QUIET = ("--stall-after", "0")
"""A machine that is busy otherwise may be slow enough for a line about it."""

PLACES = {
    "print": "STDOUT",
    "library": "WARNING",
    "to_thread": "STDOUT",
    "run_in_executor": "INFO",
    "pool": "STDOUT",
    "thread": "STDOUT",
    "stderr": "STDERR",
    "warnings": "STDERR",
    "task": "ERROR",
}
"""Each place that a call writes from, and the level of its lines."""

FUNCTION = """
    import asyncio, json, logging, random, sys, threading, time, warnings, zlib
    from concurrent.futures import ThreadPoolExecutor

    from service import current_context

    LETTERS = "abcdefghijklmnopqrstuvwxyz\u00e9\u6c34"
    library = logging.getLogger("some.library")
    shared = ThreadPoolExecutor(16)
    together = {"now": 0, "most": 0}
    lock = threading.Lock()

    class Work:
        # One call. What it must write is known from its event alone, never from the context.
        def __init__(self, event):
            self.call, self.sentences = event["call"], event["sentences"]
            self.seen = set()

        def line(self, place, number):
            context = current_context()
            self.seen.add((context.request_id, context.credentials.access_key_id))
            pad = "".join(random.choices(LETTERS, k=random.randrange(80)))
            text = f"call={self.call} place={place} n={number} pad={pad}"
            return f"{text} sum={zlib.crc32(text.encode()):08x}"

        def numbered(self, place):
            for number in range(self.sentences):
                time.sleep(random.random() * 0.004)
                yield self.line(place, number)

        async def turns(self, place):
            for number in range(self.sentences):
                await asyncio.sleep(random.random() * 0.004)
                yield self.line(place, number)

        def print(self, place):
            for line in self.numbered(place):
                print(*line.split(" "))

        def log(self, place):
            for line in self.numbered(place):
                library.info("%s", line)

        def thread(self, place):
            for line in self.numbered(place):
                half = random.randrange(len(line))
                sys.stdout.write(line[:half])
                time.sleep(random.random() * 0.002)
                sys.stdout.write(line[half:] + "\\n")

        def own_threads(self):
            thread = threading.Thread(target=self.thread, args=("thread",))
            thread.start()
            with ThreadPoolExecutor(2) as pool:
                pool.submit(self.print, "pool")
            thread.join()

        async def by_print(self):
            async for line in self.turns("print"):
                print(*line.split(" "))

        async def by_library(self):
            async for line in self.turns("library"):
                library.warning("%s", line)

        async def by_stderr(self):
            async for line in self.turns("stderr"):
                print(line, file=sys.stderr)

        async def by_warnings(self):
            async for line in self.turns("warnings"):
                warnings.warn(line)

        async def in_task(self):
            async for line in self.turns("task"):
                library.error(line)

        async def all(self):
            task = asyncio.create_task(self.in_task())
            threads = asyncio.get_running_loop().run_in_executor(None, self.own_threads)
            await asyncio.gather(
                self.by_print(), self.by_library(), self.by_stderr(), self.by_warnings(),
                asyncio.to_thread(self.print, "to_thread"),
                asyncio.get_running_loop().run_in_executor(shared, self.log, "run_in_executor"),
            )
            await threads
            await task

        def answer(self, context):
            self.seen.add((context.request_id, context.credentials.access_key_id))
            return {"call": self.call, "seen": sorted(self.seen), "most": together["most"]}

    def handler(event: dict, context):
        with lock:
            together["now"] += 1
            together["most"] = max(together.values())
        if event["gate"]:
            while together["most"] < event["gate"]:
                time.sleep(0.01)
        work = Work(event)
        if event["kind"] == "async":
            return on_the_loop(work, context)
        asyncio.run(work.all())
        together["now"] -= 1
        return work.answer(context)

    async def on_the_loop(work, context):
        await work.all()
        with lock:
            together["now"] -= 1
        return work.answer(context)
"""

TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) \[([A-Z]+)\] (.*)", re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
MARKER = re.compile(r"FC Invoke (Start|End) RequestId: (\S+)")
SENTENCE = re.compile(r"(call=(\S+) place=(\w+) n=(\d) pad=([a-z\u00e9\u6c34]*)) sum=([0-9a-f]{8})")
WARNED = re.compile(r"\S+/index\.py:\d+: UserWarning: (.*)")
WARNED_FROM = "  warnings.warn(line)"


@dataclass
class Tally:
    """What was read of one call's lines."""

    state: str = "announced"
    sentences: list[tuple[str, int]] = field(default_factory=list)
    sources: int = 0


@dataclass
class Reader:
    """Reads a log line by line, checks every field, and notes what is wrong."""

    log_format: str
    calls: dict[str, Tally]
    fields: int = 0
    wrong: list[str] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Check one line."""
        if marker := MARKER.fullmatch(line):
            self.fields += 2
            self._mark(line, *marker.groups())
            return
        for request_id, level, message in self._parts(line):
            if request_id == "-":
                self.wrong.append(f"nobody's: {line}")
            elif request_id not in self.calls:
                self.wrong.append(f"unknown call: {line}")
            elif not self._is_sentence(self.calls[request_id], request_id, level, message):
                self.wrong.append(f"mixed or torn: {line}")

    def _mark(self, line: str, kind: str, request_id: str) -> None:
        call = self.calls.get(request_id)
        before, after = {"Start": ("announced", "runs"), "End": ("runs", "over")}[kind]
        if call is None or call.state != before:
            self.wrong.append(f"marker out of place: {line}")
        else:
            call.state = after

    def _parts(self, line: str) -> Iterator[tuple[str, str, str]]:
        self.fields += 3
        if self.log_format == "json":
            entry = orjson.loads(line)
            names = {"time", "level", "logger", "requestId", "message"}
            if set(entry) != names or not TIME.fullmatch(entry["time"]):
                self.wrong.append(f"torn: {line}")
            for message in entry["message"].split("\n"):
                yield entry["requestId"], entry["level"], message
        elif match := TEXT.fullmatch(line):
            yield match[1], match[2], match[3]
        else:
            self.wrong.append(f"torn: {line}")

    def _is_sentence(self, call: Tally, request_id: str, level: str, message: str) -> bool:
        if call.state != "runs":
            self.wrong.append(f"early or late, the call is {call.state}: {message}")
        if message == WARNED_FROM:
            call.sources += 1
            return level == "STDERR"
        if warned := WARNED.fullmatch(message):
            message = warned[1]
        sentence = SENTENCE.fullmatch(message)
        if not sentence:
            return False
        text, writer, place, number, _pad, checksum = sentence.groups()
        self.fields += 5
        call.sentences.append((place, int(number)))
        return (
            writer == request_id
            and PLACES.get(place) == level
            and f"{zlib.crc32(text.encode()):08x}" == checksum
            and bool(warned) == (place == "warnings")
        )

    def lost(self) -> list[str]:
        """The calls of which not every line was read exactly once."""
        expected = sorted((place, number) for place in PLACES for number in range(SENTENCES))
        return [
            request_id
            for request_id, call in self.calls.items()
            if call.state != "over"
            or sorted(call.sentences) != expected
            or call.sources != SENTENCES
        ]


async def caller(client: Client, calls: list[str], gate: int, found: list[Any]) -> None:
    """Send calls on one connection until there are none left; note each answer that is not its
    own call's.
    """
    while calls:
        call = calls.pop()
        left = CALLS - len(calls)
        event = {
            "call": call,
            "kind": random.choice(("async", "sync")),
            "sentences": SENTENCES,
            "gate": gate if left <= AT_ONCE <= CALLS else 0,
        }
        headers = {"x_fc_access_key_id": f"key-of-{call}"}
        answer = await client.ask(request(orjson.dumps(event), request_id=call, **headers))
        value = answer.json()
        if (
            answer.headers["x-fc-request-id"] != call
            or value.get("call") != call
            or value["seen"] != [[call, f"key-of-{call}"]]
        ):
            found.append(value)


async def run_all(server: ServerProcess, calls: list[str], gate: int) -> list[Any]:
    """Send all calls, 200 at once; return the answers that are wrong. The first calls go on when
    `gate` of them are inside of the handler together.
    """
    wrong: list[Any] = []
    clients = []
    for _ in range(AT_ONCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        clients.append(Client(reader, writer))
    await asyncio.gather(*(caller(client, calls, gate, wrong) for client in clients))
    for client in clients:
        client.writer.close()
    return wrong


@pytest.mark.timeout(60 + CALLS / 20)
@pytest.mark.parametrize(("log_format", "flags"), VARIANTS)
async def test_every_field_of_every_line_is_its_own_calls(
    serve: Serve, log_format: str, flags: tuple[str, ...]
) -> None:
    """G1, G2: 200 calls at once, on the loop and in threads: no line is mixed, torn, lost or
    late.
    """
    server = serve(FUNCTION, "--concurrency", "200", "--log-format", log_format, *QUIET, *flags)
    assert server.process.stdout is not None
    fcntl.fcntl(server.process.stdout, fcntl.F_SETPIPE_SZ, PIPE)
    await server.ask(request(b"", path="/health", method="GET"))
    names = [f"{number:05d}-{random.getrandbits(64):016x}" for number in range(CALLS)]
    reader = Reader(log_format, {name: Tally() for name in names})
    wrong_answers = await run_all(server, names, 0 if "--workers" in flags else AT_ONCE)
    health = (await server.ask(request(b"", path="/health", method="GET"))).json()
    assert await asyncio.to_thread(server.stop) == 0
    served = next(n for n, line in enumerate(server.lines) if "stop     Ctrl-C" in line)
    stopped = next(n for n, line in enumerate(server.lines) if "SIGTERM: stopping" in line)
    for line in server.lines[served + 1 : stopped]:
        reader.read(line)
    print(f"{CALLS} calls, {reader.fields} fields, {len(reader.wrong)} wrong")  # noqa: T201
    assert wrong_answers == []
    assert reader.wrong == []
    assert reader.lost() == []
    assert health["logLinesLost"] == 0
    assert reader.fields >= 100 * CALLS
    assert server.errors == []
