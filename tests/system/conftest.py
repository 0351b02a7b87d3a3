"""Fixtures of the tests that provoke faults."""

from __future__ import annotations

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


def name(case: dict[str, Any]) -> str:
    """Return a case's name in the list of tests."""
    return "-".join(map(str, case.values()))


@pytest.fixture(params=PAIRS, ids=name)
def pairs(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Half of the matrix: each two of its properties meet."""
    return dict(request.param)


@pytest.fixture(params=MATRIX, ids=name)
def matrix(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each event loop, with one worker and with two, for async and for plain handlers."""
    return dict(request.param)
