"""The lines of a start report: what a stranger reads."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from service.commands.start_lines import (
    ARRIVES,
    FIRST_LINE,
    dearest,
    process_began,
    report_lines,
)
from service.first.import_times import Imported

CODE = Path("/code")
PACKAGES = "/python/lib/site-packages"


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(CODE), f"{CODE}/python", PACKAGES])


def imported(
    name: str, file: str, own: float, parent: Imported | None = None, line: int = 1
) -> Imported:
    """A module that was imported by another one, or by the service."""
    each = Imported(name, parent, (parent.file if parent else "/python/service.py", line))
    each.file, each.own = file, own
    above: Imported | None = each
    while above is not None:
        above.whole += own
        above = above.parent
    return each


INDEX = imported("index", "/code/index.py", 0.002)
PRICES = imported("prices", "/code/prices.py", 0.02, INDEX, 3)
PANDAS = imported("pandas", f"{PACKAGES}/pandas/__init__.py", 0.1, PRICES, 7)
CORE = imported("pandas.core", f"{PACKAGES}/pandas/core.py", 0.25, PANDAS, 1)
JSON = imported("json", "/python/lib/json/__init__.py", 0.003, CORE, 1)
BUNDLED = imported("oss2", "/code/python/oss2/__init__.py", 0.03, INDEX, 4)
IMPORTS = [INDEX, PRICES, PANDAS, CORE, JSON, BUNDLED]


def test_the_report_says_what_came_when_and_what_to_do() -> None:
    """Steps, packages, modules, and the dearest of the function's imports with their lines."""
    began = 1000.0
    marks = {FIRST_LINE: began + 0.02, "the port answers": began + 0.5, ARRIVES: began + 9.5}
    lines = list(report_lines(began, {**marks, "its answer is made": began + 9.51}, IMPORTS, CODE))
    assert lines[2] == f"     20.0     20.0  {FIRST_LINE}"
    assert [line.split(maxsplit=2)[-1] for line in lines[2:4]] == [FIRST_LINE, "the port answers"]
    assert lines[4].split()[1:] == ARRIVES.split(), "nobody waits for it"
    assert lines[5].split()[1:] == ["10.0", "its", "answer", "is", "made"]
    assert lines[6:8] == [
        "imports: 6 modules of 5 packages, 405.0 ms",
        "  `own` is without what a module imports first, `all` with it; milliseconds",
    ]
    assert lines[8:14] == [
        "      own      all  modules  package",
        "      2.0    405.0        1  index",
        "     20.0    373.0        1  prices",
        "    350.0    353.0        2  pandas",
        "     30.0     30.0        1  oss2",
        "      3.0      3.0        1  (Python's library)",
    ]
    assert lines[14:17] == [
        "      own      all  module",
        "    250.0    253.0  pandas.core",
        "    100.0    353.0  pandas",
    ]
    assert lines[-4:] == [
        "the dearest imports of the function, and what to do",
        "    353.0  pandas (prices.py line 7): import it inside of the function that needs it, or"
        " take a smaller package",
        "     30.0  oss2 (index.py line 4): import it inside of the function that needs it, or take"
        " a smaller package",
        "     20.0  prices (prices.py): its own lines take this long: do that work in the"
        " initializer, or when it is needed",
    ]


def test_a_start_without_a_call_says_so() -> None:
    """A stop came first; and who has no dear imports hears that there is nothing to save."""
    lines = list(report_lines(1000.0, {FIRST_LINE: 1000.02}, [INDEX], CODE))
    assert "  no call came before the stop" in lines
    assert lines[-1] == "no import of the function's own takes 5 ms: nothing to save there"


def test_at_most_five_are_named() -> None:
    """The dearest come first."""
    index = imported("index", "/code/index.py", 0.002)
    many = [imported(f"m{each}", f"{PACKAGES}/m.py", each / 10, index) for each in range(1, 9)]
    assert [each.name for _, each in dearest(many, CODE)] == ["m8", "m7", "m6", "m5", "m4"]


def test_a_process_began_before_now() -> None:
    """The kernel knows when, to a hundredth of a second."""
    assert 0 < process_began() < time.monotonic()
