"""What the platform says if no function answers, in its own words (docs/platform.md section 3).

Errors of a start have status 412, as the API's list of error codes has them. What is true on the
desk alone stands in a line of its own behind them.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from .calls import PlatformError

UNHANDLED = "UnhandledInvocationError"
INITIALIZATION = "InitializationError"
"""Values of X-Fc-Error-Type."""

CANNOT_START = "The function cannot be started."
SIGNAL_NAMES = {int(number) for number in signal.Signals}


class InitializerFailed(Exception):
    """The initializer failed or took too long; the text says why."""


@dataclass(frozen=True, slots=True)
class WantedPort:
    """The port on which an instance was to listen, one of `cap` of its function; `written` is the
    port of the file.
    """

    number: int
    written: int
    cap: int


def no_folder(folder: str) -> PlatformError:
    """Tell that the code is not there: on the platform there is no function without."""
    advice = "it is what `code` in s.yaml names; build it first"
    return PlatformError(
        412, "CAFileNotFound", f"{CANNOT_START} The directory {folder} does not exist: {advice}."
    )


def no_file(path: str) -> PlatformError:
    """Tell that the start command names a file that the code does not have."""
    return PlatformError(
        412,
        "CAFileNotFound",
        f"{CANNOT_START} Failed to start function instance. Error: the file {path} is not exist",
    )


def exited(code: int, command: Sequence[str], output: str, port: WantedPort) -> PlatformError:
    """Tell that the first process ended before its port was open; `code` is its exit code, or the
    errno with which it could not be executed.
    """
    advice = own_port(port) if os.strerror(errno.EADDRINUSE) in output else ""
    return PlatformError(
        412,
        "CAExited",
        "The function either cannot be started or exited. Function instance exited unexpectedly"
        f"(code {code}, message:{_meaning(code)}) with start command '{' '.join(command)}'."
        f" Logs:{output}{advice}",
    )


def _meaning(code: int) -> str:
    if code - 128 in SIGNAL_NAMES:
        return f"killed by {signal.Signals(code - 128).name}"
    if code in (errno.ENOENT, errno.EACCES, errno.ENOEXEC):  # the platform's list has these alone
        return os.strerror(code).lower()
    return f"exit status {code}"


def not_started(
    port: WantedPort, seconds: float, output: str, listening: Sequence[tuple[str, int]]
) -> PlatformError:
    """Tell that the port was not open in time; `listening` is where the instance listens."""
    return PlatformError(
        412,
        "FunctionNotStarted",
        f"Function instance health check failed on port {port.number} in {seconds:g} seconds.\n"
        f"Logs:{output}{_elsewhere(port, listening)}",
    )


def waits(port: WantedPort, seconds: float, listening: Sequence[tuple[str, int]]) -> str:
    """Return the line that the log has of a start which takes long."""
    found = _elsewhere(port, listening) or "\nIt does not listen anywhere yet."
    told = f"waits for port {port.number} to open, for {seconds:g} seconds in all."
    return f"{told}{found}".replace("\n", " ")


def _elsewhere(port: WantedPort, listening: Sequence[tuple[str, int]]) -> str:
    places = ", ".join(f"{host}:{number}" for host, number in listening)
    if port.number in (number for _, number in listening):
        return f"\nIt listens on {places} only: Function Compute needs 0.0.0.0."
    return f"\nIt listens on {places}.{own_port(port)}" if places else ""


def session_full(session: str, concurrency: int) -> PlatformError:
    """Tell that the instance of a session has all the calls that it takes: its calls go to no other
    one.
    """
    return PlatformError(
        429,
        "ResourceExhausted",
        f"the instance of the session {session!r} has {concurrency} calls, and takes no more",
    )


def own_port(port: WantedPort) -> str:
    """Return what a server has to do on the desk that it has not to do on the platform."""
    told = f"\nThis instance was to listen on port {port.number}: "
    if port.cap > 1:
        return (
            f"{told}on the desk each instance needs a port of its own. Read it from"
            " FC_CUSTOM_LISTEN_PORT, or run with --max-instances 1."
        )
    if port.number != port.written:
        return (
            f"{told}port {port.written} of the file is another program's on this machine. End that"
            " one, or read the port from FC_CUSTOM_LISTEN_PORT."
        )
    return f"{told}the file says so. Read it from FC_CUSTOM_LISTEN_PORT, or change the file."


def unhealthy(path: str, fault: str, output: str) -> PlatformError:
    """Tell that the first health check after the start failed."""
    return PlatformError(
        412,
        "FunctionNotStarted",
        f"Function instance health check failed on path {path}: {fault}.\nLogs:{output}",
    )


def broken_off(duration: float, memory: float) -> PlatformError:
    """Tell that the process ended, or closed the connection, in a call of `duration` seconds."""
    return PlatformError(
        502,
        "ProcessExitedUnexpectedly",
        "Process exited unexpectedly before completing request"
        f" (duration: {_milliseconds(duration)}ms, maxMemoryUsage: {memory:.2f}MB)",
    )


def unreadable(reason: str) -> PlatformError:
    """Tell that what the function answered is not HTTP."""
    return PlatformError(502, "BadResponse", f"The function's answer cannot be read: {reason}")


def exhausted(instances: int, concurrency: int) -> PlatformError:
    """Tell that all instances are full, and there may be no more of them."""
    return PlatformError(
        429,
        "ResourceExhausted",
        f"The function has as many instances as it may have ({instances}), and each serves as many"
        f" calls as it may ({concurrency}). Retry later.",
    )


def out_of_means(reason: OSError) -> PlatformError:
    """Tell that the desk has no more files, processes, memory or disk for an instance or a
    connection.
    """
    advice = "end other programs, or run with a smaller --max-instances"
    if reason.errno in (errno.EMFILE, errno.ENFILE):
        advice = "raise the limit (`ulimit -n`), or run with a smaller --max-instances"
    what = reason.strerror or type(reason).__name__
    return PlatformError(503, "ServiceUnavailable", f"The desk cannot give more: {what}; {advice}.")


def broke(reason: BaseException) -> PlatformError:
    """Something in the emulator went wrong that nobody foresaw."""
    told = f"The emulator failed: {type(reason).__name__}: {reason}"
    return PlatformError(500, "InternalServerError", told)


def anew(reason: BaseException) -> Exception:
    """Return what a start failed with, for one of the calls that waited for it: each raises its
    own, or their tracebacks would grow together.
    """
    if isinstance(reason, PlatformError):
        return PlatformError(reason.status, reason.code, str(reason))
    if isinstance(reason, InitializerFailed):
        return InitializerFailed(str(reason))
    return broke(reason)


def stopping() -> PlatformError:
    """Tell that the emulator takes no further call."""
    return PlatformError(503, "ServiceUnavailable", "The emulator is being stopped.")


def timed_out(seconds: float) -> str:
    """Tell that a call ran over the function's time."""
    return f"Function time out after {seconds:g} seconds"


def initializer_timed_out(seconds: float) -> str:
    """Tell that the initializer ran over its time."""
    return f"Function initialization time out after {seconds:g} seconds"


def cancelled(request_id: str, duration: float, memory: float) -> str:
    """Return the line that the log has of a call whose client has left."""
    return (
        f"FC Invoke End RequestId: {request_id}, Error: Invocation canceled by client"
        f" (duration: {_milliseconds(duration)}ms, maxMemoryUsage: {memory:.2f}MB)"
    )


def body(message: str, error_type: str = "") -> bytes:
    """Return the JSON that stands in the place of a function's answer."""
    return orjson.dumps(
        {"errorMessage": message} | ({"errorType": error_type} if error_type else {})
    )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
