"""The cases of `faults.py`: what each provokes, and the rows of the table that it fills.

Those about a stop, a freeze, workers, slow clients and large bodies are those of the tests
(`tests/system/figures.py`), run against every candidate.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import mutants
from benchmarks.candidates import SOURCES, Entry
from benchmarks.contenders.fields import NAMES
from tests.harness import Client, request
from tests.system import figures
from tests.system.instance import OURS, Candidate, Instance, started

LIVES_WITHIN = 1.0
"""Seconds in which a good request is answered after each hostile one."""

GRACE = 1.5
"""Seconds beyond its own timers until a server that says nothing counts as hanging."""

AT_ONCE = 400
"""Mutants that are sent at the same time."""


@dataclass(frozen=True)
class Scale:
    """How much of everything; `ours` is what is claimed, and what the others get is less where it
    would take the machine's memory or the reader's time.
    """

    freezes: int = 100
    freezes_of_others: int = 10
    mutants: int = 10_000
    slow: int = 1_000
    patience: float = 5.0
    bodies: int = 200
    bodies_of_others: int = 64
    calls: int = 50_000


QUICK = Scale(
    freezes=5,
    freezes_of_others=3,
    mutants=800,
    slow=300,
    bodies=32,
    bodies_of_others=16,
    calls=1_000,
)


@dataclass(frozen=True)
class Found:
    """One cell: how many of how many went wrong, and what else is to be said."""

    bad: int
    of: int
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One row of the table; `kind` is what its numbers count, and the sum that they go into."""

    name: str
    kind: str
    title: str


Cells = dict[str, Found]
"""What a case found, by the names of its rows."""


@dataclass(frozen=True)
class Case:
    """One kind of fault; `within` are the seconds after which it is given up."""

    name: str
    run: Callable[[Entry, Scale], Awaitable[Cells]]
    rows: tuple[Row, ...]
    within: float = 240.0


async def stop(entry: Entry, _scale: Scale) -> Cells:
    """SIGTERM meets 200 calls in their handlers, and 50 bodies that are half sent."""
    found = await figures.stopped(entry.candidate)
    runs_on = found["exit code"] is None
    ended = f"runs on after {figures.GIVEN_UP:g} s" if runs_on else f"ended in {found['seconds']} s"
    return {
        "stop": Found(found["lost in flight"], found["in flight"], ended),
        "half sent": Found(found["lost half sent"], found["half sent"]),
    }


async def freeze(entry: Entry, scale: Scale) -> Cells:
    """Freezes that are longer than the server's idle timer; its shortest one, to save time."""
    ours = entry.candidate is OURS
    times = scale.freezes if ours else scale.freezes_of_others
    found = await figures.frozen(entry.candidate, freezes=times, patience=entry.idle or 0.2)
    return {"freeze": Found(found["lost"], found["lost"] + found["answered"])}


async def leave(entry: Entry, _scale: Scale) -> Cells:
    """One of eleven calls ends with `sys.exit`."""
    found = await figures.exited(entry.candidate)
    lost = found["neighbours"] - found["served"]
    ended = "" if found["alive"] else "the server ended"
    return {
        "exit": Found(lost, found["neighbours"], ended),
        "leaver": Found(int(not found["exit answered"]), 1),
    }


async def kill(entry: Entry, _scale: Scale) -> Cells:
    """One of two workers stands still while 40 requests come in, and is killed."""
    found = await figures.killed(entry.candidate)
    return {"kill": Found(found["lost"], found["queued"])}


async def slow(entry: Entry, scale: Scale) -> Cells:
    """Heads that are never finished, beside good requests."""
    found = await figures.slowed(entry.candidate, slow=scale.slow, patience=scale.patience)
    open_still = found["slow"] - found["closed"]
    p99 = f"p99 {found['p99 alone ms']} to {found['p99 beside ms']} ms, {found['ratio']} times"
    return {
        "slow": Found(open_still, found["slow"]),
        "good": Found(found["good lost"], found["good asked"], p99),
    }


async def memory(entry: Entry, scale: Scale) -> Cells:
    """Bodies of 32 MiB, all at once."""
    bodies = scale.bodies if entry.candidate is OURS else scale.bodies_of_others
    found = await figures.loaded(entry.candidate, bodies=bodies)
    said = f"{found['peak over idle MiB']:,} MiB over idle for {bodies * 32:,} MiB offered"
    return {"memory": Found(bodies - found["answered"], bodies, said)}


# --- malformed input


