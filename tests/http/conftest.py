"""What the tests of connections share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.virtual_clock import VirtualLoop


@pytest.fixture
def clock() -> Iterator[VirtualLoop]:
    """A loop in which an hour takes no time."""
    loop = VirtualLoop(start=0)
    yield loop
    loop.close()
