"""Load that climbs from 1 to 200 users: `make load`, or `locust -f` for the web page.

Settings, from the environment: LOAD_STEPS (users of each step, "1,10,50,100,200"),
LOAD_STEP_SECONDS (10), and LOAD_PATH: "/invoke" for the service, the path of InvokeFunction for the
emulator.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from locust import FastHttpUser, LoadTestShape, events, task

STEPS = [int(users) for users in os.environ.get("LOAD_STEPS", "1,10,50,100,200").split(",")]
STEP_SECONDS = float(os.environ.get("LOAD_STEP_SECONDS", "10"))
PATH = os.environ.get("LOAD_PATH", "/invoke")
SUMMARY = os.environ.get("LOAD_SUMMARY", "")
"""Where the summary table is written as JSON, for `make load`; "" for nowhere."""

SIZES = {"100 B": 100, "1 KB": 1_000, "16 KB": 16_000, "256 KB": 256_000}
EVENTS = {
    name: json.dumps({"name": "load", "filler": "x" * size}).encode()
    for name, size in SIZES.items()
}
WEIGHTS = [40, 40, 15, 5]


def platform_headers() -> dict[str, str]:
    """The headers that Function Compute sends with an event (docs/platform.md section 2)."""
    return {
        "Content-Type": "application/octet-stream",
        "x-fc-request-id": f"1-{int(time.time()):08x}-{secrets.token_hex(10)}",
        "x-fc-control-path": "/invoke",
        "x-fc-access-key-id": "STS.load",
        "x-fc-access-key-secret": "load" * 11,
        "x-fc-security-token": "CAIS" * 250,
        "x-fc-function-name": "load",
        "x-fc-function-handler": "index.handler",
        "x-fc-function-memory": "512",
        "x-fc-function-timeout": "60",
        "x-fc-region": "cn-hangzhou",
        "x-fc-account-id": "1234567890123456",
        "x-fc-qualifier": "LATEST",
        "x-fc-version-id": "",
        "x-fc-retry-count": "0",
    }


class Platform(FastHttpUser):
    """Function Compute as a client: it keeps its connections, and sends the next event at once."""

    host = "http://127.0.0.1:9000"

    @task
    def invoke(self) -> None:
        """Send one event; a function error is a failure, whatever its HTTP status."""
        name = random.choices(list(EVENTS), WEIGHTS)[0]
        with self.client.post(
            PATH,
            data=EVENTS[name],  # type: ignore[arg-type] # bytes are sent as they are
            headers=platform_headers(),
            name=f"{PATH} {name}",
            catch_response=True,
        ) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
            elif _failed(response.headers):
                response.failure("a function error")
            elif Climb.steps and (instance := response.headers.get("x-fc-instance-id")):
                Climb.steps[-1].instances.add(instance)


def _failed(headers: Mapping[str, str]) -> bool:
    """An instance says by x-fc-status what its answer is, the platform by x-fc-error-type."""
    return bool(headers.get("x-fc-error-type")) or headers.get("x-fc-status", "200") != "200"


@dataclass
class Step:
    """What was seen while a number of users was at work."""

    users: int
    milliseconds: list[float] = field(default_factory=list)
    failures: int = 0
    instances: set[str] = field(default_factory=set)
    """Those that answered, where the emulator names them."""

    def row(self) -> dict[str, float]:
        """The step's figures."""
        times = sorted(self.milliseconds) or [0.0]
        row = {
            "users": self.users,
            "requests/s": len(self.milliseconds) / STEP_SECONDS,
            "p50 ms": times[len(times) // 2],
            "p95 ms": times[int(len(times) * 0.95)],
            "p99 ms": times[int(len(times) * 0.99)],
            "failures": self.failures,
        }
        return row | {"instances": len(self.instances)} if self.instances else row


class Climb(LoadTestShape):
    """Each step's users for some seconds, then the next step's."""

    steps: list[Step] = []  # noqa: RUF012 - one test a process: `count` writes here too
    began = 0.0

    def reset_time(self) -> None:
        """Start from the first step: locust calls this when a test begins."""
        self.began = time.monotonic()
        self.steps.clear()

    def tick(self) -> tuple[int, float] | None:
        """Return the users to run now, None at the end."""
        at = int((time.monotonic() - self.began) // STEP_SECONDS)
        if at >= len(STEPS):
            return None
        if len(self.steps) <= at:
            self.steps.append(Step(STEPS[at]))
            print(f"  {STEPS[at]} users", file=sys.stderr)  # noqa: T201 - progress
        return STEPS[at], min(STEPS[at], 100)


def count(response_time: float, exception: Exception | None, **_: Any) -> None:
    """Add a request to the step that runs."""
    if Climb.steps:
        step = Climb.steps[-1]
        step.milliseconds.append(response_time)
        step.failures += exception is not None


def summarise(**_: Any) -> None:
    """Leave the figures of all steps."""
    if SUMMARY:
        Path(SUMMARY).write_text(json.dumps([step.row() for step in Climb.steps], indent=2))


events.request.add_listener(count)  # type: ignore[no-untyped-call] # locust has no types here
events.quitting.add_listener(summarise)  # type: ignore[no-untyped-call]
