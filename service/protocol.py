"""What Function Compute prescribes, as data and pure functions. Knows neither aiohttp nor which
side it plays.

The facts and their sources are in docs/platform.md: paths in section 1, headers in 2, answers in 3,
log lines in 4.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

SERVICE_LOGGER = "fc_event_service"
"""The service's own logger. Its name is the distribution's: a function's `service.orders` is no
child of it.
"""

REQUEST_ID = "x-fc-request-id"
CONTROL_PATH = "x-fc-control-path"
FUNCTION_TIMEOUT = "x-fc-function-timeout"
STATUS = "x-fc-status"

ACCESS_KEY_ID = "x-fc-access-key-id"
ACCESS_KEY_SECRET = "x-fc-access-key-secret"
SECURITY_TOKEN = "x-fc-security-token"
CREDENTIALS = (ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN)
"""Headers that bring the role's temporary credentials. No other module spells their names."""

IDENTITY = (REQUEST_ID, CONTROL_PATH, FUNCTION_TIMEOUT, *CREDENTIALS)
"""Headers that say whose call this is: two different values of one of them make the call ambiguous.
"""

MAX_LOG_LINE = 32 * 1024
"""Bytes of one log line that the platform keeps (docs/platform.md section 8)."""

MAX_MESSAGE = 16 * 1024
"""Characters of an exception's text that an answer carries: the rest says how much was cut."""

_CUT = " characters cut]"

INITED = "FunctionCompute fc-event-service runtime inited."
"""The line that marks a cold start in the platform's logs."""


class Operation(NamedTuple):
    """One thing the platform asks of an instance. `name` is how its log lines call it."""

    name: str
    path: str
    methods: tuple[str, ...]


INVOKE = Operation("Invoke", "/invoke", ("POST",))
INITIALIZE = Operation("Initialize", "/initialize", ("POST",))
PRE_STOP = Operation("PreStop", "/pre-stop", ("GET", "POST"))
PRE_FREEZE = Operation("PreFreeze", "/pre-freeze", ("GET", "POST"))
HOOK_NAMES = {
    "initializer": ("initialize", "initializer"),
    "pre_stop": ("pre_stop",),
    "pre_freeze": ("pre_freeze",),
}
"""Each hook, by its setting, with the names under which it is looked for in the handler's module if
that setting names none.
"""
OPERATIONS = {o.path: o for o in (INVOKE, INITIALIZE, PRE_STOP, PRE_FREEZE)}

HEALTH_PATH = "/health"
METRICS_PATH = "/metrics"
HTTP_INVOKE_PATH = "/http-invoke"


_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)


def request_id(values: Sequence[str]) -> tuple[str, str]:
    """Return the request id to use, and why it is not the one that was sent ("" when it is)."""
    if len(values) == 1 and is_request_id(values[0]):
        return values[0], ""
    sent = [value for value in values if value]
    if not sent:
        return new_request_id(), "the request has no request id"
    if len(sent) > 1 and len(set(sent)) > 1:
        return new_request_id(), "the request has two different request ids"
    if not _REQUEST_ID.fullmatch(sent[0]):
        return new_request_id(), "the request id is over 128 characters or has characters no id has"
    return sent[0], ""


def is_request_id(text: str) -> bool:
    """Return whether a text may be a request id."""
    # What the platform sends is told at a third of the cost of the expression.
    usual = len(text) <= 128 and text.isascii() and text.replace("-", "").isalnum()
    return usual or _REQUEST_ID.fullmatch(text) is not None


def new_request_id() -> str:
    """Return a request id of the platform's own form: its second field is the Unix time in hex."""
    drawn = os.urandom(10).hex()
    return f"1-{int(time.time()):08x}-{drawn[:8]}-{drawn[8:]}"


@lru_cache(maxsize=16)  # a function's time limit is the same for all of its calls
def time_limit(header: str, default: float | None, margin: float) -> float | None:
    """Return the seconds a call may take: the header's, else `default`, less `margin`; None for no
    limit.

    At least half of the limit is left if `margin` is larger than that.
    """
    limit = _positive(header) or default
    return None if limit is None else max(limit - margin, limit / 2)


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def common_headers(
    request_id: str, operation: Operation = INVOKE, *, handler: str, timeout: float | None = None
) -> dict[str, str]:
    """Return the headers that the platform sends with every request (docs/platform.md section 2),
    for a local call.
    """
    return {
        REQUEST_ID: request_id,
        CONTROL_PATH: operation.path,
        "x-fc-function-name": "local",
        "x-fc-function-handler": handler,
        "x-fc-function-memory": "512",
        FUNCTION_TIMEOUT: "" if timeout is None else f"{timeout:g}",
        "x-fc-region": "local",
        "x-fc-account-id": "0",
        "x-fc-qualifier": "LATEST",
        "x-fc-version-id": "",
        "x-fc-retry-count": "0",
    }


def start_line(operation: Operation, request_id: str) -> str:
    """Return the line that opens a call in the platform's log."""
    return f"FC {operation.name} Start RequestId: {request_id}"


def end_line(operation: Operation, request_id: str, *, failed: bool) -> str:
    """Return the line that closes a call in the platform's log."""
    suffix = ", Error: Unhandled function error" if failed else ""
    return f"FC {operation.name} End RequestId: {request_id}{suffix}"


def shortened(message: str) -> str:
    """Return an exception's text as answers carry it: MAX_MESSAGE characters, and how many were
    cut. What was shortened before, in another process, is returned as it is.
    """
    cut = len(message) - MAX_MESSAGE
    if cut <= 0 or (cut <= len(_CUT) + 20 and message.endswith(_CUT)):
        return message
    return f"{message[:MAX_MESSAGE]}... [{cut}{_CUT}"


def error_body(code: str, message: str, request_id: str, stack: list[list[str]]) -> bytes:
    """Return the error JSON, with the built-in runtime's keys (docs/platform.md section 3.1)."""
    body: dict[str, Any] = {
        "errorMessage": shortened(message),
        "errorType": code,
        "requestId": request_id,
        "stackTrace": stack,
    }
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:  # a lone surrogate, from a file name for example
        return orjson.dumps(_encodable(body))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return {key: _encodable(item) for key, item in value.items()}


# --- session affinity (docs/platform.md section 13)

SESSION_CALLS: Final = 200
"""Calls that an instance is sent at once if the function has session affinity, whatever its
`instanceConcurrency` says.
"""
SESSION_COOKIE: Final = "x-fc-cookie-session-id"
MCP_SESSION: Final = "mcp-session-id"
SESSION_HEADER_RULE: Final = (
    "5-40 letters, digits, - and _, beginning with a letter and not with x-fc-"
)


def is_session_header(name: str) -> bool:
    """Return whether session affinity takes the name of a header field."""
    return re.fullmatch(r"(?i)(?!x-fc-)[a-z][a-z0-9_-]{4,39}", name, re.ASCII) is not None


def session_of(headers: Mapping[str, str], field: str = "") -> str:
    """Return the session that a request names, "" if it names none: in the header field `field` if
    there is one, else in MCP's or in the platform's cookie. Names in `headers` are lower case, or
    are looked up in any.
    """
    if field:
        return headers.get(field.lower(), "")
    return headers.get(MCP_SESSION, "") or _cookie(headers.get("cookie", ""), SESSION_COOKIE)


def _cookie(text: str, wanted: str) -> str:
    for part in text.split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return value.strip('"')
    return ""
