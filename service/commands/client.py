"""Send an event to a running service, or to a function of the emulator."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from base64 import b64decode
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from .. import protocol
from ..errors import UsageError
from ..process.loop import new_loop, wind_up
from ..process.signals import SIGNALS
from ..settings.table import Settings

T = TypeVar("T")


EMULATOR = "http://127.0.0.1:8000"
"""Where `python -m service emulate` listens, unless it is told otherwise."""


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
    """Send the event to a function as the platform's clients do (docs/platform.md section 12).

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
