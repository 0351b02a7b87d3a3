"""What the API answers a call with: its fields, the error JSON, and the bytes of both."""

from __future__ import annotations

import base64
import logging
import math
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import orjson
from aiohttp import web

from ...errors import ServiceError
from ...http.answers import RESULT, SERVER
from ...protocol import REQUEST_ID, SERVICE_LOGGER, new_request_id
from ..calls import Outcome, PlatformError
from ..failures import broke
from ..texts import readable

OLD_VERSION = "/2016-08-15/"
"""How the paths of Function Compute 2 begin, whose SDKs read errors under other names."""


_log = logging.getLogger(SERVICE_LOGGER)


def result_fields(outcome: Outcome) -> dict[str, str]:
    """Return what InvokeFunction says of a synchronous call beside its result.

    `x-fc-code-checksum` is missing: it is the CRC-64 of the package that a deployment makes.
    """
    fields = {
        "Content-Type": RESULT,
        "x-fc-instance-id": outcome.instance_id,
        "x-fc-invocation-duration": str(math.ceil(outcome.duration * 1000)),
        "x-fc-invocation-service-version": "LATEST",
        "x-fc-max-memory-usage": f"{outcome.memory:.2f}",
    }
    if outcome.error_type:
        fields["x-fc-error-type"] = outcome.error_type
    if outcome.log is not None:
        fields["x-fc-log-result"] = base64.b64encode(outcome.log).decode()
    return fields


def identified(response: web.StreamResponse, request_id: str) -> web.StreamResponse:
    """Return a response with the fields that all have."""
    response.headers[REQUEST_ID] = request_id
    response.headers["Server"] = SERVER
    return response


def block(fields: dict[str, str], request_id: str, body: bytes, status: int = 200) -> bytes:
    """Return an answer as it is sent over HTTP/1.1: what `identified` makes of such fields."""
    lines = "\r\n".join(map(": ".join, fields.items()))
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status != 200 else 'OK'}\r\n"
        f"{lines}\r\n{REQUEST_ID}: {request_id}\r\nServer: {SERVER}\r\n"
        f"Content-Length: {len(body)}\r\nDate: {_date(int(time.time()))}\r\n\r\n"
    )
    return head.encode() + body


@lru_cache(maxsize=1)
def _date(now: int) -> str:
    return formatdate(now, usegmt=True)


def platform_error(reason: Exception, what: str) -> PlatformError:
    """Return what a request is told that failed with `reason`: the platform's own words, what is
    wrong with its bytes, or that the emulator has broken, which is logged as of `what`.
    """
    if isinstance(reason, PlatformError):
        return reason
    if isinstance(reason, ServiceError):
        return PlatformError(reason.status, "InvalidArgument", str(reason))
    _log.error("the API failed at %s", what, exc_info=reason)
    return broke(reason)


def refusal(error: PlatformError, request_id: str, path: str = "") -> web.Response:
    """Return the platform's error JSON."""
    body = refusal_body(error, request_id, old=path.startswith(OLD_VERSION))
    return web.Response(body=body, status=error.status, content_type="application/json")


def refusal_body(error: PlatformError, request_id: str, *, old: bool = False) -> bytes:
    """Return the JSON of a refusal; `old` if Function Compute 2's SDKs are to read it, too."""
    message = readable(str(error))
    body = {"Code": error.code, "Message": message, "RequestId": request_id}
    if old:
        body |= {"ErrorCode": error.code, "ErrorMessage": message}
    return orjson.dumps(body)


def refuse_in_json(error: ServiceError) -> bytes:
    """Return the answer to what is no request, on a connection that ends with it; log one line."""
    _log.warning("a request to the API is not HTTP: %s", error)
    request_id = new_request_id()
    body = refusal_body(PlatformError(error.status, "InvalidArgument", str(error)), request_id)
    fields = {"Content-Type": "application/json", "Connection": "close"}
    return block(fields, request_id, body, error.status)
