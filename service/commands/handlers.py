"""The function of this process: where its output goes, and its handlers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..calls.function import PARTS, Handlers
from ..calls.loader import load
from ..logs.capture import unbuffer_wrappers
from ..logs.gathering import GatheringPipe
from ..logs.log import Logs
from ..process.loop import loop_class
from ..process.patches import check_threads, install
from ..process.signals import SIGNALS
from ..protocol import SERVICE_LOGGER
from ..settings.load import Loaded
from ..settings.table import Settings

_log = logging.getLogger(SERVICE_LOGGER)


@contextmanager
def logged(
    settings: Settings, descriptor: int, pipe: Callable[[int], GatheringPipe] = GatheringPipe
) -> Iterator[Logs]:
    """Within this, all that the function prints and logs leaves by a file descriptor, line by line,
    with the request id of its call. `pipe` makes the pipe there.
    """
    logs = Logs(pipe(descriptor), settings.log_format)
    undo = install(
        logs,
        settings.log_level,
        settings.log_levels,
        lets_all_through=settings.log_buffer or settings.debug_sample > 0,
    )
    try:
        yield logs
    except BaseException:
        undo()  # what is said of it is no line of the log
        raise
    finally:
        logs.close()  # and goes on: what runs at exit logs, too


@contextmanager
def silent() -> Iterator[None]:
    """Within this, the service warns of nothing."""
    before = _log.level
    _log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _log.setLevel(before)


def _warn_of_sessions(settings: Settings) -> None:
    from ..settings.doubts import session_doubts  # few functions have sessions

    for doubt in session_doubts(settings):
        _log.warning("%s", doubt)


def load_handlers(loaded: Loaded, cwd: Path) -> Handlers:
    """Import the user's module. Raises StartError, or Stopped for a stop that the module caught."""
    wanted = loaded.settings
    if loaded.unclaimed:
        _log.warning(
            "%s: no setting of the service has this name, so it is left to the function",
            ", ".join(loaded.unclaimed),
        )
    if wanted.session_header is not None:
        _warn_of_sessions(wanted)
    loop_class(wanted.loop)
    hooks = {what: getattr(wanted, what) or "" for what in PARTS}
    handlers = load(wanted.handlers, cwd, **hooks)
    check_threads()
    unbuffer_wrappers()
    SIGNALS.check()
    return handlers
