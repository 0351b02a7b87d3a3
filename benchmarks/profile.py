"""Where the microseconds of a small event go, from its bytes to its answer's, as a table and a
flame graph.

`make profile` runs this. It calls the service's own connections in this process, 100 at once, with
no sockets between: what the kernel and the loop take comes on top.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import aiohttp

import service
from benchmarks.inside import EVENT, Nowhere, Work, ours
from service.calls.left_behind import task_factory
from service.process.loop import new_loop
from service.profiling.flame import Stack, draw

CONNECTIONS = 100
EVERY = 0.001
"""Seconds of CPU time between two looks at the stack."""

PARTS = {
    "aiohttp's parser": ("http/parser", "_url", "aiohttp/streams", "aiohttp/helpers"),
    "aiohttp's request and application": ("aiohttp/",),
    "the handler, with parsing its JSON": ("inside",),
    "decoding, encoding": ("calls/decode", "calls/encode"),
    "answer": ("http/answers",),
    "contract, middlewares": ("http/middleware", "http/routes", "protocol"),
    "connection: bytes, order, in flight": ("http/", "calls/lifecycle"),
    "context": ("context/",),
    "marker lines": ("logs/",),
    "slot, deadline, tasks": ("app", "calls/"),
}
"""The parts of a call, each with the begin of its modules' names; the first that fits counts."""

SERVICE = Path(service.__file__).parent
AIOHTTP = Path(aiohttp.__file__).parent


def module_of(file: Path) -> str:
    """Return a file's name as PARTS has it: the service's with its wing, and aiohttp's."""
    if file.is_relative_to(SERVICE):
        return str(file.relative_to(SERVICE).with_suffix(""))
    if file.is_relative_to(AIOHTTP):
        return f"aiohttp/{file.stem}"
    return file.stem


def part_of(module: str) -> str:
    """Return the part that a module's time counts for."""
    fits = (part for part, begins in PARTS.items() if module.startswith(begins))
    return next(fits, "other")


async def sample(seconds: float) -> tuple[Counter[Stack], float]:
    """Return the stacks that were seen, how often, and the seconds of CPU time of an event."""
    served = await ours(Work(in_flight=CONNECTIONS))
    for connection in served:
        connection.connection_made(Nowhere())
    seen: Counter[tuple[tuple[str, str], ...]] = Counter()

    def look(_number: int, frame: FrameType | None) -> None:
        places = []
        while frame is not None:
            places.append((frame.f_code.co_filename, frame.f_code.co_qualname))
            frame = frame.f_back
        seen[tuple(places)] += 1

    async def serve(until: float) -> int:
        count = 0
        while time.process_time() < until:
            for connection in served:
                connection.data_received(EVENT)
            await asyncio.sleep(0)
            count += CONNECTIONS
        return count

    await serve(time.process_time() + 0.5)
    signal.signal(signal.SIGPROF, look)
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    try:
        count = await serve(began + seconds)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    each = (time.process_time() - began) / count
    stacks: Counter[Stack] = Counter()
    for places, times in seen.items():
        stacks[tuple(f"{module_of(Path(file))}.{name}" for file, name in reversed(places))] += times
    return stacks, each


def table(stacks: Counter[Stack], each: float) -> str:
    """Return the microseconds of each part: of the innermost function's file."""
    spent: Counter[str] = Counter()
    for stack, times in stacks.items():
        spent[part_of(stack[-1].partition(".")[0])] += times
    total = sum(spent.values())
    lines = ["| part | µs | |", "| --- | ---: | ---: |"]
    for part, times in spent.most_common():
        share = times / total
        lines.append(f"| {part} | {share * each * 1e6:.1f} | {share:.0%} |")
    lines.append(f"| all | {each * 1e6:.1f} | |")
    return "\n".join(lines)


def is_ours(frame: str) -> bool:
    """Return whether a frame is of the service's code."""
    return (SERVICE / f"{frame.partition('.')[0]}.py").exists()


def below(stacks: Counter[Stack], name: str) -> Counter[Stack]:
    """Return the stacks from the function `name` on."""
    found: Counter[Stack] = Counter()
    for stack, times in stacks.items():
        if name in stack:
            found[stack[stack.index(name) :]] += times
    return found


def main() -> int:
    """Profile, print the table, write the flame graph."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of CPU time [10]")
    parser.add_argument("--flame", type=Path, default=Path("reports/bench/flame.svg"))
    options = parser.parse_args()
    loop = new_loop("auto")
    loop.set_task_factory(task_factory)
    stacks, each = loop.run_until_complete(sample(options.seconds))
    served = below(stacks, "profile.sample.<locals>.serve")
    print(f"{sum(served.values()):,} looks\n\n{table(served, each)}\n")
    options.flame.parent.mkdir(parents=True, exist_ok=True)
    options.flame.write_text(draw(served, is_ours), encoding="utf-8")
    print(options.flame)
    return 0


if __name__ == "__main__":
    sys.exit(main())
