"""Fixtures of the tests of `once`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.idempotency.redis_server import RedisServer, or_skip


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server for the tests of a file: each uses keys of its own."""
    with or_skip() as server:
        yield server