async def malformed(entry: Entry, scale: Scale) -> Cells:
    """Requests that are not sound HTTP, with secrets in them."""
    patience = 1.0
    async with started(entry.candidate, patience=patience) as server:
        answers, silent, dead = await _provoked(
            server, mutants.requests(scale.mutants), patience + GRACE
        )
        # On a busy machine it may be we who were late: each is asked once more.
        more, hung, dead_again = await _provoked(server, iter(silent), patience + GRACE)
        answers |= more
        dead += dead_again
        dead += server.process.poll() is not None
        log = server.log()
    written = {*mutants.SECRET.findall(log.encode(errors="replace"))}
    leaked = answers | written
    told = f"{len(answers):,} in answers, {len(written):,} in the log" if leaked else ""
    return {
        "crash": Found(
            dead, -(-scale.mutants // AT_ONCE), f"{log.count('Traceback (most'):,} tracebacks"
        ),
        "hang": Found(len(hung), scale.mutants),
        "leak": Found(len(leaked), scale.mutants, told),
    }


async def _provoked(
    server: Instance, requests: Iterator[bytes], patience: float
) -> tuple[set[bytes], list[bytes], int]:
    """Return the secrets that answers had, the requests that hung, and how often a good one was not
    answered in time afterwards.
    """
    secrets: set[bytes] = set()
    hung: list[bytes] = []
    dead = 0
    while batch := list(itertools.islice(requests, AT_ONCE)):
        answers = await asyncio.gather(*(_sent(server, data, patience) for data in batch))
        hung += [data for data, answer in zip(batch, answers, strict=True) if answer is None]
        for answer in answers:
            secrets.update(mutants.SECRET.findall(answer or b""))
        dead += not await server.is_alive()
    return secrets, hung, dead


async def _sent(server: Instance, data: bytes, patience: float) -> bytes | None:
    """Return what is answered, b"" where the connection is closed; None where neither happens."""
    found = b""
    try:
        async with asyncio.timeout(patience), server.client() as client:
            await client.send(data)
            while not _is_whole(found):
                if not (more := await client.reader.read(65536)):
                    break
                found += more
    except TimeoutError:
        return found or None
    except ConnectionError:
        pass
    return found


def _is_whole(answer: bytes) -> bool:
    """Say whether an answer's body has arrived as well; without a length the end is waited for."""
    head, end, body = answer.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return bool(end) and len(body) >= int(line.partition(b":")[2])
    return False


# --- isolation

CALLERS = 200
LOOKS = 4


async def isolation(entry: Entry, scale: Scale) -> Cells:
    """Calls that run at once, each with context fields and an event of its own."""
    candidate = _which_looks(entry.candidate)
    kind = "mixed" if entry.candidate is OURS else "handler"
    numbers = iter(range(scale.calls))
    async with (
        started(candidate, kind=kind) as server,
        server.callers(CALLERS) as callers,
    ):
        counts = await asyncio.gather(*(_asked(caller.client, numbers) for caller in callers))
    mixed = sum(counts)
    return {"mixed": Found(mixed, scale.calls * LOOKS * len(NAMES))}


def _which_looks(candidate: Candidate) -> Candidate:
    files: dict[str, Path] = {**candidate.files, "index.py": SOURCES / "fields.py"}
    return dataclasses.replace(candidate, files=files)


async def _asked(client: Client, numbers: Iterator[int]) -> int:
    """Send call after call; return how many fields were not the call's own."""
    mixed = 0
    for number in numbers:
        values = [f"{number:06d}-{name[-12:]}" for name in NAMES]
        fields = dict(zip(NAMES, values, strict=True))
        answer = await client.ask(request(b"%06d" % number, **fields))
        event, *looks = json.loads(answer.body)
        mixed += (event != f"{number:06d}") * LOOKS * len(NAMES)
        mixed += sum(
            seen != sent for look in looks for seen, sent in zip(look, values, strict=True)
        )
    return mixed


CASES = [
    Case(
        "stop",
        stop,
        (
            Row("stop", "lost", "SIGTERM: calls in their handlers"),
            Row("half sent", "lost", "SIGTERM: bodies half sent"),
        ),
    ),
    Case("freeze", freeze, (Row("freeze", "lost", "freezes of 200 warm connections: requests"),)),
    Case(
        "exit",
        leave,
        (
            Row("exit", "lost", "`sys.exit` in a handler: its neighbours"),
            Row("leaver", "lost", "`sys.exit` in a handler: its own caller"),
        ),
    ),
    Case("kill", kill, (Row("kill", "lost", "a stalled worker is killed: its queue"),)),
    Case(
        "malformed",
        malformed,
        (
            Row("crash", "hung", "mutants: good requests unanswered"),
            Row("hang", "hung", "mutants: neither answered nor closed"),
            Row("leak", "leaked", "mutants: secrets in answers or in the log"),
        ),
        within=900,
    ),
    Case(
        "slow",
        slow,
        (
            Row("slow", "hung", "heads that never end: not closed at the deadline"),
            Row("good", "lost", "good requests beside them"),
        ),
    ),
    Case("memory", memory, (Row("memory", "lost", "bodies of 32 MiB at once"),)),
    Case(
        "isolation",
        isolation,
        (Row("mixed", "mixed", "context fields of 200 calls at once"),),
        within=900,
    ),
]
