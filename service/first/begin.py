"""The first thing that the service's process does: its streams, and its init as process 1."""

from __future__ import annotations

import gc
import os
import sys

from .init import start_below_init

NAMES = ("service", "fc_event_service")
INIT_COMMAND = "fc-event-service"


def is_program() -> bool:
    """Return whether Python was started to run the service, which is being imported."""
    if sys.argv[:1] == ["-m"]:  # as long as the module that it names is looked for
        return sys.orig_argv[-len(sys.argv)].removeprefix("-m") in NAMES
    return os.path.basename(sys.argv[0]) == INIT_COMMAND if sys.argv else False


def begin() -> None:
    """Have the three standard streams, and as process 1 an init; note the times of imports if a
    report of them is asked for. Done twice, it is done once.

    No garbage is looked for from here on until all is imported (`__main__.py`): what is made during
    the imports stays, and to look through it again and again is in vain.
    """
    gc.disable()
    open_missing_streams()
    if os.getpid() == 1:
        start_below_init()
    if "--start-report" in sys.argv:
        from .import_times import begin_import_times

        begin_import_times()


def open_missing_streams() -> None:
    """Open /dev/null in the place of standard streams that were closed at the start: the next file
    or socket would have their descriptors, and what prints would write to it.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            stream = open(descriptor, mode, closefd=False)  # noqa: SIM115 - as long as the process
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
