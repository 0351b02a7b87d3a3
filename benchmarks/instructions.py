"""How many instructions an event takes: the same number each time, on any machine of a kind,
whatever else runs there.

`make instructions` runs this. Each contender serves events in a process of its own, on transports
to nowhere, under valgrind's callgrind: once few and once many, so that what comes before and after
them cancels out. What the kernel and the sockets take is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.inside import CONTENDERS, WORKS, serve

FEW, MANY = 500, 2500
"""Events in the two runs of a contender; the first few hundred warm up caches and the interpreter.
"""

BETWEEN = 100
"""Events that are in flight together."""

RUN = "import sys; from benchmarks.instructions import run; run(*sys.argv[1:])"


def run(contender: str, work: str, loop: str, count: str) -> None:
    """Serve so many events: what the child process does."""
    asyncio.set_event_loop(made := new_loop(loop))
    made.run_until_complete(serve(CONTENDERS[contender], WORKS[work], int(count), BETWEEN))
    os._exit(0)  # without the interpreter's clean-up, which depends on what is left


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop, or asyncio's."""
    if kind == "asyncio":
        return asyncio.SelectorEventLoop()
    import uvloop

    return uvloop.new_event_loop()


def collected(python: str, contender: str, work: str, loop: str, count: int) -> int:
    """Return the instructions that a whole process takes for so many events."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", python, "-c", RUN]
    command += [contender, work, loop, str(count)]
    if shutil.which("setarch"):
        command[:0] = ["setarch", os.uname().machine, "-R"]  # the same addresses each time
    environ = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"}
    with open(os.devnull, "w") as nowhere:
        ended = subprocess.run(
            command, env=environ, stdout=nowhere, stderr=subprocess.PIPE, text=True, check=False
        )
    found = re.search(r"Collected : (\d+)", ended.stderr)
    if ended.returncode or found is None:
        raise SystemExit(f"{contender}, {work} on {loop} failed:\n{ended.stderr[-2000:]}")
    return int(found[1])


def measured(python: str, work: str, loop: str, tell: Callable[[str], None]) -> dict[str, int]:
    """Return the instructions an event of each contender."""
    found = {}
    for contender in CONTENDERS:
        tell(f"{work} on {loop}: {contender} ")
        few, many = (collected(python, contender, work, loop, n) for n in (FEW, MANY))
        found[contender] = round((many - few) / (MANY - FEW))
        tell(f"{found[contender]:,}\n")
    return found


def table(figures: dict[str, dict[str, int]]) -> str:
    """Return the instructions an event as a table, each beside its share of the limit's."""
    lines = [
        "| work | " + " | ".join(CONTENDERS) + " | ours, of the limit | ours, of aiohttp |",
        "| --- |" + " ---: |" * (len(CONTENDERS) + 2),
    ]
    for work, found in figures.items():
        numbers = " | ".join(f"{found[contender]:,}" for contender in CONTENDERS)
        shares = (found["ours"] / found[other] for other in ("limit", "aiohttp"))
        lines.append(f"| {work} | {numbers} | " + " | ".join(f"{s:.2f}" for s in shares) + " |")
    return "\n".join(lines)


def main() -> int:
    """Count, print the table, and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--python", default=sys.executable, help="the interpreter that is counted")
    parser.add_argument("--loop", choices=("uvloop", "asyncio", "both"), default="both")
    parser.add_argument("--work", choices=WORKS, action="append", help="[all]")
    parser.add_argument("--json", type=Path, default=Path("reports/bench/instructions.json"))
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is missing: on Debian, apt-get install valgrind")
    figures: dict[str, Any] = {}
    for work in options.work or WORKS:
        for loop in ("asyncio", "uvloop") if options.loop == "both" else (options.loop,):
            figures[f"{work} on {loop}"] = measured(options.python, work, loop, told)
    print(f"\ninstructions an event\n\n{table(figures)}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def told(text: str) -> None:
    """Show how far it is."""
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
