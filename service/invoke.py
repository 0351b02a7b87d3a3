"""`python -m service invoke`: one call, in this process, over HTTP as the platform makes it, or
through the platform's API as a client does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from base64 import b64decode
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

from service import protocol
from service.admission import Budget
from service.app import Service, run_event
from service.body import Chunks, EventStream
from service.calls import Call
from service.context import RUNNING, Context
from service.errors import ServiceError, UsageError
from service.middleware import report
from service.server import new_loop, wind_up
from service.settings import Settings
from service.signals import SIGNALS

T = TypeVar("T")

EMULATOR = "http://127.0.0.1:8000"
"""Where `python -m service emulate` listens, unless it is told otherwise."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `invoke`."""
    forms = "a file, - for stdin, JSON text, or @oss.put for a sample"
    parser.add_argument(
        "argument", nargs="?", metavar="EVENT", help=f"the event: {forms} [default: {{}}]"
    )
    parser.add_argument(
        "--event", metavar="FILE|-|JSON|@SAMPLE", help="the event, in the same forms"
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help="send it to a running service, http://127.0.0.1:9000 for example, instead of calling"
        " the handler in this process",
    )
    parser.add_argument(
        "--function",
        metavar="NAME",
        help="send it to a function of the emulator, as a client of the platform's InvokeFunction"
        f" does; --url is the emulator's address then [default: {EMULATOR}]",
    )
    parser.add_argument(
        "--async",
        action="store_true",
        dest="asynchronous",
        help="with --function: do not wait for the result",
    )
    parser.add_argument(
        "--tail", action="store_true", help="with --function: the call's log, on stderr"
    )


def event_of(flags: argparse.Namespace, cwd: Path, stdin: BinaryIO) -> bytes:
    """Return the event that the flags name. Raises UsageError."""
    if flags.argument is not None and flags.event is not None:
        raise UsageError("the event is there twice: say it with --event or without, not both")
    if flags.function is None and (flags.asynchronous or flags.tail):
        raise UsageError("--async and --tail go with --function NAME: a call of the emulator's API")
    named = flags.event if flags.argument is None else flags.argument
    return event_bytes("{}" if named is None else named, cwd, stdin)


def event_bytes(argument: str, cwd: Path, stdin: BinaryIO) -> bytes:
    """Return the event that an argument names. Raises UsageError."""
    if argument == "-":
        return stdin.read()
    if argument.startswith("@"):
        return _sample(argument[1:])
    path = cwd / argument
    try:
        if os.path.isfile(path):  # False for what no file can be named, unlike Path.is_file()
            return path.read_bytes()
        json.loads(argument)
    except OSError as reason:
        raise UsageError(f"event {argument}: cannot be read: {reason.strerror}") from None
    except ValueError:
        raise UsageError(
            f"event {argument[:80]!r}: is neither a file nor JSON; use - for stdin,"
            " @NAME for a sample"
        ) from None
    return argument.encode()


def _sample(name: str) -> bytes:
    # Import time is cold start, and serving needs no samples.
    from service.events.sample import sample

    try:
        return sample(name)
    except LookupError as reason:
        raise UsageError(f"event @{name}: {reason.args[0]}") from None


def local(service: Service, event: bytes) -> tuple[bytes, bool]:
    """Call the handler in this process, between the initializer and `pre_stop`; return the answer's
    body and whether it is an error.
    """
    return _run(_local(service, event), service.settings.loop)


def _run(work: Coroutine[Any, Any, T], loop_kind: str = "auto") -> T:
    """Return what `work` returns. SIGTERM or SIGINT cancels it and raises Stopped."""
    loop = new_loop(loop_kind)
    asyncio.set_event_loop(loop)
    main = loop.create_task(work)

    def cancel(number: signal.Signals) -> None:
        # Said at once: a handler that blocks the loop hears of its cancellation later, or never.
        os.write(2, f"{number.name}: the call is cancelled; once more to end at once\n".encode())
        loop.call_soon_threadsafe(main.cancel)

    try:
        with SIGNALS.told(cancel):
            return loop.run_until_complete(main)
    except asyncio.CancelledError:
        SIGNALS.check()
        raise
    finally:
        wind_up(loop)


