"""The measurement as text: the table, what is to be said of it, and what to deploy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .fit import CallFit
from .level import SizeLevel
from .recommend import SizeAdvice
from .report import SizeReport

LEVEL_COLUMNS = (
    "at once",
    "calls/s",
    "full ms",
    "p50 ms",
    "p99 ms",
    "CPU ms",
    "MB",
    "stalls",
    "errors",
)

LEVEL_LEGEND = (
    "calls/s and full: so many calls in the instance throughout. p50, p99: due at 80% of that rate,"
    "\ncounted from when each was due. CPU: of one call. All on this machine ({cpus} CPUs)."
)


def size_page(report: SizeReport, fitted: CallFit | None, told: Sequence[str]) -> str:
    """Return the table, its legend, and the findings."""
    rows = [_cells(level) for level in report.levels]
    legend = LEVEL_LEGEND.format(cpus=report.cpus)
    if report.trial is not None:
        rows.append([f"({report.trial.workers}) {report.trial.level.at_once}"])
        rows[-1] += _cells(report.trial.level)[1:]
        legend += f" ({report.trial.workers}): with {report.trial.workers} workers."
    lines = [*table_lines(LEVEL_COLUMNS, rows), "", legend]
    if fitted is not None:
        lines.append(
            f"fit: {fitted.wait * 1000:,.1f} ms of waiting, {fitted.serial * 1000:,.2f} ms in which"
            f" no other call gets on, {fitted.off:.0%} off in the mean"
        )
    if told:
        lines += ["", *told]
    return "".join(f"{line}\n" for line in lines)


def advice_text(advice: SizeAdvice) -> str:
    """Return what to deploy, as it stands in s.yaml, and why."""
    size = advice.size
    lines = [
        "",
        "deploy",
        f"  instanceConcurrency: {advice.concurrency}",
        f"  memorySize: {size.memory}",
        f"  cpu: {size.cpu:g}",
        "  environmentVariables:",
        f'    SERVICE_CONCURRENCY: "{advice.concurrency}"',
    ]
    if advice.workers > 1:
        lines.append(f'    SERVICE_WORKERS: "{advice.workers}"')
    pool = (
        f"{advice.threads} threads, one a call (SERVICE_CONCURRENCY)"
        if advice.threads
        else "none is needed: the handler is async"
    )
    lines += [
        f"workers: {advice.workers}; pool for plain `def` handlers: {pool}",
        f"margin: full, it uses {advice.busy:.0%} of its vCPU, and a call takes"
        f" {advice.full * 1000:,.0f} ms;",
        "  a vCPU may be slower than a CPU of this machine",
        "",
        "because",
        *(f"  {reason}" for reason in advice.reasons),
    ]
    return "".join(f"{line}\n" for line in lines)


def _cells(level: SizeLevel) -> list[str]:
    return [
        f"{level.at_once}",
        f"{level.throughput:,.1f}",
        in_ms(level.full),
        in_ms(level.p50),
        in_ms(level.p99),
        f"{level.cpu * 1000:.2f}",
        f"{level.memory:.0f}",
        "-" if level.stalls is None else f"{level.stalls}",
        f"{level.errors:,}",
    ]


def in_ms(seconds: float) -> str:
    """Return a time in milliseconds, "-" if there is none."""
    return "-" if seconds != seconds else f"{seconds * 1000:,.1f}"


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return a table's lines, its columns to the right."""
    table = [list(columns), *map(list, rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))]
    for line in table:
        yield "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
