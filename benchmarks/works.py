"""What is measured: how each work is done, and what is asked of our figures."""

from __future__ import annotations

import hashlib
import operator
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from benchmarks import loads
from benchmarks.lineup import OURS, Contender
from benchmarks.servers import NotRun, Server, Stage

Figures = Mapping[str, float]
Medians = Mapping[str, Figures]
"""The median of each figure, by contender."""
Measure = Callable[[Stage, Contender, int], Figures]
"""Does the work once; its last argument is the seconds of a run of wrk."""

LARGE = 32 * loads.MB
BODIES = 4


# --- doing the work


def under_load(action: str, load: loads.Load, stage: Stage, contender: Contender) -> Figures:
    """Measure with wrk."""
    with stage.server(contender, action) as server:
        path = contender.url(action)
        loads.warm(server, path)
        figures = load.run(server, path, stage.folder)
        server.check_alive()
        return figures


def wrk(action: str, connections: int, least: float = 0.0) -> Measure:
    """Return what measures an action with so many connections."""

    def measure(stage: Stage, contender: Contender, seconds: int) -> Figures:
        return under_load(action, loads.Load(connections, seconds, least), stage, contender)

    return measure


def bodies(action: str, count: int) -> Measure:
    """Return what measures a process that gets so many large bodies at once, its first ones."""

    def measure(stage: Stage, contender: Contender, _: int) -> Figures:
        with stage.server(contender, action) as server:
            path = contender.url(action)
            loads.first_answer(server, path)
            time.sleep(0.1)  # what the start leaves behind
            server.forget_peak()
            before = server.resident()
            seconds, answers = loads.send_bodies(server.port, path, count, LARGE)
            growth = server.peak() - before
            for answer in answers:
                expect(answer, action, ("sha256", loads.digest(LARGE)), ("size", LARGE))
            return {"growth": growth / loads.MB, "seconds": seconds}

    return measure


def cold(stage: Stage, contender: Contender, _: int) -> Figures:
    """Measure from the start of the process to its first answer."""
    with stage.server(contender, "invoke") as server:
        loads.first_answer(server, contender.url("invoke"))
        return {"ms": (time.perf_counter() - server.began) * 1000}


def idle(stage: Stage, contender: Contender, _: int) -> Figures:
    """Measure the memory of all processes one second after an answer."""
    with stage.server(contender, "invoke") as server:
        loads.first_answer(server, contender.url("invoke"))
        time.sleep(1)
        server.check_alive()
        return {"mb": server.proportional() / loads.MB}


# --- that nobody skips work


def verify(stage: Stage, contender: Contender, action: str) -> None:
    """Raise NotRun unless the answer is right and both lines are out when it arrives."""
    identity = loads.request_id(0xC0FFEE)
    with stage.server(contender, action, log="own") as server:
        answer = loads.first_answer(server, contender.url(action), identity)
        expected = hashlib.sha256(loads.BODY).hexdigest()
        expect(answer, action, ("sha256", expected), ("size", len(loads.BODY)), identity)
        if contender.marks:
            _expect_marks(_written(server), identity)


def expect(
    answer: loads.Answer,
    action: str,
    streamed: tuple[str, object],
    read: tuple[str, object],
    identity: str = "",
) -> None:
    """Raise NotRun unless it is the answer that everybody gives."""
    if answer.status != 200:
        raise NotRun(f"answered {answer.status}: {answer.body[:200]!r}")
    identity = identity or answer.headers.get("x-fc-request-id", "")
    key, value = {"stream": streamed, "read": read}.get(action, ("count", loads.ITEMS))
    if answer.body != orjson.dumps({key: value, "requestId": identity}):
        raise NotRun(f"answered {answer.body[:200]!r}")
    if answer.headers.get("x-fc-request-id") != identity:
        raise NotRun("answered without x-fc-request-id")


def _expect_marks(written: bytes, identity: str) -> None:
    lines = written.decode(errors="replace").splitlines()
    for word in ("Start", "End"):
        if f"FC Invoke {word} RequestId: {identity}" not in lines:
            raise NotRun(f"the line `FC Invoke {word}` was not out before the answer")


def _written(server: Server) -> bytes:
    assert server.output is not None
    try:
        return os.read(server.output, 1 << 20)
    except BlockingIOError:
        return b""


