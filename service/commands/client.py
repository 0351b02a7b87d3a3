"""Send an event to a running service, or to a function of the emulator."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from yarl import URL

from .. import protocol
from ..errors import UsageError
from ..settings.table import Settings
from .cancellable import run_cancellable

ANY_KEY = ("desk", "desk")
"""The access key that is signed with if none is given: the emulator takes any, unless told."""

NO_LOG = (
    "there is no log of this call: the platform returns one only for functions that serve one call"
    " at once (instanceConcurrency: 1); the emulator's own log has it\n"
)

EMULATOR = "http://127.0.0.1:8000"
"""Where `python -m service emulate` listens, unless it is told otherwise."""


def call_service(url: str, event: bytes, settings: Settings) -> tuple[bytes, bool]:
    """Send the event to a running service with the platform's headers; return the body and whether
    it is an error.

    Raises UsageError when nothing answers.
    """
    headers = protocol.common_headers(
        protocol.new_request_id(), handler=settings.handler, timeout=settings.timeout
    )
    headers["Content-Type"] = "application/octet-stream"
    return run_cancellable(post_event(url, event, headers))


async def post_event(url: str, event: bytes, headers: Mapping[str, str]) -> tuple[bytes, bool]:
    """Send the event to a running service; return the body and whether it is an error.

    Raises UsageError when nothing answers.
    """
    from aiohttp import ClientError, ClientSession, ClientTimeout

    target = url.rstrip("/").removesuffix(protocol.INVOKE.path) + protocol.INVOKE.path
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=None)) as session,
            session.post(target, data=event, headers=headers) as response,
        ):
            return await response.read(), response.headers.get(protocol.STATUS) != "200"
    except (ClientError, ValueError) as reason:
        raise UsageError(f"--url {url}: {reason}; is the service running there?") from None


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """What the InvokeFunction API answered: the result, whether it is an error, and what there is
    to say beside it.

    `log` is the call's, "" if there is none; `refusal` the code of what the platform says in place
    of a function.
    """

    body: bytes
    failed: bool
    told: str
    request_id: str = field(default="", compare=False)
    log: str = field(default="", compare=False)
    refusal: str = field(default="", compare=False)


def call_function(
    url: str,
    function: str,
    event: bytes,
    *,
    asynchronous: bool,
    tail: bool,
    access_key: tuple[str, str] = ANY_KEY,
) -> ApiAnswer:
    """Send the event to a function as the platform's clients do, signed with an access key
    (docs/platform.md section 12).

    Raises UsageError when nothing answers.
    """
    answer = run_cancellable(
        post_invocation(
            url, function, event, asynchronous=asynchronous, tail=tail, access_key=access_key
        )
    )
    if tail and not asynchronous and not answer.failed and not answer.told:
        return replace(answer, told=NO_LOG)
    return answer


def _signed(target: URL, event: bytes, access_key: tuple[str, str]) -> dict[str, str]:
    # What signs is the emulator's, and other calls do not need that.
    from ..emulator.api.signature import sign

    host = target.authority if target.explicit_port else str(target.host)
    return sign("POST", target.raw_path, host, event, access_key, time.time())


async def post_invocation(
    url: str,
    function: str,
    event: bytes,
    *,
    asynchronous: bool,
    tail: bool,
    access_key: tuple[str, str] = ANY_KEY,
) -> ApiAnswer:
    """Send the event to a function. Raises UsageError when nothing answers."""
    from aiohttp import ClientError, ClientSession, ClientTimeout

    path = f"/2023-03-30/functions/{quote(function, safe='')}/invocations"
    headers = {
        "Content-Type": "application/octet-stream",
        "x-fc-invocation-type": "Async" if asynchronous else "Sync",
        "x-fc-log-type": "Tail" if tail else "None",
    }
    try:
        target = URL(url.rstrip("/") + path, encoded=True)
        headers |= _signed(target, event, access_key)
        async with (
            ClientSession(timeout=ClientTimeout(total=None)) as session,
            session.post(target, data=event, headers=headers) as response,
        ):
            return _api_answer(response.status, response.headers, await response.read())
    except (ClientError, ValueError) as reason:
        raise UsageError(
            f"--url {url}: {reason}; is the emulator running there (python -m service emulate)?"
        ) from None


def _api_answer(status: int, headers: Any, body: bytes) -> ApiAnswer:
    request_id = headers.get(protocol.REQUEST_ID, "")
    if status >= 400:
        told = _refusal(status, request_id, body)
        return ApiAnswer(b"", True, told, request_id, refusal=told.partition(":")[0])
    log = own = b64decode(headers.get("x-fc-log-result", "")).decode(errors="replace")
    error = headers.get("x-fc-error-type", "")
    if error:
        log += f"{'' if log.endswith(chr(10)) or not log else chr(10)}X-Fc-Error-Type: {error}\n"
    if status == 202:
        log += f"accepted, to be run later: request {request_id}\n"
    return ApiAnswer(body, bool(error), log, request_id, own)


def _refusal(status: int, request_id: str, body: bytes) -> str:
    """Return the API's error in a line."""
    try:
        error = json.loads(body)
        return f"{error['Code']}: {error['Message']} (request {error['RequestId']})\n"
    except (ValueError, LookupError, TypeError):
        return f"HTTP {status}: {body[:500].decode(errors='replace')} (request {request_id})\n"
