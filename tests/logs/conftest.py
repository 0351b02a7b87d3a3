"""A log at one end of a pipe, small enough to be filled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.assembly import Pipe

LINE = b"x" * 99 + b"\n"


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that holds 4 KiB, and a log that keeps 2,000 bytes beyond it."""
    made = Pipe(capacity=2000, size=4096)
    yield made
    made.close()
