"""What RFC 9110 and 9112 ask of an origin server, asked of this service and its peers in one run.

`make conformance` prints the table and leaves `reports/conformance.json`. The cases are those that
`make test` runs against the service (`tests/system/conformance/`). Each server is stock: as its
documentation starts it, with the smallest application that can be told apart from the server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import platform
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.lineup import Contender, script, service
from benchmarks.servers import Cores, NotRun, Server, Stage, cores
from tests.system.conformance import CASES
from tests.system.conformance.case import Case, Verdict
from tests.system.conformance.exchange import exchange

REPORT = Path("reports/conformance.json")
LEVELS = ("MUST", "SHOULD", "MAY")
PATIENCE = 3.0
"""Seconds that a server has for an answer. Who takes longer is stuck, and is asked once more."""
BETWEEN = 0.02
"""Seconds between two packets, so that a server reads each by itself."""
AT_ONCE = 8
STARTS_WITHIN = 20.0


def _asgi(port: int, _: str) -> list[str]:
    options = ("--ws", "none", "--log-level", "error")
    return ["-m", "uvicorn", "echo_asgi:app", "--port", str(port), *options]


def _wsgi(port: int, _: str) -> list[str]:
    threads = ("--worker-class", "gthread", "--threads", "16", "--log-level", "critical")
    return ["-m", "gunicorn", "echo_wsgi:app", "--bind", f"127.0.0.1:{port}", *threads]


def _rsgi(port: int, _: str) -> list[str]:
    options = ("--interface", "rsgi", "--no-ws", "--log-level", "error")
    return ["-m", "granian", "echo_rsgi:app", "--port", str(port), *options]


SERVERS = (
    Contender(
        "fc-event-service", "fc-event-service", "echo_ours.py", service(), saved_as="index.py"
    ),
    Contender("aiohttp", "aiohttp", "echo_aiohttp.py", script("echo_aiohttp.py")),
    Contender("uvicorn", "uvicorn", "echo_asgi.py", _asgi, needs="uvicorn"),
    Contender("gunicorn", "gunicorn, gthread", "echo_wsgi.py", _wsgi, needs="gunicorn"),
    Contender("granian", "granian, RSGI", "echo_rsgi.py", _rsgi, needs="granian"),
)


@dataclass(frozen=True)
class Judged:
    """A case, what was seen, and the verdict on it."""

    case: Case
    seen: str
    verdict: Verdict


Table = dict[str, list[Judged]]


def main(arguments: Sequence[str]) -> int:
    """Ask all servers, print the table, leave the report; 1 where ours misses a MUST."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformance", description=__doc__)
    parser.add_argument("--server", action="append", choices=[s.name for s in SERVERS])
    parser.add_argument("--verbose", action="store_true", help="list all that is not a pass")
    options = parser.parse_args(arguments)
    table: Table = {}
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        stage = Stage(Path(folder), Cores(cores().load, cores().load), "null")
        for server in SERVERS:
            if options.server and server.name not in options.server:
                continue
            try:
                table[server.name] = judged(stage, server)
            except NotRun as reason:
                print(f"{server.title} was not run: {reason}", file=sys.stderr)
    print(*lines_of(table, verbose=options.verbose), sep="\n")
    save(table)
    return any(j.case.level == "MUST" and j.verdict != "pass" for j in table.get(OURS, ()))


OURS = SERVERS[0].name


def judged(stage: Stage, contender: Contender) -> list[Judged]:
    """Start a server and ask it every case. Raises NotRun."""
    if why := contender.missing():
        raise NotRun(why)
    with stage.server(contender, "invoke", log="null") as server:
        return asyncio.run(_ask_all(server))


async def _ask_all(server: Server) -> list[Judged]:
    await _ready(server)
    turn = asyncio.Semaphore(AT_ONCE)

    async def settle() -> None:
        await asyncio.sleep(BETWEEN)

    async def ask(case: Case) -> Judged:
        async with turn:
            seen = await exchange(server.port, case, settle, PATIENCE)
            if seen.end == "stuck":  # the machine may have been busy
                seen = await exchange(server.port, case, settle, PATIENCE)
        return Judged(case, str(seen), case.verdict(seen))

    found = await asyncio.gather(*map(ask, CASES))
    server.check_alive()
    return found


async def _ready(server: Server) -> None:
    """Wait until the server answers. Raises NotRun."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STARTS_WITHIN):
            while True:
                server.check_alive()
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)
    raise NotRun(f"did not listen within {STARTS_WITHIN:g} s: {server.last_words()}")


def lines_of(table: Table, *, verbose: bool) -> list[str]:
    """Return the table, and below it each server's failures."""
    counts = Counter(case.level for case in CASES)
    rules = Counter(level for level, _ in {(case.level, case.promise) for case in CASES})
    lines = [
        f"{len(CASES)} cases: " + ", ".join(f"{counts[level]} {level}" for level in LEVELS),
        f"of {rules.total()} requirements: "
        + ", ".join(f"{rules[level]} {level}" for level in LEVELS),
        "",
        "| server | MUST | SHOULD | MAY | requirements: MUST | SHOULD | MAY | version |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, found in table.items():
        passed = Counter(j.case.level for j in found if j.verdict == "pass")
        missed = {(j.case.level, j.case.promise) for j in found if j.verdict != "pass"}
        kept = rules - Counter(level for level, _ in missed)
        scores = [f"{passed[level]}/{counts[level]}" for level in LEVELS]
        scores += [f"{kept[level]}/{rules[level]}" for level in LEVELS]
        lines.append(f"| {name} | {' | '.join(scores)} | {version_of(name)} |")
    for name, found in table.items():
        lines += ["", f"{name} fails of the MUSTs:"]
        lines += _told(found, lambda j: j.case.level == "MUST" and j.verdict != "pass") or [
            "  none"
        ]
        if verbose:
            lines += ["", f"{name}, the others that do not pass:"]
            lines += _told(found, lambda j: j.case.level != "MUST" and j.verdict != "pass")
    return lines


def _told(found: list[Judged], wanted: Callable[[Judged], bool]) -> list[str]:
    return [
        f"  {j.case.name:28} {j.verdict}  {j.case.level} {j.case.section}: {j.seen}"
        for j in found
        if wanted(j)
    ]


def version_of(name: str) -> str:
    """Return the installed version."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"


def save(table: Table) -> None:
    """Leave everything that was seen as JSON."""
    REPORT.parent.mkdir(exist_ok=True)
    report = {
        "python": platform.python_version(),
        "servers": {name: version_of(name) for name in table},
        "cases": {
            case.name: {
                "section": case.section,
                "level": case.level,
                "promise": case.promise,
                "passes": case.passes,
                "warns": case.warns,
                "found": {
                    name: {"verdict": found[number].verdict, "seen": found[number].seen}
                    for name, found in table.items()
                },
            }
            for number, case in enumerate(CASES)
        },
    }
    REPORT.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
