"""What batching gives a model: `make bench-batching`.

A forest of scikit-learn's is asked for one row in each call, by 50 and by 200 callers that wait for
their answers. Ours by `@batched`, ours a call at a time, ours with a batcher written by hand,
BentoML and Ray Serve as their documentation batches: one after the other on one core, in turns, the
callers on another. Medians of the rounds. BentoML and Ray Serve get environments of their own in
build/batching; one that this machine cannot have is told as such. Loopback only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.batching_report import CALLERS, SINGLE, Rounds, publish, table
from benchmarks.loads import wrk_is_missing
from benchmarks.report import machine
from benchmarks.servers import ENDS_WITHIN, KEPT, SOURCES, NotRun, cores, end, free_port

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports" / "bench"
STARTS_WITHIN = 90.0
ROW = [round(0.37 * n - 3.1, 2) for n in range(20)]
FEW = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = %s

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '\\nRESULT {"requests":%%d,"duration":%%d,"p50":%%d,"p99":%%d,"errors":%%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status + e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class BatchingServer:
    """Who takes part: its command behind the interpreter, its path, its body, its packages."""

    name: str
    command: Sequence[str]
    path: str = "/invoke"
    body: Any = None
    packages: Sequence[str] = ()
    settles: float = 0.0
    """Seconds after its first answer in which it still starts."""

    @property
    def sent(self) -> bytes:
        """The body of a call."""
        return json.dumps(ROW if self.body is None else self.body).encode()


def ours(name: str, handler: str) -> BatchingServer:
    """Return ours with a handler."""
    flags = ("--handler", f"batched_ours.{handler}", "--concurrency", "200", "--log-calls", "off")
    return BatchingServer(name, ("-m", "service", *flags, "--port", "PORT"))


BENTOML = ("-m", "bentoml", "serve", "batched_bentoml:Forest", "--port", "PORT")
FIELD = (
    ours("ours, @batched", "ours"),
    ours("ours, a batcher by hand", "by_hand"),
    BatchingServer("BentoML", BENTOML, "/predict", {"rows": [ROW]}, ("bentoml>=1.4,<2",)),
    BatchingServer("Ray Serve", ("batched_ray.py",), "/", None, ("ray[serve]>=2.40,<3",), 12.0),
    ours(SINGLE, "single"),
)


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, leave figures and a picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each [3]")
    parser.add_argument("--seconds", type=int, default=3, help="of one run [3]")
    parser.add_argument("--only", default="", help="servers whose names have this in them")
    parser.add_argument("--peers", default="", help="an environment that has the peers")
    parser.add_argument("--publish", action="store_true", help="write docs/batching.* anew")
    options = parser.parse_args(arguments)
    if why := wrk_is_missing():
        print(why, file=sys.stderr)
        return 2
    field = [each for each in FIELD if options.only in each.name]
    found, missing = measured(field, options)
    report = {
        "python": platform.python_version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "callers": list(CALLERS),
        "missing": missing,
        "rounds": found,
    }
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / "batching.json").write_text(json.dumps(report, indent=1))
    print(*table(found, missing), sep="\n")
    if options.publish:
        publish(report)
    return 0


def measured(
    field: Sequence[BatchingServer], options: argparse.Namespace
) -> tuple[Rounds, dict[str, str]]:
    """Run all in turns, the order changing from round to round; return figures, and who is missing
    and why.
    """
    found: Rounds = {each.name: {count: [] for count in CALLERS} for each in field}
    missing: dict[str, str] = {}
    pythons = {each.name: environment(each, options.peers, missing) for each in field}
    for number in range(options.rounds):
        turned = [*field[number % len(field) :], *field[: number % len(field)]]
        for each in turned:
            if each.name in missing:
                continue
            print(f"round {number + 1} of {options.rounds}  {each.name}", file=sys.stderr)
            try:
                for count, figures in one_round(each, pythons[each.name], options.seconds):
                    found[each.name][count].append(figures)
            except NotRun as reason:
                missing[each.name] = str(reason)
    return found, missing


def environment(server: BatchingServer, peers: str, missing: dict[str, str]) -> str:
    """Return the interpreter of an environment that has what a server needs."""
    if not server.packages:
        return sys.executable
    home = Path(peers) if peers else ROOT / "build" / "batching" / server.path.strip("/").lower()
    python = home / "bin" / "python"
    if not python.exists():
        print(f"installing {server.name} into {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        wanted = [*server.packages, "scikit-learn>=1.6,<2"]
        if subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted]).returncode:
            shutil.rmtree(home)
            missing[server.name] = f"pip cannot install {server.packages[0]} here"
    return str(python)


def one_round(
    server: BatchingServer, python: str, seconds: int
) -> Iterator[tuple[int, dict[str, float]]]:
    """Start it, and load it with each number of callers."""
    with tempfile.TemporaryDirectory(prefix="bench-batching-") as name:
        folder = Path(name)
        for file in SOURCES.glob("batched_*.py"):
            shutil.copy(file, folder)
        with started(server, python, folder) as (url, family):
            first_answer(server, url)
            time.sleep(server.settles)
            loaded(server, url, folder, CALLERS[0], 1)  # warm
            for count in CALLERS:
                before = worked(family)
                figures = loaded(server, url, folder, count, seconds)
                used = worked(family) - before
                yield count, {**figures, "cpu": used / figures["calls"] * 1e6}


@contextmanager
def started(
    server: BatchingServer, python: str, folder: Path
) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server on its core; end it and all that it has started."""
    port, place = free_port(), cores()
    command = [part.replace("PORT", str(port)) for part in server.command]
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    own = {"PORT": str(port), "PYTHONPATH": f"{ROOT}:{folder}" if not server.packages else ""}
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0"}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [python, *command],
            cwd=folder,
            env={**kept, **FEW, **own, **quiet, "BENTOML_HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {place.server}),
        )
        family = psutil.Process(process.pid)
        children: set[psutil.Process] = set()
        try:
            yield f"http://127.0.0.1:{port}{server.path}", family
            if process.poll() is not None:
                raise NotRun(last_words(folder))
        finally:
            with suppress(psutil.NoSuchProcess):
                children |= set(family.children(recursive=True))
            end(process)
            _end_all(children)


