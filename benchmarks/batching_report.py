"""What `make bench-batching` tells: a table, and a page with it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
CALLERS = (50, 200)
SINGLE = "ours, a call at a time"

Rounds = dict[str, dict[int, list[dict[str, float]]]]
"""The figures of each round, by server and callers."""


def median(rounds: Sequence[Mapping[str, float]], figure: str) -> float:
    """Return the median of the rounds."""
    return statistics.median(each[figure] for each in rounds)


def table(found: Rounds, missing: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of the table: each server's figures, and its calls for one of the single
    one's.
    """
    heads = [f"{n} callers: calls/s | for one | p50, ms | p99, ms | CPU, ms" for n in CALLERS]
    yield f"| server | {' | '.join(heads)} |"
    yield "| --- |" + " ---: |" * 5 * len(CALLERS)
    for name, by_callers in found.items():
        if name in missing:
            yield f"| {name} | not run: {missing[name]} |" + " |" * (5 * len(CALLERS) - 1)
            continue
        cells = []
        for count in CALLERS:
            rounds, single = by_callers[count], found.get(SINGLE, {}).get(count)
            rate = median(rounds, "rps")
            ratio = f"{rate / median(single, 'rps'):.1f}" if single else ""
            if errors := sum(each["errors"] for each in rounds):
                ratio += f" ({errors:.0f} errors)"
            times = [f"{median(rounds, each):.1f}" for each in ("p50", "p99")]
            cells += [f"{rate:,.0f}", ratio, *times, f"{median(rounds, 'cpu') / 1000:.2f}"]
        yield f"| {name} | {' | '.join(cells)} |"


def publish(report: Mapping[str, Any]) -> None:
    """Write the table and the picture of the page anew, and keep the figures beside them."""
    from benchmarks import batching_plot

    page = DOCS / "batching.md"
    before, _, rest = page.read_text().partition("<!-- made: batching -->\n")
    _, mark, after = rest.partition("<!-- end -->")
    if not mark:
        raise SystemExit(f"{page} has no place for the table")
    found, own = report["rounds"], report["machine"]
    made = (
        f"Python {report['python']}, {report['date'][:10]}, {own['cores']} cores of {own['cpu']}."
    )
    text = "\n".join([*table(found, report["missing"]), "", made])
    page.write_text(f"{before}<!-- made: batching -->\n\n{text}\n\n{mark}{after}")
    (DOCS / "batching.json").write_text(json.dumps(report, indent=1) + "\n")
    batching_plot.draw(report, [DOCS / "batching.png"])
