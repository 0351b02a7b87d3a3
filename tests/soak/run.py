"""`make soak`: all that can happen to a service, for as long as you like. Does anything grow?

An async handler on uvloop and a plain one on asyncio serve the same traffic side by side. At the
end of each round nothing is in flight, and what each process holds is noted. Leaves
reports/soak.json and reports/soak.png, and with --publish writes docs/reliability.md's anew.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.harness import ANSWERS_WITHIN, Client, ServerProcess, request
from tests.soak.course import CONCURRENCY, Course, Sample, table
from tests.soak.report import SoakReport, leave
from tests.soak.traffic import Caller

FUNCTION = Path(__file__).with_name("index.py")
MB = 1024 * 1024
CALLERS = 8
"""Connections to each service."""

FLAGS = ("--concurrency", str(CONCURRENCY), "--stall-after", "0")
SERVICES = {
    "async": ("--loop", "uvloop", "--handler", "index.handler"),
    "plain": ("--loop", "asyncio", "--handler", "index.plain"),
}
HEALTH = request(b"", path="/health", method="GET")
FIGURES = request(x_fc_function_name="figures")
LOOK = 0.25
"""Seconds between two looks at a process under load."""


class Watched:
    """A service under load."""

    def __init__(self, name: str, folder: Path, pause: float) -> None:
        folder.mkdir()
        self._pause = pause
        (folder / "index.py").write_text(FUNCTION.read_text())
        self.server = ServerProcess(folder, "", *FLAGS, *SERVICES[name])
        self.course = Course(name)
        self.callers: list[Caller] = []
        self.asking: Client | None = None

    async def starts(self) -> None:
        """Wait until it serves."""
        port = await asyncio.to_thread(lambda: self.server.port)
        tally = self.course.tally
        self.callers = [Caller(port, number, tally, self._pause) for number in range(CALLERS)]
        self.asking = Client(*await asyncio.open_connection("127.0.0.1", port))
        # Each thread, and the largest events all at once: what a busy hour takes sooner or later.
        more = [Caller(port, number, tally) for number in range(CONCURRENCY)]
        await asyncio.gather(*(caller.warm_up() for caller in more))
        await asyncio.gather(*(caller.leave() for caller in more))

    async def round(self, until: float) -> None:
        """Serve all callers until then, and come to rest."""
        await asyncio.gather(*(caller.calls(until) for caller in self.callers))
        await asyncio.gather(*(caller.leave() for caller in self.callers))
        async with asyncio.timeout(ANSWERS_WITHIN):
            state = await self.ask(HEALTH)
            while state["inFlight"] or state["lost"]:
                state = await self.ask(HEALTH)
        self.course.lost = int(state["logLinesLost"])
        self.server.lines.clear()  # hours of them would not fit into our own memory

    async def sample(self, second: float) -> Sample:
        """Note what it holds now."""
        inside = await self.ask(FIGURES)
        process = Path(f"/proc/{self.server.process.pid}")
        fds, tasks = [], [int(inside["tasks"])]
        for _ in range(5):  # it may not have seen yet that its clients have left
            await asyncio.sleep(0.02)
            fds.append(len(list((process / "fd").iterdir())))
            tasks.append(int((await self.ask(FIGURES))["tasks"]))
        sample = Sample(
            second=second,
            calls=self.course.tally.calls,
            rss=self.server.memory() / MB,
            fds=min(fds),
            threads=len(list((process / "task").iterdir())),
            tasks=min(tasks),
            blocks=int(inside["blocks"]),
            garbage=int(inside["garbage"]),
            lag_p99=inside["lag_p99"],
            lag_max=inside["lag_max"],
        )
        self.course.samples.append(sample)
        return sample

    async def ask(self, data: bytes) -> dict[str, float]:
        """The JSON of an answer, on the connection that is open all the time."""
        assert self.asking is not None
        value: dict[str, float] = (await self.asking.ask(data)).json()
        return value

    async def ends(self) -> None:
        """Stop it, and look at what it left."""
        self.server.process.terminate()
        self.course.code = await self.server.ends()
        self.course.tracebacks = self.server.log().count("Traceback")

    def close(self) -> None:
        """End it in any case."""
        if self.asking is not None:
            self.asking.writer.close()
        self.server.kill()


async def soak(
    seconds: float,
    rounds: int,
    say: Callable[[str], object] = lambda _: None,
    pause: float = 0.0,
) -> list[Course]:
    """Send traffic for so many seconds, in so many rounds; return what became of each service.

    A caller pauses for `pause` seconds between two calls.
    """
    with tempfile.TemporaryDirectory() as folder:
        watched = [Watched(name, Path(folder, name), pause) for name in SERVICES]
        try:
            await asyncio.gather(*(each.starts() for each in watched))
            began = time.monotonic()
            looking = asyncio.create_task(look(watched, began))
            for number in range(1, rounds + 1):
                until = asyncio.get_running_loop().time() + seconds / rounds
                await asyncio.gather(*(each.round(until) for each in watched))
                for each in watched:
                    sample = await each.sample(time.monotonic() - began)
                    say(progress(each.course, number, rounds, sample))
            looking.cancel()
            await asyncio.gather(*(each.ends() for each in watched))
        finally:
            for each in watched:
                each.close()
        return [each.course for each in watched]


async def look(watched: Sequence[Watched], began: float) -> None:
    """Note how much memory each has while it works."""
    while True:
        for each in watched:
            second = time.monotonic() - began
            each.course.load.append((second, each.server.memory() / MB))
        await asyncio.sleep(LOOK)


def progress(course: Course, number: int, rounds: int, sample: Sample) -> str:
    """One line that says how it is."""
    return (
        f"{number:4}/{rounds} {sample.second:6.0f} s  {course.name:6} {sample.calls:9,} calls"
        f"  {sample.rss:6.1f} MB  {sample.fds:3} fds  {sample.threads:3} threads"
        f"  {sample.tasks:3.0f} tasks  loop late by {1000 * sample.lag_p99:5.1f} ms at p99"
        f"  {len(course.tally.wrong)} wrong"
    )


def main() -> int:
    """Run the soak; return 0 when nothing grows and nothing went wrong."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long [default: 10]")
    parser.add_argument("--publish", action="store_true", help="write docs/soak.* as well")
    options = parser.parse_args()
    rounds = max(20, min(100, int(options.minutes * 10)))
    say = partial(print, flush=True)
    courses = asyncio.run(soak(options.minutes * 60, rounds, say))
    found = SoakReport(
        f"{datetime.now(UTC):%F}", platform.python_version(), options.minutes, courses
    )
    print("\n" + "\n".join(table(courses)))
    faults = [f"{course.name}: {fault}" for course in courses for fault in course.faults()]
    print("\n" + "\n".join(faults or ["Nothing grows, and nothing went wrong."]))
    for file in leave(found, publish=options.publish):
        print(file)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
