"""`python -m service invoke`: one call, in this process or over HTTP, as the platform would make
it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import BinaryIO

from service import protocol
from service.admission import Budget
from service.app import Service, run_event
from service.body import Chunks, EventStream
from service.calls import Call
from service.context import RUNNING, Context
from service.errors import ServiceError, UsageError
from service.middleware import report
from service.server import new_loop
from service.settings import Settings


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `invoke`."""
    parser.add_argument(
        "--event",
        default="{}",
        metavar="FILE|-|JSON|@SAMPLE",
        help="the event: a file, - for stdin, JSON text, or @oss.put for a sample [default: {}]",
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help="send it to a running service, http://127.0.0.1:9000 for example, instead of calling"
        " the handler in this process",
    )


def event_bytes(argument: str, cwd: Path, stdin: BinaryIO) -> bytes:
    """Return the event that `--event` names. Raises UsageError."""
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
        raise UsageError(f"--event {argument}: cannot be read: {reason.strerror}") from None
    except ValueError:
        raise UsageError(
            f"--event {argument[:80]!r} is neither a file nor JSON; use - for stdin,"
            " @NAME for a sample"
        ) from None
    return argument.encode()


def _sample(name: str) -> bytes:
    # Import time is cold start, and serving needs no samples.
    from service.events.sample import sample

    try:
        return sample(name)
    except LookupError as reason:
        raise UsageError(f"--event @{name}: {reason.args[0]}") from None


def local(service: Service, event: bytes) -> tuple[bytes, bool]:
    """Call the handler in this process; return the answer's body and whether it is an error."""
    loop = new_loop(service.settings.loop)
    try:
        return loop.run_until_complete(_local(service, event))
    finally:
        loop.close()


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
    result, failed = await _answer(service, context, event)
    service.logs.end(request_id)
    service.logs.marker(protocol.end_line(protocol.INVOKE, request_id, failed=failed))
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
    return asyncio.run(_remote(url, event, settings))


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
