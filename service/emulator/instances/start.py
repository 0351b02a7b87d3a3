"""How an instance is started: its command, and the wait for its port (docs/platform.md sections 1.3
and 6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from .. import failures
from ..spec.model import Function
from .output import Output
from .ports import is_open
from .processes import Processes

FIRST_LOOK, LAST_LOOK = 0.005, 0.1
"""Seconds between two connects, at first and at last: nothing tells when another process's port
opens.
"""


def launch(
    function: Function, variables: Mapping[str, str], port: int, output: Output
) -> Processes:
    """Start the command of a function; raises PlatformError where that is not possible."""
    folder, first = function.code, function.command[0]
    if not folder.is_dir():
        raise failures.no_folder(str(folder))
    file = folder / first
    if "/" in first and not file.exists():
        inside = file.is_relative_to(folder)
        raise failures.no_file(f"/code/{file.relative_to(folder)}" if inside else first)
    try:
        return Processes(function.command, folder, variables, output.writer)
    except OSError as reason:
        raise failures.exited(reason.errno or 0, function.command, "", port) from None
    finally:
        output.close_writer()


async def wait_for_port(
    function: Function, processes: Processes, port: int, output: Output, seconds: float
) -> None:
    """Return once the port is open; raises PlatformError when it does not open in time, or the
    first process ends before.
    """
    pause = FIRST_LOOK
    try:
        async with asyncio.timeout(seconds):
            while not await is_open(port):
                await asyncio.wait([processes.ended], timeout=pause)
                if processes.ended.done():
                    output.catch_up()
                    code = processes.ended.result()
                    raise failures.exited(code, function.command, output.recent, port)
                pause = min(2 * pause, LAST_LOOK)
    except TimeoutError:
        output.catch_up()
        found = processes.listening()
        raise failures.not_started(port, seconds, output.recent, found) from None
