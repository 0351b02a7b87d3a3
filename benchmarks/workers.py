"""Two workers against one on a handler that computes: `python benchmarks/workers.py`.

Both services run for the whole time and are asked in turns, so that whatever else the machine does
meets both. Each round asks one of them from several connections at once for a few seconds; what
counts is the median of the rounds. As many bare processes that do nothing but compute show what the
machine has to give at the time. Loopback only.
"""

from __future__ import annotations

import argparse
import json
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

HANDLER = """
def compute(rounds):
    total = 0
    for number in range(rounds):
        total += number * number % 7
    return total

async def handler(event, context):
    return compute({rounds})
"""
BARE = (
    HANDLER
    + """
import sys, time

end, count = time.perf_counter() + float(sys.argv[1]), 0
while time.perf_counter() < end:
    compute({rounds})
    count += 1
print(count)
"""
)
REQUEST = (
    b"POST /invoke HTTP/1.1\r\nHost: a\r\nx-fc-request-id: bench\r\nContent-Length: 2\r\n\r\n{}"
)
CALL = 0.010
"""Seconds that one call computes on one core."""

STARTS_WITHIN = 20.0
ANSWERS_WITHIN = 30.0


def main(arguments: Sequence[str]) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each [7]")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round [3]")
    parser.add_argument("--figures", action="store_true", help="print JSON for `make bench`")
    parser.add_argument("--connections", type=int, default=16, help="at once [16]")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="[1 2]")
    options = parser.parse_args(arguments)
    rounds = calibrated()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "index.py").write_text(HANDLER.format(rounds=rounds))
        rates, ceiling = measured(Path(folder), options, rounds)
    print(*([figures(rates, ceiling)] if options.figures else table(rates, ceiling)), sep="\n")
    return 0


def figures(rates: Rates, ceiling: Rates) -> str:
    """Return how many times one worker's rate two workers have, and bare processes, as JSON: the
    median of the rounds' ratios, since a busy minute of the machine meets all of a round.
    """
    _, two = rates.values()
    ratio, bare = (
        statistics.median(after / before for before, after in zip(*each.values(), strict=True))
        for each in (rates, ceiling)
    )
    return json.dumps({"ratio": ratio, "bare": bare, "two": statistics.median(two)})


def calibrated() -> int:
    """How many steps of the handler's loop take `CALL` here; the best of several tries."""
    scope: dict[str, object] = {}
    exec(HANDLER.format(rounds=0), scope)
    compute, steps = scope["compute"], 20_000
    assert callable(compute)
    times = []
    for _ in range(15):
        began = time.perf_counter()
        compute(steps)
        times.append(time.perf_counter() - began)
    return round(steps * CALL / min(times))


Rates = dict[int, list[float]]


def measured(folder: Path, options: argparse.Namespace, rounds: int) -> tuple[Rates, Rates]:
    """The calls per second of each round, by number of workers; those of bare processes beside."""
    rates: Rates = {number: [] for number in options.workers}
    ceiling: Rates = {number: [] for number in options.workers}
    with services(folder, options.workers) as ports:
        for port in ports.values():
            rate(port, options.connections, 1.0)  # warm
        for _ in range(options.rounds):
            for number, port in ports.items():
                found = rate(port, options.connections, options.seconds)
                rates[number].append(found)
                ceiling[number].append(bare(number, options.seconds, rounds))
    return rates, ceiling


def bare(number: int, seconds: float, rounds: int) -> float:
    """Calls per second of so many processes without a server around them."""
    command = [sys.executable, "-c", BARE.format(rounds=rounds), str(seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    counts = [int(each.communicate(timeout=seconds + ANSWERS_WITHIN)[0]) for each in running]
    return sum(counts) / seconds


@contextmanager
def services(folder: Path, numbers: Sequence[int]) -> Iterator[dict[int, int]]:
    """The ports of running services with so many workers each."""
    running = {number: start(folder, number) for number in numbers}
    try:
        yield {number: port for number, (_, port) in running.items()}
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait(30)


def start(folder: Path, workers: int) -> tuple[subprocess.Popen[str], int]:
    """Start a service; its log goes to a file, as a reader of it would take time of the cores."""
    log = folder / f"{workers}.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "--port", "0", "--workers", str(workers)],
        cwd=folder,
        stdout=log.open("w"),
        text=True,
    )
    end = time.monotonic() + STARTS_WITHIN
    while not (match := re.search(r" serves \S+ on http://[^:]+:(\d+)", log.read_text())):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise SystemExit(f"the service did not start: {log.read_text()}")
        time.sleep(0.02)
    return process, int(match[1])


def rate(port: int, connections: int, seconds: float) -> float:
    """Calls per second over all connections, each of which asks again once it is answered.

    What is answered when the time is up is not counted: some workers have nothing to do then. Bare
    sockets, since what this computes the workers cannot have: two cores are all there are.
    """
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(connections):
            sock = socket.create_connection(("127.0.0.1", port), ANSWERS_WITHIN)
            data = (stack.enter_context(sock), bytearray())
            selector.register(sock, selectors.EVENT_READ, data)
        return asked(selector, time.perf_counter() + seconds) / seconds


def asked(selector: selectors.BaseSelector, end: float) -> int:
    """Ask on all connections until the time is up, and wait for what is under way; return how often
    it was answered in time.
    """
    for key in selector.get_map().values():
        key.data[0].sendall(REQUEST)
    count, waiting = 0, len(selector.get_map())
    while waiting:
        ready = selector.select(ANSWERS_WITHIN)
        if not ready:
            raise SystemExit(f"no answer within {ANSWERS_WITHIN:g} s")
        for key, _ in ready:
            sock, answer = key.data
            part = sock.recv(65536)
            answer.extend(part)
            if is_whole(part, answer):
                answer.clear()
                if time.perf_counter() < end:
                    count += 1
                    sock.sendall(REQUEST)
                else:
                    waiting -= 1
    return count


def is_whole(part: bytes, answer: bytearray) -> bool:
    """Whether an answer is here to its last byte."""
    head, found, body = bytes(answer).partition(b"\r\n\r\n")
    if not part or (found and not head.startswith(b"HTTP/1.1 200")):
        raise SystemExit(f"a call failed: {head!r}")
    size = re.search(rb"Content-Length: (\d+)", head)
    return bool(found) and size is not None and len(body) >= int(size[1])


def table(rates: Rates, ceiling: Rates) -> Iterator[str]:
    """The medians, and how many times the first one's each is."""
    yield "| | workers | calls/s, median | lowest | highest | ratio |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for kind, measures in (("service", rates), ("bare processes", ceiling)):
        first = statistics.median(next(iter(measures.values())))
        for number, found in measures.items():
            median = statistics.median(found)
            cells = " | ".join(f"{value:.1f}" for value in (median, min(found), max(found)))
            yield f"| {kind} | {number} | {cells} | {median / first:.2f} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
