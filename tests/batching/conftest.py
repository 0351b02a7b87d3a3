"""What the tests of batches share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.calls.lifecycle import Lifecycle

Company = Callable[[int], None]


@pytest.fixture
def company() -> Company:
    """Sets how many requests are in flight in this process."""
    lifecycle = Lifecycle(drain_timeout=1, hurry=lambda: None)

    def set_count(count: int) -> None:
        lifecycle.in_flight = count

    return set_count
