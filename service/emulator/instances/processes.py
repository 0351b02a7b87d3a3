"""All processes of one instance: what it started, and what that started in turn.

The first process leads a session and a process group of its own, so that one signal reaches most
of them. What left the group is found in Linux's /proc (`proc.py`): by session, by parent, and by
the variable FC_INSTANCE_ID, which even a process that was left by its parent still has. One that
has left all of these behind is known if it was seen before. Without /proc (macOS), the group is all
that is known, and memory is 0.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .proc import (
    ProcessEntry,
    ProcessUse,
    entry_of,
    environment_of,
    listening,
    process_table,
    resident,
    threads_of,
    use_of,
)

ROUNDS = 20
"""How often what an instance has started is looked for and killed: a process may start another one
meanwhile.
"""

EXEC = 0.01
"""Seconds in which a process is through with its exec."""

END_PATIENCE = 5.0
"""Seconds that one killed process is waited for: the kernel may hold it."""


Spawn = Callable[[], "subprocess.Popen[bytes]"]
Start = Callable[[Spawn], "subprocess.Popen[bytes]"]
"""Calls what starts a process, perhaps with mounts of its own around it."""


class Processes:
    """The processes of one instance. `ended` becomes the first one's exit code, as a shell tells
    it: 128 and the signal's number if a signal ended it.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        output: int,
        start: Start = lambda spawn: spawn(),
    ) -> None:
        """Start `command` in `folder`, with its stdout and stderr going to `output`; `start` calls
        what does it.

        Raises OSError with the reason of exec: ENOENT, EACCES or ENOEXEC.
        """
        self._marker = f"FC_INSTANCE_ID={environment['FC_INSTANCE_ID']}".encode()
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self._process = start(
            lambda: subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        )
        self.pid = self._process.pid
        first = self._first_entry()
        self._members = {self.pid: first.started} if first else {}
        self._strays: dict[int, int] = {}  # members of other groups, and when they were started
        self._strangers: dict[int, int] = {}  # processes that are known not to be ours
        self._born = first.started if first else 0
        self.unsure = False
        """Whether the last look has met a process of which it could not be told whose it is."""
        self._wait()

    def _first_entry(self) -> ProcessEntry | None:
        with suppress(OSError):
            return entry_of(self.pid)
        return None

    # --- its end

    def _wait(self) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux
            threading.Thread(target=self._wait_in_thread, daemon=True).start()
            return
        self._loop.add_reader(descriptor, self._reap, descriptor)

    def _reap(self, descriptor: int) -> None:
        if self._process.poll() is not None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
            self._note_end()

    def _wait_in_thread(self) -> None:
        self._process.wait()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._note_end)

    def _note_end(self) -> None:
        code = self._process.returncode
        if not self.ended.done():
            self.ended.set_result(128 - code if code < 0 else code)

    # --- signals

    def signal_first(self, number: signal.Signals) -> None:
        """Send a signal to the first process, as a container's end does."""
        if not self.ended.done():
            self._process.send_signal(number)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to all processes that are known: the whole group, and those outside it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        if self._strays:
            _signal(self._strays, number)

    def signal_strays(self, number: signal.Signals) -> None:
        """Send a signal to those outside the group alone."""
        _signal(self._strays, number)

    def look(self, entries: Mapping[int, ProcessEntry]) -> None:
        """Find all processes of the instance in a `process_table()` of now."""
        self.unsure = False
        found = {pid for pid, entry in entries.items() if self._is_ours(entry)}
        children: dict[int, list[int]] = {}
        for entry in entries.values():
            children.setdefault(entry.parent, []).append(entry.pid)
        unvisited = list(found)
        while unvisited:
            fresh = [pid for pid in children.get(unvisited.pop(), ()) if pid not in found]
            found.update(fresh)
            unvisited += fresh
        self._members = {pid: entries[pid].started for pid in found}
        self._strays = {pid: self._members[pid] for pid in found if entries[pid].group != self.pid}
        if not self.unsure:
            others = ((pid, entry) for pid, entry in entries.items() if pid not in found)
            self._strangers = {pid: entry.started for pid, entry in others}

    def _is_ours(self, entry: ProcessEntry) -> bool:
        if self.pid in (entry.session, entry.group):
            return True
        if self._members.get(entry.pid) == entry.started:
            return True
        if entry.started < self._born or self._strangers.get(entry.pid) == entry.started:
            return False
        environment = environment_of(entry.pid)
        if environment is None:
            return False
        self.unsure = self.unsure or not environment  # in the middle of an exec it has none
        return self._marker in environment.split(b"\0")

    async def kill(self) -> None:
        """End every process of the instance; return once none is left."""
        self._look_around()  # before their parents are gone
        self.signal_all(signal.SIGKILL)
        for _ in range(ROUNDS):
            self._look_around()
            if not self._members and not self.unsure:
                break
            if self.unsure:
                await asyncio.sleep(EXEC)
            _signal(self._members, signal.SIGKILL)
            await asyncio.gather(*map(_end_of, self._members))
        await self.ended

    def _look_around(self) -> None:
        try:
            self.look(process_table())
        except OSError:  # no more files may be open: others may be closed by the next look
            self.unsure = True

    # --- what they use

    def memory(self) -> float:
        """Return the resident memory of the processes that are known, in MB."""
        return sum(map(resident, self._members)) / 1024**2

    def use(self) -> ProcessUse:
        """Return what the processes that are known have used together."""
        found = [*map(use_of, self._members)]
        return ProcessUse(
            sum(each.cpu for each in found),
            sum(each.ready for each in found),
        )

    def threads(self) -> int:
        """Return how many threads the processes that are known have."""
        return sum(map(threads_of, self._members))

    def listening(self) -> list[tuple[str, int]]:
        """Return the IPv4 and IPv6 addresses and ports on which the processes listen."""
        self.look(process_table())
        return listening(self.pid, self._members)


def _signal(processes: Mapping[int, int], number: signal.Signals) -> None:
    for pid, started in list(processes.items()):
        with suppress(OSError):  # it has ended, is another user's, or nothing can be read of it
            entry = entry_of(pid)
            if entry is not None and entry.started == started:  # else its number is another one's
                os.kill(pid, number)


async def _end_of(pid: int) -> None:
    """Return once a process has ended, whoever its parent is; after a while in any case."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):  # it has ended
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(END_PATIENCE):
                await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
