"""What the tests of connections share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.http.clock import Clock


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A loop in which an hour takes no time."""
    loop = Clock()
    yield loop
    loop.close()
