"""Fixtures of the tests that provoke faults."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

MATRIX = [
    {"loop": loop, "workers": workers, "kind": kind}
    for loop in ("uvloop", "asyncio")
    for workers in (1, 2)
    for kind in ("handler", "plain")
]


PAIRS = [MATRIX[number] for number in (0, 3, 5, 6)]
"""Each two of loop, number of workers and kind together at least once."""


MEASURED = {"cli", "connection", "contract", "functions", "isolation", "lifecycle", "workers"}
"""The tests whose services' coverage is measured. The others provoke faults by the thousand, look
at each line, socket and file of a service, and would take half as long again.
"""


@pytest.fixture(scope="module", autouse=True)
def measured(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let only some tests start processes that measure their coverage."""
    with pytest.MonkeyPatch.context() as patch:
        if request.module.__name__.rpartition("test_")[2] not in MEASURED:
            for variable in list(os.environ):
                if variable.startswith("COVERAGE_PROCESS"):
                    patch.delenv(variable)
        yield


def name(case: dict[str, Any]) -> str:
    """Return a case's name in the list of tests."""
    return "-".join(map(str, case.values()))


@pytest.fixture(params=PAIRS, ids=name)
def pairs(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Half of the matrix: each two of its properties meet."""
    return dict(request.param)
