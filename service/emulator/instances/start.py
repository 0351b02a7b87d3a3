"""How an instance is started: its command, and the wait for its port (docs/platform.md sections 1.3
and 6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .. import failures
from ..spec.model import DeployedFunction
from .descriptors import OUT_OF_MEANS
from .output import Output
from .ports import is_open
from .private import PrivateFolder, shown_to
from .processes import Processes

FIRST_LOOK, LAST_LOOK = 0.005, 0.1
"""Seconds between two connects, at first and at last: nothing tells when another process's port
opens.
"""

SILENCE = 3.0
"""Seconds after which the log says what is waited for."""


@dataclass(frozen=True, slots=True)
class InstanceStart:
    """What an instance is started with; `cap` is how many of the function there may be."""

    function: DeployedFunction
    variables: Mapping[str, str]
    port: int
    output: Output
    private: PrivateFolder
    cap: int

    @property
    def wanted(self) -> failures.WantedPort:
        """The port, as a failure tells of it."""
        return failures.WantedPort(self.port, self.function.port, self.cap)


@dataclass(slots=True)
class StartTimes:
    """When an instance was made, its port was open, and it could be called, by the monotonic clock;
    0.0 for what has not been.
    """

    made: float
    opened: float = 0.0
    ready: float = 0.0


def start_process(given: InstanceStart) -> Processes:
    """Start the command of a function; raises PlatformError if that is not possible."""
    function, output = given.function, given.output
    folder, first = function.code, function.command[0]
    if not folder.is_dir():
        raise failures.no_folder(str(folder))
    file = folder / first
    if "/" in first and not file.exists():
        inside = file.is_relative_to(folder)
        raise failures.no_file(f"/code/{file.relative_to(folder)}" if inside else first)
    try:
        shown = shown_to(folder, function.command, given.variables)
        return Processes(
            function.command,
            folder,
            given.variables,
            output.writer,
            lambda spawn: given.private.start(spawn, shown),
        )
    except OSError as reason:
        if reason.errno in OUT_OF_MEANS:
            raise
        number = reason.errno or 0
        raise failures.exited(number, function.command, "", given.wanted) from None
    finally:
        output.close_writer()


async def wait_for_port(
    given: InstanceStart, processes: Processes, seconds: float, write: Callable[[str], None]
) -> None:
    """Return once the port is open; raises PlatformError when it does not open in time, or the
    first process ends before. After a few seconds `write` is told what is waited for.
    """
    output, port = given.output, given.wanted
    began = asyncio.get_running_loop().time()
    pause, silent = FIRST_LOOK, True
    try:
        async with asyncio.timeout(seconds):
            while not await is_open(given.port):
                await asyncio.wait([processes.ended], timeout=pause)
                if processes.ended.done():
                    output.catch_up()
                    code, command = processes.ended.result(), given.function.command
                    raise failures.exited(code, command, output.recent, port)
                if silent and asyncio.get_running_loop().time() - began >= SILENCE:
                    silent = False
                    write(failures.waits(port, seconds, processes.listening()))
                pause = min(2 * pause, LAST_LOOK)
    except TimeoutError:
        output.catch_up()
        found = processes.listening()
        raise failures.not_started(port, seconds, output.recent, found) from None
