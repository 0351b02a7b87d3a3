"""The common start of several workers: the supervisor here, each worker in a process of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from ..errors import StartError
from ..logs.gathering import GatheringPipe
from ..logs.log import Logs
from ..process.patches import route
from ..process.serve import listen
from ..process.signals import Stopped
from ..settings.table import Settings
from .supervisor import Supervisor, blocked, unblocked
from .worker import WorkerShare


def serve_by_workers(number: int, settings: Settings, work: Callable[[WorkerShare], int]) -> int:
    """Serve with `number` workers until SIGTERM or SIGINT; return the exit code.

    Each worker is a new process in which this returns what `work` returns. Raises StartError when
    the port or a worker fails, in the supervisor alone.
    """
    sock = listen(settings)
    with blocked():
        outcome = _supervised(number, settings, sock)
        if isinstance(outcome, WorkerShare):
            return _worked(outcome, work)
    return outcome


def _supervised(number: int, settings: Settings, sock: socket.socket) -> int | WorkerShare:
    supervisor = os.getpid()
    logs = Logs(GatheringPipe(1), settings.log_format)
    undo = route(logs, settings.log_level)
    try:
        return Supervisor(number, settings, sock, logs).run()
    finally:
        undo()
        if os.getpid() == supervisor:
            logs.close()
        else:
            logs.pipe.close()  # without a flush: what is pending is the supervisor's to write


def _worked(share: WorkerShare, work: Callable[[WorkerShare], int]) -> int:
    """Be a worker; return its exit code. A stop that comes while it starts is its end, and no
    failure.
    """
    try:
        with unblocked():
            return work(share)
    except Stopped:
        return 0
    except StartError as error:
        share.failed(error)
        return error.exit_code
    finally:
        share.close()
