"""`make load`: starts the service, runs locust against it, leaves a report and prints the summary.

Flags are passed on to the service. The steps are settings of the locust file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import Queue
from threading import Thread

HERE = Path(__file__).parent
REPORTS = Path("reports")


def main() -> int:
    """Run the load test; return 0 when no request failed."""
    REPORTS.mkdir(exist_ok=True)
    summary = REPORTS / "load.json"
    summary.unlink(missing_ok=True)
    service = subprocess.Popen(
        [sys.executable, "-m", "service", "--port", "0", "--concurrency", "200", *sys.argv[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found: Queue[str] = Queue()
    Thread(target=_keep_log, args=(service.stdout, found), daemon=True).start()
    try:
        code = _locust(found.get(timeout=20), summary)
    finally:
        service.terminate()
        stopped = service.wait(30)
    rows = json.loads(summary.read_text())
    lines = list(_table(rows))
    (REPORTS / "load.md").write_text("\n".join(lines) + "\n")
    failures = sum(row["failures"] for row in rows)
    requests = sum(row["requests/s"] for row in rows)
    print("\n".join(lines))
    print(f"\n{failures} failures; the service stopped with exit code {stopped}")
    print(
        f"{REPORTS / 'load.html'} has the charts, {REPORTS / 'load-service.log'} the service's log"
    )
    return 0 if code == 0 and requests and not failures and not stopped else 1


def _keep_log(output: Iterable[str], found: Queue[str]) -> None:
    """Write what the service says to a file, and hand out its URL."""
    with (REPORTS / "load-service.log").open("w") as log:
        for line in output:
            log.write(line)
            if match := re.search(r" serves \S+ on http://[^:]+:(\d+)", line):
                found.put(f"http://127.0.0.1:{match[1]}")


def _locust(url: str, summary: Path) -> int:
    print(f"locust climbs to 200 users on {url}/invoke", flush=True)
    command = [
        *(sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless"),
        *("--host", url, "--html", str(REPORTS / "load.html"), "--only-summary"),
        *("--loglevel", "WARNING"),
    ]
    return subprocess.run(command, env={**os.environ, "LOAD_SUMMARY": str(summary)}).returncode


def _table(rows: list[dict[str, float]]) -> Iterator[str]:
    yield "| " + " | ".join(rows[0]) + " |"
    yield "|" + " ---: |" * len(rows[0])
    for row in rows:
        yield "| " + " | ".join(f"{value:,.6g}" for value in map(_short, row.values())) + " |"


def _short(value: float) -> float:
    return round(value, 0 if value >= 100 else 1)


if __name__ == "__main__":
    sys.exit(main())
