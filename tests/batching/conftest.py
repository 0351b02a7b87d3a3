"""What the tests of batches share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from service.calls.lifecycle import HERE, Lifecycle

Company = Callable[[int], None]


@contextmanager
def in_flight() -> Iterator[Company]:
    """Gives what sets how many requests are in flight in the instance that code here is of."""
    lifecycle = Lifecycle(drain_timeout=1, hurry=lambda: None)
    token = HERE.set(lifecycle)

    def set_count(count: int) -> None:
        lifecycle.in_flight = count

    yield set_count
    HERE.reset(token)


@pytest.fixture
def company() -> Iterator[Company]:
    """Sets how many requests are in flight."""
    with in_flight() as set_count:
        yield set_count
