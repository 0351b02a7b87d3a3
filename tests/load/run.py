"""`make load`: starts the service, runs locust against it, leaves a report and prints the summary.

`--target emulator` (`make load TARGET=emulator`) starts the local Function Compute for `s.yaml`
instead: the summary then says how many instances answered in each step. Other flags are passed on.
The steps are settings of the locust file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread

HERE = Path(__file__).parent
REPORTS = Path("reports")


@dataclass(frozen=True)
class Target:
    """What is started, how its log tells its URL, and what locust calls there."""

    command: list[str]
    ready: str
    path: str


TARGETS = {
    "service": Target(["--port", "0", "--concurrency", "200"], r" serves \S+ on (\S+)", "/invoke"),
    "emulator": Target(
        ["emulate", "--port", "0", "--code", "."],
        r" function of \S+ on (\S+)",
        "/2023-03-30/functions/fc-event-service/invocations",
    ),
}


def main() -> int:
    """Run the load test; return 0 when no request failed."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--target", choices=TARGETS, default="service")
    options, flags = parser.parse_known_args()
    target = TARGETS[options.target]
    REPORTS.mkdir(exist_ok=True)
    summary = REPORTS / "load.json"
    summary.unlink(missing_ok=True)
    started = subprocess.Popen(
        [sys.executable, "-m", "service", *target.command, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found: Queue[str] = Queue()
    Thread(target=_keep_log, args=(started.stdout, target.ready, found), daemon=True).start()
    try:
        code = _locust(found.get(timeout=20) + target.path, target.path, summary)
    finally:
        started.terminate()
        stopped = started.wait(60)
    rows = json.loads(summary.read_text())
    lines = list(_table(rows))
    (REPORTS / "load.md").write_text("\n".join(lines) + "\n")
    failures = sum(row["failures"] for row in rows)
    requests = sum(row["requests/s"] for row in rows)
    print("\n".join(lines))
    print(f"\n{failures} failures; the {options.target} stopped with exit code {stopped}")
    print(f"{REPORTS / 'load.html'} has the charts, {REPORTS / 'load-service.log'} the log")
    return 0 if code == 0 and requests and not failures and not stopped else 1


def _keep_log(output: Iterable[str], ready: str, found: Queue[str]) -> None:
    """Write what is said to a file, and hand out the URL."""
    with (REPORTS / "load-service.log").open("w") as log:
        for line in output:
            log.write(line)
            if match := re.search(ready, line):
                found.put(match[1].replace("0.0.0.0", "127.0.0.1").rstrip("/"))


def _locust(url: str, path: str, summary: Path) -> int:
    print(f"locust climbs to 200 users on {url}", flush=True)
    command = [
        *(sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless"),
        *("--host", url.removesuffix(path), "--html", str(REPORTS / "load.html"), "--only-summary"),
        *("--loglevel", "WARNING"),
    ]
    env = {**os.environ, "LOAD_SUMMARY": str(summary), "LOAD_PATH": path}
    return subprocess.run(command, env=env).returncode


def _table(rows: list[dict[str, float]]) -> Iterator[str]:
    yield "| " + " | ".join(rows[-1]) + " |"
    yield "|" + " ---: |" * len(rows[-1])
    for row in rows:
        yield "| " + " | ".join(f"{value:,.6g}" for value in map(_short, row.values())) + " |"


def _short(value: float) -> float:
    return round(value, 0 if value >= 100 else 1)


if __name__ == "__main__":
    sys.exit(main())