async def _local(service: Service, event: bytes) -> tuple[bytes, bool]:
    settings = service.settings
    request_id = protocol.new_request_id()
    name = service.handlers.handler.name
    headers = protocol.common_headers(request_id, handler=name, timeout=settings.timeout)
    limit = protocol.time_limit("", settings.timeout, settings.deadline_margin)
    deadline = None if limit is None else time.monotonic() + limit
    context = Context(headers, request_id, deadline, service.platform)
    RUNNING.set(context)
    service.logs.marker(protocol.start_line(protocol.INVOKE, request_id))
    failed = True
    try:
        result, failed = await _answer(service, context, event)
    finally:
        service.logs.end(request_id)
        service.logs.marker(protocol.end_line(protocol.INVOKE, request_id, failed=failed))
    if service.lifecycle.ready:
        with suppress(ServiceError):  # its failure is logged, and is not the call's
            await service.lifecycle.stop()
    return result, failed


async def _answer(service: Service, context: Context, event: bytes) -> tuple[bytes, bool]:
    limit = service.settings.max_body
    stream = EventStream(Chunks(event), size=len(event), limit=limit, budget=Budget(limit))
    call = Call(context.deadline)
    try:
        return await service.calls.run(call, run_event(service, call, context, stream)), False
    except ServiceError as error:
        report(error)
        return protocol.error_body(error.code, str(error), context.request_id, []), True


def remote(url: str, event: bytes, settings: Settings) -> tuple[bytes, bool]:
    """Send the event to a running service with the platform's headers; return the body and whether
    it is an error.

    Raises UsageError when nothing answers.
    """
    return _run(_remote(url, event, settings))


async def _remote(url: str, event: bytes, settings: Settings) -> tuple[bytes, bool]:
    from aiohttp import ClientError, ClientSession, ClientTimeout

    target = url.rstrip("/").removesuffix(protocol.INVOKE.path) + protocol.INVOKE.path
    headers = protocol.common_headers(
        protocol.new_request_id(), handler=settings.handler, timeout=settings.timeout
    )
    headers["Content-Type"] = "application/octet-stream"
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=None)) as session,
            session.post(target, data=event, headers=headers) as response,
        ):
            return await response.read(), response.headers.get(protocol.STATUS) != "200"
    except (ClientError, ValueError) as reason:
        raise UsageError(f"--url {url}: {reason}; is the service running there?") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the InvokeFunction API answered: the result, whether it is an error, and what there is
    to say beside it.
    """

    body: bytes
    failed: bool
    told: str


def through_api(url: str, function: str, event: bytes, *, asynchronous: bool, tail: bool) -> Answer:
    """Send the event to a function as the platform's clients do (fc-platform.md section 12).

    Raises UsageError when nothing answers.
    """
    return _run(_through_api(url, function, event, asynchronous, tail))


async def _through_api(
    url: str, function: str, event: bytes, asynchronous: bool, tail: bool
) -> Answer:
    from aiohttp import ClientError, ClientSession, ClientTimeout

    target = f"{url.rstrip('/')}/2023-03-30/functions/{quote(function, safe='')}/invocations"
    headers = {
        "Content-Type": "application/octet-stream",
        "x-fc-invocation-type": "Async" if asynchronous else "Sync",
        "x-fc-log-type": "Tail" if tail else "None",
    }
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=None)) as session,
            session.post(target, data=event, headers=headers) as response,
        ):
            return _answer_of(response.status, response.headers, await response.read())
    except (ClientError, ValueError) as reason:
        raise UsageError(
            f"--url {url}: {reason}; is the emulator running there (python -m service emulate)?"
        ) from None


def _answer_of(status: int, headers: Any, body: bytes) -> Answer:
    request_id = headers.get(protocol.REQUEST_ID, "")
    if status >= 400:
        return Answer(b"", True, _refusal(status, request_id, body))
    log = b64decode(headers.get("x-fc-log-result", "")).decode(errors="replace")
    error = headers.get("x-fc-error-type", "")
    if error:
        log += f"{'' if log.endswith(chr(10)) or not log else chr(10)}X-Fc-Error-Type: {error}\n"
    if status == 202:
        log += f"accepted, to be run later: request {request_id}\n"
    return Answer(body, bool(error), log)


def _refusal(status: int, request_id: str, body: bytes) -> str:
    """The API's error in a line."""
    try:
        error = json.loads(body)
        return f"{error['Code']}: {error['Message']} (request {error['RequestId']})\n"
    except (ValueError, LookupError, TypeError):
        return f"HTTP {status}: {body[:500].decode(errors='replace')} (request {request_id})\n"
