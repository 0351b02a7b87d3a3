"""What a typed event costs: `python -m benchmarks.typed_event`.

An OSS event, in the compact JSON that the platform sends, is decoded as `OssEvent` and one field is
read; beside it `orjson.loads` and the same field by hand. Both in turns, medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import timeit
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from service.calls.decode import decoder
from service.events import OssEvent
from service.events.sample import sample

CALLS = 1000
MUST, GOAL = 1.0, 0.7
"""Of the time that it takes by hand."""


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if it takes longer than it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41, help=f"of {CALLS} events each [41]")
    parser.add_argument("--figures", action="store_true", help="print JSON for `make bench`")
    options = parser.parse_args(arguments)
    body = orjson.dumps(orjson.loads(sample("oss.put")))
    hand, typed = measured(ways(body), options.rounds)
    ratio = typed / hand
    if options.figures:
        print(json.dumps({"ratio": ratio, "typed": typed, "hand": hand}))
        return 0
    print(f"An OSS event of {len(body)} bytes, decoded, and its object's key read:")
    print(f"orjson.loads and by hand {hand:.2f} us, OssEvent {typed:.2f} us.")
    verdict = "MISSED" if ratio > MUST else "met"
    print(f"{ratio:.2f} of it (must: {MUST:g}, {verdict}; goal: {GOAL:g})")
    return int(ratio > MUST)


def ways(body: bytes) -> list[Callable[[], Any]]:
    """Return the two ways to the object's key."""
    decode = decoder(OssEvent)
    return [
        lambda: orjson.loads(body)["events"][0]["oss"]["object"]["key"],
        lambda: decode(body).events[0].oss.object.key,
    ]


def measured(works: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Return the microseconds of CPU time that each takes: the median of rounds, in turns."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, times in zip(works, taken, strict=True):
            seconds = timeit.timeit(work, timer=time.process_time, number=CALLS)
            times.append(seconds / CALLS * 1e6)
    return [statistics.median(times) for times in taken]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
