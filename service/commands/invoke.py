"""`python -m service invoke`: one call, in this process, over HTTP as the platform makes it, or
through the platform's API as a client does.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .. import protocol
from ..app import run_event
from ..calls.admission import Budget
from ..calls.deadline import Call
from ..calls.stream import Chunks, EventStream
from ..context import RUNNING, Context
from ..errors import ServiceError, UsageError
from ..http.middleware import report
from ..instance.assembly import Service
from .client import EMULATOR, _run


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
    from ..events.sample import sample

    try:
        return sample(name)
    except LookupError as reason:
        raise UsageError(f"event @{name}: {reason.args[0]}") from None


def local(service: Service, event: bytes) -> tuple[bytes, bool]:
    """Call the handler in this process, between the initializer and `pre_stop`; return the answer's
    body and whether it is an error.
    """
    return _run(_local(service, event), service.settings.loop)


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