# --- what is asked of our figures


@dataclass(frozen=True)
class Value:
    """A number worked out of the medians, and how it is said."""

    of: Callable[[Medians], float]
    said: str

    def find(self, medians: Medians) -> float | None:
        """Return the number, None where one of its contenders did not run."""
        try:
            return self.of(medians)
        except (KeyError, ZeroDivisionError):
            return None

    def say(self, medians: Medians) -> str:
        """Return the number in words, or nothing."""
        number = self.find(medians)
        return "" if number is None else self.said.format(number)


def ours(key: str, said: str, per: float = 1.0) -> Value:
    """Return our own figure, divided by a number."""
    return Value(lambda medians: medians[OURS][key] / per, said)


def times(key: str, other: str, said: str) -> Value:
    """Return our figure as a multiple of another contender's."""
    return Value(lambda medians: medians[OURS][key] / medians[other][key], said)


def above(key: str, other: str, said: str) -> Value:
    """Return our figure less another contender's."""
    return Value(lambda medians: medians[OURS][key] - medians[other][key], said)


@dataclass(frozen=True)
class Claim:
    """What a number must be."""

    text: str
    value: Value
    compare: Callable[[float, float], bool]
    bound: float

    def judge(self, medians: Medians) -> str:
        """Return `met`, `missed`, or that it cannot be said."""
        number = self.value.find(medians)
        if number is None:
            return "not judged"
        return "met" if self.compare(number, self.bound) else "missed"


at_least, at_most = operator.ge, operator.le
more_than, less_than = operator.gt, operator.lt


@dataclass(frozen=True)
class Column:
    """A figure of a work's table. The first column orders the table and has the ratios."""

    key: str
    title: str
    form: str


@dataclass(frozen=True)
class Work:
    """One thing that is measured."""

    name: str
    title: str
    action: str
    measure: Measure
    columns: tuple[Column, ...]
    baseline: str
    """The contender to which the table's ratios are."""
    rounds: int
    """Of a full run."""
    seconds: int = 1
    """Of one run of wrk, in a full run."""
    more_is_better: bool = False
    must: tuple[Claim, ...] = ()
    goal: tuple[Claim, ...] = ()
    note: str = ""


RPS = Column("rps", "requests/s", "{:,.0f}")
P50 = Column("p50", "p50 ms", "{:.3f}")
P99 = Column("p99", "p99 ms", "{:.1f}")
CORE = Column("core", "core used", "{:.0%}")
GROWTH = Column("growth", "peak growth MB", "{:.1f}")
SECONDS = Column("seconds", "seconds", "{:.3f}")

IDEAL = 200 / 0.05

_rps_starlette = times("rps", "starlette", "{:.2f} of Starlette")
_rps_granian = times("rps", "granian", "{:.2f} of granian")
_rps_limit = times("rps", "limit", "{:.2f} of the limit")
_p50_aiohttp = times("p50", "aiohttp", "{:.2f} of aiohttp's p50")
_share = ours("rps", "{:.3f} of the ideal", IDEAL)
_p99 = ours("p99", "p99 {:.1f} ms")
_growth = ours("growth", "{:.1f} MB")
_per_body = ours("growth", "{:.2f} times the body", LARGE / loads.MB)
_time_aiohttp = times("seconds", "aiohttp", "{:.2f} of aiohttp's time")
_cold_aiohttp = times("ms", "aiohttp", "{:.2f} of aiohttp")
_cold_fastapi = times("ms", "fastapi", "{:.2f} of FastAPI")
_idle = above("mb", "aiohttp", "{:+.1f} MB")

