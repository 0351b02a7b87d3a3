"""The common start of several workers: the parent here, each worker in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..errors import StartError
from ..logs.capture import route_all
from ..logs.log import Logs
from ..logs.pipe import Sink
from ..process.serve import listen
from ..settings.table import Settings
from .forking import Forked, new_arbiter
from .supervisor import Parent
from .worker import Seat


def supervise_workers(number: int, settings: Settings, work: Callable[[Seat], int]) -> int:
    """Serve with `number` workers until SIGTERM or SIGINT; return the exit code.

    Each worker is a new process in which this returns what `work` returns. Raises StartError when
    the port or a worker fails, in the parent alone.
    """
    arbiter = new_arbiter(number)
    sock = listen(settings)
    logs = Logs(Sink(1), settings.log_format)
    undo = route_all(logs, settings.log_level)
    try:
        return Parent(number, settings, sock, arbiter, logs).run()
    except Forked as new:
        seat = new.seat
    finally:
        undo()
        if os.getpid() == arbiter.pid:
            logs.close()
        else:
            logs.sink.close()  # without a flush: what is pending is the parent's to write
    return _work(seat, work)


def _work(seat: Seat, work: Callable[[Seat], int]) -> int:
    try:
        return work(seat)
    except StartError as error:
        seat.failed(error)
        return error.exit_code
    finally:
        seat.close()
