"""The table of a proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.deploy.course import AT_ONCE, EVENTS, Times

HEADS = (
    *("package", "zip MB", "unpacked MB", "port s", "initialize ms", "first answer s"),
    *(f"{EVENTS:,} events, {AT_ONCE} at once s", "memory MB", "after a thaw ms"),
    *("/pre-stop s", "SIGTERM s", "its Python"),
)


@dataclass(frozen=True)
class Row:
    """What one package came to; sizes in bytes."""

    name: str
    packed: int
    unpacked: int
    times: Times
    note: str

    def cells(self) -> Sequence[str]:
        """Its texts, as HEADS names them."""
        times = self.times
        return (
            self.name,
            f"{self.packed / 1e6:.1f}" if self.packed else "-",
            f"{self.unpacked / 1e6:.1f}",
            f"{times.port:.2f}",
            f"{times.initialize * 1e3:.1f}",
            f"{times.first:.2f}",
            f"{times.events:.2f}",
            f"{times.memory / 1e6:.0f}",
            f"{times.thaw * 1e3:.0f}",
            f"{times.pre_stop:.2f}",
            f"{times.sigterm:.2f}",
            self.note,
        )


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table of Markdown."""
    lines = [HEADS, ["---", *["---:"] * (len(HEADS) - 2), "---"], *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
