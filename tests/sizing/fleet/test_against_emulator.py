"""A simulated fleet beside the emulator's, on the same arrivals."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from simpy import Environment

from service.emulator import emulator
from service.emulator.log import Log
from service.sizing.fleet.course import FleetCourse, FleetPlan
from service.sizing.fleet.fleet import Fleet
from service.sizing.fleet.patterns import pattern_of
from service.sizing.level import ordered_quantile

SERVER = """\
import asyncio, os, sys, time

ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}"

async def serve(reader, writer):
    while await reader.readuntil(b"\\r\\n\\r\\n"):
        await reader.readexactly(2)  # the event
        await asyncio.sleep(0.2)
        writer.write(ANSWER)

async def main():
    port = int(os.environ["FC_CUSTOM_LISTEN_PORT"])
    server = await asyncio.start_server(serve, "0.0.0.0", port)
    await server.serve_forever()

time.sleep(1)  # imports, clients, models: without what they take of this machine's CPU
asyncio.run(main())
"""
"""An instance that takes a second to start, and serves calls of 0.2 s with next to no CPU: many of
them are no load for one machine, which would not be the platform's.
"""

SPEC = """\
edition: 3.0.0
name: fleet
resources:
  fn:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: fn
      runtime: custom.debian12
      code: .
      timeout: 30
      instanceConcurrency: {at_once}
      customRuntimeConfig: {{command: [python3], args: [-S, server.py]}}
"""
IDLE = 180.0


@dataclass(frozen=True)
class PlayedCall:
    """When a call came, when it was in its instance, and when it ended, in seconds."""

    came: float
    began: float
    ended: float


@dataclass(frozen=True)
class PlayedFleet:
    """What the emulator made of the arrivals: `starts` in seconds, the oldest instance's first."""

    instances: int
    calls: Sequence[PlayedCall]
    starts: Sequence[float]

    @property
    def times(self) -> list[float]:
        """What the calls took, the shortest first."""
        return sorted(call.ended - call.came for call in self.calls)


async def play(folder: Path, arrivals: Sequence[float]) -> PlayedFleet:
    """Let the emulator have the calls, each when it is due."""
    lines: list[bytes] = []
    options = {"max_instances": 200, "idle_timeout": IDLE, "log": Log(lines.append)}
    async with emulator(folder / "s.yaml", **options) as fc:  # type: ignore[arg-type]
        calls: list[PlayedCall] = []
        began = time.monotonic() + 0.1

        async def call(due: float) -> None:
            await asyncio.sleep(began + due - time.monotonic())
            came = time.monotonic() - began
            outcome = await fc.invoke("fn")
            assert not outcome.error_type
            ended = time.monotonic() - began
            calls.append(PlayedCall(came, ended - outcome.duration, ended))

        await asyncio.gather(*map(call, arrivals))
        instances = len(fc.instances("fn"))
    found = re.findall(r" c-(\d+) - runs: it took (\d+) ms", b"".join(lines).decode())
    starts = [int(took) / 1000 for _, took in sorted(found, key=lambda each: int(each[0]))]
    assert len(starts) == instances
    return PlayedFleet(instances, calls, starts)


def simulated(at_once: int, played: PlayedFleet) -> FleetCourse:
    """The same calls, as they came, in a simulated fleet: each call and each start takes as long as
    the played one, on a machine that may be busy.
    """
    in_order = sorted(played.calls, key=lambda call: call.began)
    waits = [call.ended - call.began for call in in_order]
    plan = FleetPlan(at_once, 0.0, waits, played.starts, idle=(IDLE, IDLE), in_order=True)
    return Fleet(plan, Environment()).run(sorted(call.came for call in played.calls))


@pytest.mark.long
@pytest.mark.parametrize(("at_once", "rate"), [(1, 20.0), (4, 40.0), (20, 60.0)])
async def test_the_simulation_and_the_emulator_agree(
    at_once: int, rate: float, tmp_path: Path
) -> None:
    """Instances and p99 are within a tenth of each other, or one instance."""
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "s.yaml").write_text(SPEC.format(at_once=at_once))
    arrivals = list(pattern_of("constant", rate, 30.0, tmp_path).arrivals(1))
    played = await play(tmp_path, arrivals)
    course = simulated(at_once, played)
    p50, p99 = (ordered_quantile(played.times, share) for share in (0.5, 0.99))
    sys.stdout.write(
        f"| {at_once} | {len(arrivals):,} | {played.instances} | {course.most} | {p50:.3f} |"
        f" {course.p50:.3f} | {p99:.3f} | {course.p99:.3f} |\n"
    )
    assert course.most == pytest.approx(played.instances, rel=0.1, abs=1)
    assert course.p99 == pytest.approx(p99, rel=0.1)