def worked(family: psutil.Process) -> float:
    """Return the seconds that a server and all that it has started have computed."""
    seconds = 0.0
    for process in (family, *family.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


def _end_all(processes: set[psutil.Process]) -> None:
    """End what has a group of its own, as Ray's processes have."""
    _, left = psutil.wait_procs(list(processes), timeout=ENDS_WITHIN)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=ENDS_WITHIN)


def last_words(folder: Path) -> str:
    """Return the last line that a server wrote."""
    lines = (folder / "output").read_text(errors="replace").strip().splitlines()
    return lines[-1][:150] if lines else "it said nothing"


def first_answer(server: BatchingServer, url: str) -> None:
    """Wait until it answers, and see that it is the model's answer."""
    until = time.monotonic() + STARTS_WITHIN
    request = urllib.request.Request(
        url, server.sent, {"Content-Type": "application/json"}, method="POST"
    )
    while time.monotonic() < until:
        with suppress(OSError):
            answer = json.load(urllib.request.urlopen(request, timeout=10))
            if answer not in (False, [False]):
                raise NotRun(f"it answers {answer!r}")
            return
        time.sleep(0.1)
    raise NotRun(f"no answer within {STARTS_WITHIN:g} s")


def loaded(
    server: BatchingServer, url: str, folder: Path, callers: int, seconds: int
) -> dict[str, float]:
    """Return calls a second and percentiles in ms."""
    script = folder / "wrk.lua"
    script.write_text(SCRIPT % json.dumps(server.sent.decode()))
    place = cores()
    options = ("-t1", f"-c{callers}", f"-d{seconds}s", "--timeout", "20s", "-s", str(script))
    done = subprocess.run(
        ["taskset", "-c", str(place.load), "wrk", *options, url],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    _, marker, result = done.stdout.partition("RESULT ")
    if not marker:
        raise NotRun(f"wrk failed: {(done.stderr or done.stdout).strip()[-200:]}")
    figures = json.loads(result)
    if not figures["requests"]:
        raise NotRun(f"no call was answered within {seconds} s: {last_words(folder)}")
    return {
        "calls": figures["requests"],
        "rps": figures["requests"] / (figures["duration"] / 1e6),
        "p50": figures["p50"] / 1000,
        "p99": figures["p99"] / 1000,
        "errors": figures["errors"],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
