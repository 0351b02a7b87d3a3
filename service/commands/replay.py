"""`python -m service invoke --replay`: recorded calls again, and what differs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from .. import protocol
from ..app import assemble_app
from ..context.call import Context
from ..context.record import CallRecord
from ..errors import ServiceError, UsageError
from ..in_process import call_in_process
from ..instance.assembly import SERVICE, Service
from ..logs.gathering import GatheringPipe
from ..process.beside import runs_here
from ..recording.lines import recorded_lines, whose
from ..recording.reading import StoredCall, read_recording
from ..recording.replaced import REPLACED
from ..recording.sending import SendAgain, SentCall, send_again
from ..recording.table import compare, comparison
from ..settings.load import Loaded
from .cancellable import run_cancellable
from .client import post_event, post_invocation
from .handlers import load_handlers, logged
from .result import STDOUT, keep_stdout, write_result


def replay(loaded: Loaded, flags: argparse.Namespace, cwd: Path, key: tuple[str, str]) -> int:
    """Send the recorded calls that the flags name again, write what differs on stdout, and return
    the exit code: 1 if a result differs. `key` signs calls of a function of the emulator.

    Raises StartError and UsageError.
    """
    calls = _wanted(read_recording(cwd / flags.replay, _warn), flags)
    send, result_to = partial(send_again, calls, overlap=flags.overlap), STDOUT
    if flags.function is not None:
        sent = run_cancellable(send(_to_function(flags, key)))
    elif flags.url is not None:
        sent = run_cancellable(send(partial(_to_service, flags.url)))
    else:
        sent, result_to = _here(loaded, cwd, send)
    compared = list(map(compare, calls, sent))
    how = "overlapping as they did" if flags.overlap else "one by one"
    told = "".join(f"{line}\n" for line in comparison(compared, how))
    write_result(told.encode("utf-8", "replace"), result_to)
    return 1 if any(each.result for each in compared) else 0


def _warn(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _wanted(calls: Sequence[StoredCall], flags: argparse.Namespace) -> Sequence[StoredCall]:
    names = sorted({call.told.function for call in calls})
    if flags.of is not None:
        if flags.of not in names:
            raise UsageError(f"--of {flags.of}: the recording has calls of {', '.join(names)}")
        return [call for call in calls if call.told.function == flags.of]
    if len(names) > 1:
        raise UsageError(
            f"the recording has calls of {', '.join(names)}: name the function with --of NAME"
        )
    return calls


def _headers(call: StoredCall, request_id: str) -> dict[str, str]:
    """Return the headers of a call that is sent again: it is a call of its own."""
    kept = {name: value for name, value in call.told.headers.items() if value != REPLACED}
    return kept | {protocol.REQUEST_ID.lower(): request_id}


# --- to a running service, or a function of the emulator


async def _to_service(url: str, call: StoredCall) -> SentCall:
    request_id, event = protocol.new_request_id(), call.event.read()
    headers = {"content-type": "application/octet-stream"} | _headers(call, request_id)
    began = time.perf_counter()
    result, failed = await post_event(url, event, headers)
    return SentCall(request_id, time.perf_counter() - began, result, failed)


def _to_function(flags: argparse.Namespace, key: tuple[str, str]) -> SendAgain:
    async def send(call: StoredCall) -> SentCall:
        event = call.event.read()
        began = time.perf_counter()
        answer = await post_invocation(
            flags.url, flags.function, event, asynchronous=False, tail=True, access_key=key
        )
        took = time.perf_counter() - began
        start = protocol.start_line(protocol.INVOKE, answer.request_id)
        lines = recorded_lines(answer.log) if start in answer.log else None
        return SentCall(answer.request_id, took, answer.body, answer.failed, answer.refusal, lines)

    return send


# --- in this process


class HeldPipe(GatheringPipe):
    """A pipe that keeps the lines of calls that are sent again, and writes all others."""

    def __init__(self, lines: dict[str, list[bytes]], descriptor: int) -> None:
        super().__init__(descriptor)
        self._lines = lines

    def write(self, lines: bytes) -> None:
        """Keep lines, or write them."""
        if (kept := self._lines.get(whose(lines))) is not None:
            kept.append(lines)
        elif not lines.startswith(b"FC Invoke "):
            super().write(lines)


def _here(loaded: Loaded, cwd: Path, send_all: Any) -> tuple[list[SentCall], int]:
    """Call the handler in this process; return what came of it, and where the table goes."""
    lines: dict[str, list[bytes]] = {}
    result_to = keep_stdout()
    with logged(loaded.settings, 2, partial(HeldPipe, lines)) as logs:
        handlers = load_handlers(loaded, cwd)
        service = assemble_app(loaded.settings, loaded.platform, handlers, logs)[SERVICE]
        threads = service.threads if runs_here(service) else None
        work = _within(service, send_all(partial(_in_process, service, lines)))
        sent = run_cancellable(work, service.settings.loop, threads)
    return sent, result_to


async def _within(service: Service, work: Coroutine[Any, Any, list[SentCall]]) -> list[SentCall]:
    try:
        return await work
    finally:
        if service.lifecycle.ready:
            with suppress(ServiceError):  # its failure is logged, and is no call's
                await service.lifecycle.stop()


async def _in_process(
    service: Service, lines: dict[str, list[bytes]], call: StoredCall
) -> SentCall:
    request_id, settings, event = protocol.new_request_id(), service.settings, call.event.read()
    headers = _headers(call, request_id)
    wanted = headers.get(protocol.FUNCTION_TIMEOUT.lower(), "")
    limit = protocol.time_limit(wanted, settings.timeout, settings.deadline_margin)
    record = CallRecord(time.monotonic())
    deadline = None if limit is None else record.arrived + limit
    context = Context(headers, request_id, deadline, service.platform, record)
    lines[request_id] = []
    try:
        result, failed = await call_in_process(service, context, event), False
    except ServiceError as error:
        result = protocol.error_body(error.code, str(error), request_id, [])
        failed = True
    told = b"".join(lines.pop(request_id)).decode("utf-8", "replace")
    took = record.ended - record.arrived
    return SentCall(request_id, took, result, failed, lines=recorded_lines(told))
