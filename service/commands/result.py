"""A command's result on stdout: whole, alone, and no failure if its reader has left."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

STDOUT = 1


def keep_stdout() -> int:
    """Keep stdout for the result, and return where it is written: what anything else writes there
    from now on, child processes of the function's included, goes to stderr.
    """
    kept = os.dup(STDOUT)
    os.dup2(2, STDOUT)
    return kept


def write_result(result: bytes, descriptor: int = STDOUT) -> None:
    """Write the bytes as they are; a terminal gets a line end after them."""
    if result and not result.endswith(b"\n") and os.isatty(descriptor):
        result += b"\n"
    rest = memoryview(result)
    with suppress(BrokenPipeError):  # `| head` has what it wants
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def flush_stdout() -> None:
    """Write what `print` has kept. If the reader has left, Python would say so at the exit, with a
    code of its own.
    """
    if sys.__stdout__ is None:
        return
    try:
        sys.__stdout__.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STDOUT)
        os.close(nowhere)
    except (OSError, ValueError):
        return
