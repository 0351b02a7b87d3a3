"""A command's result on stdout."""

from __future__ import annotations

import sys


def write_result(result: bytes) -> None:
    """Write the bytes as they are; a terminal gets a line end after them."""
    sys.stdout.buffer.write(result)
    sys.stdout.buffer.flush()
    if result and not result.endswith(b"\n") and sys.stdout.isatty():
        print()  # noqa: T201
