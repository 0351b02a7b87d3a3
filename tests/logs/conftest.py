"""A log at one end of a pipe, small enough to be filled."""

from __future__ import annotations

import logging
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


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    """No configuration of a test disables a logger of the next one."""
    yield
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
