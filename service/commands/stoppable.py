"""Commands that write a folder, and leave nothing of it if a signal stops them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import StartError
from ..whole_folder import Interrupted, interrupted_by_signals


@contextmanager
def stoppable(left: str) -> Iterator[None]:
    """Within this, SIGINT, SIGTERM and SIGHUP end the command: a StartError with the exit code of
    the signal says what is `left`.
    """
    try:
        with interrupted_by_signals():
            yield
    except Interrupted as stop:
        error = StartError(f"{stop}: {left}")
        error.exit_code = stop.exit_code
        raise error from None
