"""Where the microseconds of a small event go, from its bytes to its answer's, as a table and a
flame graph.

`make profile` runs this. It calls the service's own connections in this process, 100 at once, with
no sockets between: what the kernel and the loop take comes on top.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import orjson

from benchmarks import loads
from service.app import assemble_app
from service.calls.function import Function, Handlers
from service.calls.left_behind import task_factory
from service.context.call import Platform
from service.http.backend import Limits
from service.http.server import Server
from service.instance.assembly import SERVICE
from service.logs.log import Logs
from service.logs.pipe import Sink
from service.process.loop import new_loop
from service.settings.table import Settings

CONNECTIONS = 100
EVERY = 0.001
"""Seconds of CPU time between two looks at the stack."""

PARTS = {
    "aiohttp's parser": ("parser", "streams", "_url", "helpers"),
    "aiohttp's request": ("web_request", "web_app", "http_writer"),
    "connection: in flight, order, writing": (
        *("connection", "wire", "body", "flow", "lifecycle", "server"),
    ),
    "context, contract, middlewares": ("middleware", "protocol", "context", "framing"),
    "marker lines": ("logs", "lines", "sink"),
    "slot, deadline, tasks": ("app", "calls", "admission", "spawned", "watchdog"),
    "decoding, encoding": ("codec", "body"),
    "the handler, with parsing its JSON": ("handler", "profile"),
    "answer": ("answers", "web_response"),
}

Stack = tuple[str, ...]


async def handle(event: bytes, context: Any) -> Any:
    """Do what the benchmark's handlers do."""
    return {"count": len(orjson.loads(event)["items"]), "requestId": context.request_id}


class Wire(asyncio.Transport):
    """A transport to nowhere."""

    def write(self, data: Any) -> None:
        """Forget an answer."""

    def is_closing(self) -> bool:
        """Say no."""
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Know nothing."""
        return default


async def connections(sink: Sink) -> list[Any]:
    """Return what serves the events: connections as the server makes them."""
    handlers = Handlers(Function("profile.handle", handle, "async", bytes))
    app = assemble_app(Settings(), Platform(), handlers, Logs(sink))
    lifecycle = app[SERVICE].lifecycle
    server = Server(app, lifecycle, Limits(60, 60, 2 * CONNECTIONS), sink.when_out)
    await server.setup()
    await lifecycle.initialized()
    made = [server() for _ in range(CONNECTIONS)]
    for connection in made:
        connection.connection_made(Wire())
    return made


async def sample(seconds: float) -> tuple[Counter[Stack], float]:
    """Return the stacks that were seen, how often, and the seconds of CPU time of an event."""
    served = await connections(Sink(os.open(os.devnull, os.O_WRONLY)))
    stacks: Counter[Stack] = Counter()

    def look(_number: int, frame: FrameType | None) -> None:
        names = []
        while frame is not None:
            code = frame.f_code
            names.append(f"{Path(code.co_filename).stem}.{code.co_qualname}")
            frame = frame.f_back
        stacks[tuple(reversed(names))] += 1

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
    return stacks, (time.process_time() - began) / count


EVENT = loads.head("/invoke", loads.request_id(1), len(loads.BODY)) + loads.BODY
"""The benchmark's request."""


def table(stacks: Counter[Stack], each: float) -> str:
    """Return the microseconds of each part: of the innermost function's file."""
    files = {file: part for part, names in PARTS.items() for file in names}
    spent: Counter[str] = Counter()
    for stack, times in stacks.items():
        spent[files.get(stack[-1].split(".")[0], "other")] += times
    total = sum(spent.values())
    lines = ["| part | µs | |", "| --- | ---: | ---: |"]
    for part, times in spent.most_common():
        share = times / total
        lines.append(f"| {part} | {share * each * 1e6:.1f} | {share:.0%} |")
    lines.append(f"| all | {each * 1e6:.1f} | |")
    return "\n".join(lines)


# --- the flame graph

WIDTH, HEIGHT, FONT = 1200, 18, 11
LEAST = 0.002
"""Share of the whole below which a frame is not drawn."""


def flame(stacks: Counter[Stack]) -> str:
    """Return an SVG: each frame as wide as its share, below the frames that it calls."""
    boxes: list[tuple[int, float, float, str]] = []
    depth = _boxes(stacks, 0, 0.0, float(sum(stacks.values())), boxes)
    height = (depth + 1) * HEIGHT
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' font-family="sans-serif" font-size="{FONT}">'
    ]
    for level, left, share, name in boxes:
        x, width, y = left * WIDTH, share * WIDTH, height - (level + 1) * HEIGHT
        hue = 200 if name.split(".")[0] in OURS else 35
        text = html.escape(name[: int(width / (FONT * 0.55))])
        drawn.append(
            f'<g><title>{html.escape(name)} {share:.1%}</title><rect x="{x:.1f}" y="{y}"'
            f' width="{max(width - 0.5, 0.5):.1f}" height="{HEIGHT - 1}"'
            f' fill="hsl({hue},65%,{70 + level % 3 * 5}%)"/>'
            + (f'<text x="{x + 2:.1f}" y="{y + 13}">{text}</text>' if width > 30 else "")
            + "</g>"
        )
    return "\n".join([*drawn, "</svg>\n"])


OURS = {path.stem for path in (Path(__file__).parent.parent / "service").glob("*.py")}


def _boxes(
    stacks: Counter[Stack],
    level: int,
    left: float,
    whole: float,
    boxes: list[tuple[int, float, float, str]],
) -> int:
    """Add the boxes of the frames at `level` and above; return how many levels there are."""
    groups: dict[str, Counter[Stack]] = {}
    for stack, times in stacks.items():
        if len(stack) > level:
            groups.setdefault(stack[level], Counter())[stack] += times
    deepest = level
    for name in sorted(groups):
        share = sum(groups[name].values()) / whole
        if share >= LEAST:
            boxes.append((level, left, share, name))
            deepest = max(deepest, _boxes(groups[name], level + 1, left, whole, boxes))
        left += share
    return deepest


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
    options.flame.write_text(flame(served), encoding="utf-8")
    print(options.flame)
    return 0


if __name__ == "__main__":
    sys.exit(main())
