"""gunicorn's arbiter, which makes the workers' processes, and how a new one gets out of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

from ..errors import StartError
from .worker import Seat


def new_arbiter(number: int) -> Any:
    """Return gunicorn's arbiter, which makes processes and knows them. Raises StartError where
    gunicorn is missing.
    """
    try:
        # The `workers` extra. It has no types.
        from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
        from gunicorn.config import Config  # type: ignore[import-untyped]
        from gunicorn.glogging import Logger  # type: ignore[import-untyped]
    except ImportError as reason:
        raise StartError(
            "more than one worker needs gunicorn: run `make dev`, or install the extra `workers`"
        ) from reason

    class Log(Logger):  # type: ignore[misc] # it is Any
        """gunicorn's log lines that matter, in our log."""

        def setup(self, cfg: Any) -> None:
            self.cfg = cfg
            self.error_log.setLevel(logging.WARNING)
            self.error_log.propagate = True

    config = Config()
    for name, value in {"workers": number, "timeout": 0, "logger_class": Log}.items():
        config.set(name, value)
    arbiter = Arbiter(SimpleNamespace(cfg=config))
    arbiter.pid = os.getpid()
    return arbiter


class Recruit:
    """What gunicorn takes for its worker object: in the new process it leaves gunicorn for good."""

    def __init__(self, begin: Callable[[], NoReturn]) -> None:
        self.pid = 0
        self.booted = True
        self.tmp = SimpleNamespace(close=lambda: None)  # gunicorn's sign of life, unused
        self.init_process = begin


class Forked(BaseException):
    """This process is a new worker: it leaves the parent's frames, gunicorn's included."""

    def __init__(self, seat: Seat) -> None:
        super().__init__()
        self.seat = seat