SMALL = Work(
    "small",
    "Small event, 100 connections, one core",
    "invoke",
    wrk("invoke", 100),
    (RPS, P50, P99, CORE),
    baseline=OURS,
    rounds=7,
    seconds=2,
    more_is_better=True,
    must=(
        Claim("ahead of Starlette on uvicorn", _rps_starlette, more_than, 1),
        Claim("0.45 of the limit", _rps_limit, at_least, 0.45),
    ),
    goal=(
        Claim("ahead of granian RSGI", _rps_granian, more_than, 1),
        Claim("0.6 of the limit", _rps_limit, at_least, 0.6),
    ),
    note="Where clearly less than the core was used, the load or another program was in the way.",
)
ONE = Work(
    "one",
    "Small event, 1 connection",
    "invoke",
    wrk("invoke", 1),
    (P50, P99, RPS, CORE),
    baseline=OURS,
    rounds=5,
    must=(Claim("within 10% of plain aiohttp", _p50_aiohttp, at_most, 1.1),),
    goal=(Claim("ahead of plain aiohttp", _p50_aiohttp, less_than, 1),),
)
WAIT = Work(
    "wait",
    "Handler awaits 50 ms, 200 connections",
    "wait",
    wrk("wait", 200, least=0.05),
    (RPS, P50, P99, CORE),
    baseline=OURS,
    rounds=3,
    seconds=8,
    more_is_better=True,
    must=(
        Claim("0.96 of the ideal 4,000/s", _share, at_least, 0.96),
        Claim("p99 60 ms", _p99, at_most, 60),
    ),
    goal=(Claim("0.98 of it", _share, at_least, 0.98), Claim("p99 55 ms", _p99, at_most, 55)),
    note="The ideal is 4,000 requests/s. The time counts from the first possible answer. All 200"
    " connections begin at once: in 8 s that first burst is under 1% of the calls.",
)
SYNC = Work(
    "sync",
    "Plain handler sleeps 50 ms, 200 connections",
    "sync",
    wrk("sync", 200, least=0.05),
    (RPS, P50, P99, CORE),
    baseline=OURS,
    rounds=3,
    seconds=3,
    more_is_better=True,
    must=(Claim("0.90 of the ideal 4,000/s", _share, at_least, 0.90),),
    goal=(Claim("0.96 of it", _share, at_least, 0.96),),
    note="The ideal is 4,000 requests/s. The time counts from the first possible answer.",
)
STREAM = Work(
    "stream",
    "4 bodies of 32 MB at once, hashed as they stream",
    "stream",
    bodies("stream", BODIES),
    (GROWTH, SECONDS),
    baseline=OURS,
    rounds=5,
    must=(
        Claim("8 MB", _growth, at_most, 8),
        Claim("aiohttp's time, within 5%", _time_aiohttp, at_most, 1.05),
    ),
    goal=(Claim("4 MB", _growth, at_most, 4),),
    note="Each in a fresh process that has answered one small event. MB are 2^20 bytes.",
)
READ = Work(
    "read",
    "One 32 MB body read whole",
    "read",
    bodies("read", 1),
    (GROWTH, SECONDS),
    baseline=OURS,
    rounds=3,
    must=(Claim("1.3 times the body", _per_body, at_most, 1.3),),
    goal=(Claim("1.05 times the body", _per_body, at_most, 1.05),),
    note="The first large body of a fresh process: what the allocator keeps is in the growth.",
)
COLD = Work(
    "cold",
    "Cold start: process start to the first answer",
    "invoke",
    cold,
    (Column("ms", "ms", "{:.0f}"),),
    baseline="aiohttp",
    rounds=7,
    must=(
        Claim("1.10 of aiohttp", _cold_aiohttp, at_most, 1.10),
        Claim("ahead of FastAPI", _cold_fastapi, less_than, 1),
    ),
    goal=(Claim("0.85 of aiohttp, level with Starlette", _cold_aiohttp, at_most, 0.85),),
    note="Byte code and files are in the cache: each was started before.",
)
IDLE = Work(
    "idle",
    "Idle memory, 1 s after one small event",
    "invoke",
    idle,
    (Column("mb", "MB", "{:.1f}"),),
    baseline="aiohttp",
    rounds=2,
    must=(Claim("8 MB above aiohttp", _idle, at_most, 8),),
    goal=(Claim("4 MB above aiohttp", _idle, at_most, 4),),
    note="PSS of all processes of the server.",
)
FEATURES = Work(
    "features",
    "The cost of features: variants of ours, 100 connections",
    "invoke",
    wrk("invoke", 100),
    (RPS, P50, P99, CORE),
    baseline=OURS,
    rounds=5,
    seconds=3,
    more_is_better=True,
)
WORKS = [SMALL, ONE, WAIT, SYNC, STREAM, READ, COLD, IDLE, FEATURES]
