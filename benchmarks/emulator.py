"""What the emulator itself costs: `make bench-emulator`.

The same function is called directly and through the emulator's API, in turns. The emulator has one
core for itself; the function's instance and `wrk` have the other one in both cases. Each is called
for a second before: no figure has the start of an instance in it, nor the first reading of what
requests say. Medians of the rounds. Loopback only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.loads import Load, first_answer, headers, wrk_is_missing
from benchmarks.servers import Server, cores

CONNECTIONS = 100
WAIT = 0.05
STARTS_WITHIN = 60.0
FUNCTION = f"""
import asyncio

async def small(event, context):
    return b"{{}}"

async def waiting(event, context):
    await asyncio.sleep({WAIT:g})
    return b"{{}}"
"""
MUST_ADD, MUST_SERVE = 1.0, 8000
"""Milliseconds of work that a call may cost at most; calls a second that must be passed on."""


@dataclass(frozen=True)
class Way:
    """How the function is called: a server, the path, and what its server computed so far."""

    name: str
    server: Server
    path: str


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table; 1 where less is reached than must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each [5]")
    parser.add_argument("--seconds", type=int, default=4, help="of one round [4]")
    parser.add_argument("--figures", action="store_true", help="print JSON for `make bench`")
    options = parser.parse_args(arguments)
    if why := wrk_is_missing():
        print(why, file=sys.stderr)
        return 2
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-emulator-") as name:
        folder = Path(name)
        (folder / "index.py").write_text(FUNCTION)
        with started(folder, "small") as small, started(folder, "waiting") as waiting:
            ways = {"small": small, "waiting": waiting}
            for number in range(options.rounds + 1):
                for work, pair in ways.items():
                    for way in pair:
                        told = f"round {number} of {options.rounds}" if number else "before"
                        print(f"{told}  {work}  {way.name}", file=sys.stderr)
                        least = WAIT if work == "waiting" else 0.0
                        load = Load(CONNECTIONS, options.seconds if number else 1, least)
                        figures = load.run(way.server, way.path, folder)
                        if number:
                            found.setdefault((work, way.name), []).append(figures)
    medians = {key: _median(rounds) for key, rounds in found.items()}
    if not options.figures:
        print(*_table(medians), sep="\n")
    own = max(_cost(medians[work, "emulator"]) for work in ("small", "waiting")) / 1000
    added = medians["waiting", "emulator"]["p50"] - medians["waiting", "direct"]["p50"]
    served = medians["small", "emulator"]["rps"]
    if options.figures:
        print(json.dumps({"rps": served, "added": added, "own": own}))
        return 0
    refused = sum(figures["faults"] for figures in medians.values())
    met = own < MUST_ADD and served > MUST_SERVE and not refused
    print(
        f"\nThe emulator's own work, {CONNECTIONS} calls in flight: {own:.2f} ms a call"
        f" (must: under {MUST_ADD:g}).\nCalls a second on one core: {served:,.0f}"
        f" (must: over {MUST_SERVE:,}).\n{'Met.' if met else 'MISSED.'}"
        f" A caller waits {added:.2f} ms longer for a call of {WAIT * 1000:.0f} ms,"
        " wrk and the instance being on the other core."
    )
    return 0 if met else 1


@contextmanager
def started(folder: Path, handler: str) -> Iterator[tuple[Way, Way]]:
    """A service to be called directly, and the emulator in front of another one."""
    place = cores()
    service = ["taskset", "-c", str(place.load), sys.executable, "-m", "service"]
    flags = ["--handler", f"index.{handler}", "--concurrency", "200"]
    config = {
        "command": [*service[:3], "python3"],
        "args": ["-m", "service", *flags],
        "port": 9000,
    }
    props = {
        "region": "cn-hangzhou",
        "functionName": "fn",
        "runtime": "custom.debian12",
        "code": str(folder),
        "handler": f"index.{handler}",
        "instanceConcurrency": 200,
        "timeout": 60,
        "customRuntimeConfig": config,
    }
    spec = folder / f"{handler}.yaml"
    resources = {"fn": {"component": "fc3", "props": props}}
    spec.write_text(json.dumps({"edition": "3.0.0", "name": "bench", "resources": resources}))
    emulate = ["taskset", "-c", str(place.server), sys.executable, "-m", "service", "emulate"]
    emulate += ["--port", "0", "--spec", str(spec), "--state", str(folder / f"{handler}.db")]
    emulate += ["--allow-host", headers("", 0)["Host"]]  # what the load names is the platform's
    os.sched_setaffinity(0, {place.load})
    with (
        _process([*service, *flags, "--port", "0"], folder, f"{handler}.direct") as direct,
        _process(emulate, folder, f"{handler}.emulator") as emulator,
    ):
        ways = (
            Way("direct", direct, "/invoke"),
            Way("emulator", emulator, "/2023-03-30/functions/fn/invocations"),
        )
        for way in ways:
            first_answer(way.server, way.path)
        yield ways


@contextmanager
def _process(command: list[str], folder: Path, name: str) -> Iterator[Server]:
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield Server(process, _port(process, log), time.perf_counter(), log, None)
    finally:
        process.terminate()
        process.wait(30)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + STARTS_WITHIN
    while process.poll() is None and time.monotonic() < end:
        if found := re.search(r" on http://[^:\s]+:(\d+)", log.read_text(errors="replace")):
            return int(found[1])
        time.sleep(0.05)
    raise SystemExit(f"it did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    faults = sum(each["non_2xx"] + each["socket_errors"] for each in rounds)
    middle = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
    return {**middle, "faults": faults}


def _cost(figures: dict[str, float]) -> float:
    """Return the microseconds that the server computed for a call."""
    return figures["core"] / figures["rps"] * 1e6


def _table(medians: dict[tuple[str, str], dict[str, float]]) -> Iterator[str]:
    yield "| handler | called | calls/s | p50 ms | p99 ms | its core used | us a call | faults |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for (work, way), f in medians.items():
        yield (
            f"| {work} | {way} | {f['rps']:,.0f} | {f['p50']:.2f} | {f['p99']:.2f}"
            f" | {f['core']:.0%} | {_cost(f):.0f} | {f['faults']:.0f} |"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
