"""Services that start from where their imports are done: what most tests of real processes need.

Half of what a start takes is imports, which are the same each time. So one process for each of
pytest's makes them once, and forks what is asked for: that one has a folder, an environment, flags
and output of its own, and runs `python -m service` from its first line. What a start itself does,
its interpreter's options and variables, and what a process holds, is tested on real starts.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

OWN_VARIABLES = ("SERVICE_", "FC_", "OTEL_", "ALIBABA_CLOUD_", "PYTEST_")
"""What nobody reads while a start imports: with any other variable it may be a different one."""

MOST = 64 * 1024
"""Bytes of what is asked for."""


class WarmProcess:
    """A started service, as `subprocess.Popen` gives it."""

    def __init__(self, starts: WarmStarts, pid: int, stdout: int, stderr: int) -> None:
        self._starts = starts
        self._descriptor = os.pidfd_open(pid)
        self.pid = pid
        self.returncode: int | None = None
        self.stdout: Any = os.fdopen(stdout, "rb", 0) if stdout >= 0 else None
        self.stderr: Any = os.fdopen(stderr, "rb", 0)

    def communicate(self, timeout: float) -> tuple[bytes, bytes]:
        """Read all that it writes, until it ends."""
        with ThreadPoolExecutor(2) as pool, self.stderr:
            errors = pool.submit(self.stderr.read)
            output = b""
            if self.stdout is not None:
                with self.stdout:
                    output = self.stdout.read()
            self.wait(timeout)
            return output, errors.result()

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self.returncode is None and self._is_over(0):
            self.returncode = self._starts.exit_code(self.pid)
            os.close(self._descriptor)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code."""
        if self.returncode is None and not self._is_over(timeout):
            raise subprocess.TimeoutExpired("python -m service", timeout or 0.0)
        code = self.poll()
        assert code is not None
        return code

    def _is_over(self, timeout: float | None) -> bool:
        ready = select.poll()
        ready.register(self._descriptor, select.POLLIN)
        return bool(ready.poll(None if timeout is None else timeout * 1000))

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class WarmStarts:
    """The process that has the imports done, from here."""

    def __init__(self) -> None:
        self._environ = dict(os.environ)
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def close(self) -> None:
        """End it. What it has started goes on."""
        self._socket.close()
        self._process.wait()

    def may_start(self, environ: Mapping[str, str]) -> bool:
        """Return whether a start with such variables is the same as a real one."""
        names = {n for n, _ in environ.items() ^ self._environ.items()}
        return all(name.startswith(OWN_VARIABLES) for name in names)

    def start(
        self,
        flags: Sequence[str],
        folder: Path,
        environ: Mapping[str, str],
        stdout: int = subprocess.PIPE,
        stdin: int = 0,
    ) -> WarmProcess:
        """Start `python -m service` with these flags in a folder."""
        asked = {"flags": list(flags), "folder": str(folder), "environ": dict(environ)}
        errors, errors_end = os.pipe()
        output, output_end = os.pipe() if stdout == subprocess.PIPE else (-1, os.dup(stdout))
        try:
            pid = self._ask(asked, [stdin, output_end, errors_end])
        finally:
            os.close(output_end)
            os.close(errors_end)
        return WarmProcess(self, pid, output, errors)

    def exit_code(self, pid: int) -> int:
        """Return the exit code of a process that has ended."""
        return self._ask({"ended": pid}, [])

    def _ask(self, what: dict[str, Any], descriptors: list[int]) -> int:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(what).encode()], descriptors)
            return int(self._socket.recv(64))


@cache
def warm_starts() -> WarmStarts:
    """The one of this process of pytest's."""
    return WarmStarts()


# --- the process that has the imports done


def be_asked(asking: socket.socket) -> dict[str, Any]:
    """Start what is asked for until nobody asks any more; return in each process that is started,
    with what it is to be.
    """
    while True:
        data, descriptors, *_ = socket.recv_fds(asking, MOST, 3)
        if not data:
            os._exit(0)
        asked: dict[str, Any] = json.loads(data)
        if "ended" in asked:
            _, status = os.waitpid(asked["ended"], 0)
            asking.send(str(os.waitstatus_to_exitcode(status)).encode())
        elif pid := os.fork():
            for each in descriptors:
                os.close(each)
            asking.send(str(pid).encode())
        else:
            asking.close()
            for each, standard in zip(descriptors, (0, 1, 2), strict=True):
                os.dup2(each, standard)
                os.close(each)
            return asked


def be_service(asked: dict[str, Any]) -> None:
    """Go on as Python does that was started so."""
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    sys.orig_argv[1:] = ["-m", "service", *asked["flags"]]
    sys.argv[:] = ["-m", *asked["flags"]]
    runpy.run_module("service", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    del sys.path[0]  # as in a start, which takes no module from beside the function
    importlib.import_module("service.__main__")
    del sys.modules["service.__main__"]  # it runs again
    be_service(be_asked(socket.socket(fileno=int(sys.argv[1]))))
