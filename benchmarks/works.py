"""What is measured, and what is asked of our figures."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import loads
from benchmarks.claims import (
    Claim,
    above,
    at_least,
    at_most,
    less_than,
    more_than,
    ours,
    times,
)
from benchmarks.lineup import NEWER, OLDER, OURS
from benchmarks.measures import (
    BODIES,
    LARGE,
    Measure,
    bodies,
    cold,
    idle,
    program,
    wrk,
)


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
    """Of a full run, for ours and those that a claim compares it with."""
    others: int = 3
    """The rounds of the others, at most."""
    seconds: int = 1
    """Of one run of wrk, in a full run."""
    more_is_better: bool = False
    must: tuple[Claim, ...] = ()
    goal: tuple[Claim, ...] = ()
    note: str = ""
    checked: bool = True
    """Whether its contenders are servers, which are asked first if they do the whole work."""

    def compared(self) -> frozenset[str]:
        """Return the names of those whose figures its claims need."""
        claims = (*self.must, *self.goal)
        return frozenset({OURS, *(name for claim in claims for name in claim.value.contenders)})


RPS = Column("rps", "requests/s", "{:,.0f}")
P50 = Column("p50", "p50 ms", "{:.3f}")
P99 = Column("p99", "p99 ms", "{:.1f}")
CORE = Column("core", "core used", "{:.0%}")
CPU = Column("cpu", "CPU µs a call", "{:.0f}")
GROWTH = Column("growth", "peak growth MB", "{:.1f}")
SECONDS = Column("seconds", "seconds", "{:.3f}")

IDEAL = 200 / 0.05

_rps_starlette = times("rps", "starlette", "{:.2f} of Starlette")
_rps_granian = times("rps", "granian", "{:.2f} of granian")
_rps_limit = times("rps", "limit", "{:.2f} of the limit")
_p50_aiohttp = times("p50", "aiohttp", "{:.2f} of aiohttp's p50")
_share = ours("rps", "{:.3f} of the ideal", IDEAL)
_p99 = ours("p99", "p99 {:.1f} ms")
_cpu = ours("cpu", "CPU time {:.0f} µs a call")
_growth = ours("growth", "{:.1f} MB")
_per_body = ours("growth", "{:.2f} times the body", LARGE / loads.MB)
_time_aiohttp = times("seconds", "aiohttp", "{:.2f} of aiohttp's time")
_cold_aiohttp = times("ms", "aiohttp", "{:.2f} of aiohttp")
_cold_starlette = times("ms", "starlette", "{:.2f} of Starlette")
_old = times("us", f"{OURS}@{NEWER}", f"{{:.2f}} of {NEWER}'s time", f"{OURS}@{OLDER}")
_workers = ours("ratio", "{:.2f} of one worker")
_passed = ours("rps", "{:,.0f} calls/s")
_added = ours("added", "p50 {:.2f} ms longer")
_typed = ours("ratio", "{:.2f} of it by hand")
_idle = above("mb", "aiohttp", "{:+.1f} MB of aiohttp's")

SMALL = Work(
    "small",
    "Small event, 100 connections, one core",
    "invoke",
    wrk("invoke", 100),
    (RPS, P50, P99, CORE, CPU),
    baseline=OURS,
    rounds=7,
    seconds=2,
    more_is_better=True,
    must=(
        Claim("ahead of Starlette on uvicorn", _rps_starlette, more_than, 1),
        Claim("0.56 of the limit", _rps_limit, at_least, 0.56),
        Claim("0.75 of granian RSGI", _rps_granian, at_least, 0.75),
    ),
    goal=(
        Claim("0.65 of the limit", _rps_limit, at_least, 0.65),
        Claim("level with granian RSGI", _rps_granian, at_least, 1),
    ),
    note="Where clearly less than the core was used, the load or another program was in the way.",
)
ONE = Work(
    "one",
    "Small event, 1 connection",
    "invoke",
    wrk("invoke", 1),
    (P50, P99, RPS, CORE, CPU),
    baseline=OURS,
    rounds=5,
    must=(Claim("0.92 of plain aiohttp", _p50_aiohttp, at_most, 0.92),),
    goal=(Claim("0.85 of it", _p50_aiohttp, at_most, 0.85),),
)
WAIT = Work(
    "wait",
    "Handler awaits 50 ms, 200 connections",
    "wait",
    wrk("wait", 200, least=0.05),
    (RPS, P50, P99, CORE, CPU),
    baseline=OURS,
    rounds=3,
    seconds=8,
    more_is_better=True,
    must=(
        Claim("CPU time 120 µs a call", _cpu, at_most, 120),
        Claim("0.98 of the ideal 4,000/s", _share, at_least, 0.98),
        Claim("p99 55 ms", _p99, at_most, 55),
    ),
    goal=(
        Claim("CPU time 90 µs", _cpu, at_most, 90),
        Claim("0.985 of the ideal", _share, at_least, 0.985),
        Claim("p99 53 ms", _p99, at_most, 53),
    ),
    note="The ideal is 4,000 requests/s. The time counts from the first possible answer. All 200"
    " connections begin at once: in 8 s that first burst is under 1% of the calls.",
)
SYNC = Work(
    "sync",
    "Plain handler sleeps 50 ms, 200 connections",
    "sync",
    wrk("sync", 200, least=0.05),
    (RPS, P50, P99, CORE, CPU),
    baseline=OURS,
    rounds=3,
    seconds=3,
    more_is_better=True,
    must=(
        Claim("0.96 of the ideal 4,000/s", _share, at_least, 0.96),
        Claim("CPU time 200 µs a call", _cpu, at_most, 200),
    ),
    goal=(
        Claim("0.98 of the ideal", _share, at_least, 0.98),
        Claim("CPU time 160 µs", _cpu, at_most, 160),
    ),
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
    rounds=15,
    must=(Claim("0.80 of plain aiohttp", _cold_aiohttp, at_most, 0.80),),
    goal=(
        Claim("0.65 of it", _cold_aiohttp, at_most, 0.65),
        Claim("ahead of Starlette on uvicorn", _cold_starlette, less_than, 1),
    ),
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
    must=(Claim("1 MB below plain aiohttp", _idle, at_most, -1),),
    goal=(Claim("4 MB below it", _idle, at_most, -4),),
    note="PSS of all processes of the server.",
)
OLD = Work(
    "old",
    f"The same event in process, Python {OLDER} beside {NEWER}",
    "invoke",
    program("benchmarks.inside", "ours", "small event"),
    (Column("us", "CPU µs a call", "{:.1f}"),),
    baseline=f"{OURS}@{NEWER}",
    rounds=5,
    must=(Claim(f"1.3 of {NEWER}'s time", _old, at_most, 1.3),),
    goal=(Claim(f"1.15 of {NEWER}'s time", _old, at_most, 1.15),),
    note="From the event's bytes to its answer's, 100 at once, with no socket between.",
    checked=False,
)
WORKERS = Work(
    "workers",
    "Two workers on CPU-bound work",
    "invoke",
    program("benchmarks.workers", "--figures", "--rounds", "3", "--seconds", alone=False),
    (
        Column("ratio", "of one worker", "{:.2f}"),
        Column("bare", "two bare processes, of one", "{:.2f}"),
        Column("two", "calls/s", "{:.0f}"),
    ),
    baseline=OURS,
    rounds=3,
    seconds=2,
    more_is_better=True,
    must=(Claim("1.85 of one worker", _workers, at_least, 1.85),),
    goal=(Claim("1.95 of one worker", _workers, at_least, 1.95),),
    note="A handler that computes for 10 ms; the load shares the two cores. Bare processes show"
    " what the machine has to give.",
    checked=False,
)
EMULATOR = Work(
    "emulator",
    "Through the emulator, 100 calls in flight",
    "invoke",
    program("benchmarks.emulator", "--figures", "--rounds", "1", "--seconds", alone=False),
    (
        Column("rps", "calls/s on one core", "{:,.0f}"),
        Column("added", "added p50 ms", "{:.2f}"),
        Column("own", "its CPU ms a call", "{:.2f}"),
    ),
    baseline=OURS,
    rounds=3,
    seconds=2,
    more_is_better=True,
    must=(
        Claim("8,000 calls/s", _passed, at_least, 8000),
        Claim("p50 1.0 ms longer", _added, at_most, 1.0),
    ),
    goal=(
        Claim("12,000 calls/s", _passed, at_least, 12_000),
        Claim("p50 0.5 ms longer", _added, at_most, 0.5),
    ),
    note="Calls that the emulator passes on; and how much longer a call of 50 ms takes through it.",
    checked=False,
)
TYPED = Work(
    "typed",
    "Typed `OssEvent`, decoded, and one field of it",
    "invoke",
    program("benchmarks.typed_event", "--figures", "--rounds", timed="21"),
    (
        Column("ratio", "of `orjson.loads` and by hand", "{:.2f}"),
        Column("typed", "µs", "{:.2f}"),
        Column("hand", "µs by hand", "{:.2f}"),
    ),
    baseline=OURS,
    rounds=5,
    must=(Claim("1.0 of orjson.loads and the same field by hand", _typed, at_most, 1.0),),
    goal=(Claim("0.7 of it", _typed, at_most, 0.7),),
    checked=False,
)
FEATURES = Work(
    "features",
    "The cost of features: variants of ours, 100 connections",
    "invoke",
    wrk("invoke", 100),
    (RPS, P50, P99, CORE, CPU),
    baseline=OURS,
    rounds=5,
    seconds=2,
    more_is_better=True,
)
WORKS = [SMALL, ONE, WAIT, SYNC, STREAM, READ, COLD, IDLE, OLD, WORKERS, EMULATOR, TYPED, FEATURES]
