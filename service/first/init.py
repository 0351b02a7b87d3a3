"""Process 1 of a container: it starts the service, passes signals on, and reaps orphans.

The kernel asks two things of process 1. Processes whose parent has ended become its children, and
each that ends keeps its place among those that there may be (`pids.max`) until it is waited for.
And a signal that it has no handler for is dropped.

The service cannot reap orphans itself: who waits for any child takes the exit status away from code
of the function's that waits for its own (subprocess, multiprocessing, asyncio). So process 1 is a
process of its own. It forks the service before anything is imported, and is no more than a bare
interpreter then.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn

FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}
"""Signals of the process's own faults, which cannot wait."""


def start_below_init() -> None:
    """Return in a new process, which is to be the service. In this one, be its init, and end with
    its exit code.
    """
    waiting = {int(number) for number in signal.valid_signals() - FAULTS}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
    service = os.fork()
    if service:
        _be_init(service, waiting)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_init(service: int, waiting: set[int]) -> NoReturn:
    passed_on = set[int]()
    while True:
        arrived = signal.sigwaitinfo(waiting)  # a blocked signal waits, for process 1 as well
        if arrived.si_signo == signal.SIGCHLD:
            for pid, status in ended():
                if pid == service:
                    os._exit(exit_code(os.waitstatus_to_exitcode(status), passed_on))
        elif arrived.si_code <= 0:  # not the kernel's: a terminal's Ctrl-C reaches the whole group
            passed_on.add(arrived.si_signo)
            os.kill(service, arrived.si_signo)


def ended() -> Iterator[tuple[int, int]]:
    """Yield the process id and the status of each child that has ended."""
    with suppress(ChildProcessError):
        while (each := os.waitpid(-1, os.WNOHANG))[0]:
            yield each


def exit_code(code: int, passed_on: set[int]) -> int:
    """Return the exit code for the service's, which is negative if a signal ended it. One that was
    passed on before the service had its handlers had nothing to finish: that is a clean stop.
    """
    if code >= 0:
        return code
    return 0 if -code in passed_on else 128 - code
