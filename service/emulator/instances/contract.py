"""What an instance is given by the platform: its environment, and the headers of each request
(docs/platform.md sections 2 and 5).
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ...protocol import (
    ACCESS_KEY_ID,
    ACCESS_KEY_SECRET,
    CONTROL_PATH,
    FUNCTION_TIMEOUT,
    PRE_FREEZE,
    PRE_STOP,
    REQUEST_ID,
    SECURITY_TOKEN,
    Operation,
)
from ..spec.model import Function
from ..spec.references import ACCOUNT
from .ports import HOST

QUALIFIER = "LATEST"

NO_TOKEN = "custom.debian11"
"""The runtime whose requests carry no security token (docs/platform.md section 2)."""

OLD_IMAGES = ("custom", "custom.debian10")
"""The runtimes that are told their version as FC_VER_ID, others as FC_FUNCTION_VERSION."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def environment(
    function: Function, instance_id: str, port: int, desk: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return all variables of an instance. Of the desk's own (`desk`, else this process's) it has
    no more than PATH, HOME, LANG and the folder for temporary files.

    The directory of the Python that runs the emulator comes first on PATH, also where the file sets
    one: the platform's /var/fc/lang is not on the desk.
    """
    own = os.environ if desk is None else desk
    path = function.environment.get("PATH") or own.get("PATH") or os.defpath
    key, secret, token = _credentials()
    version = "FC_VER_ID" if function.runtime in OLD_IMAGES else "FC_FUNCTION_VERSION"
    return {
        "HOME": own.get("HOME", "/"),
        "LANG": own.get("LANG", "C.UTF-8"),
        "TMPDIR": tempfile.gettempdir(),
        **function.environment,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}",
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret,
        "ALIBABA_CLOUD_SECURITY_TOKEN": token,
        "FC_ACCOUNT_ID": ACCOUNT,
        "FC_CUSTOM_LISTEN_PORT": str(port),
        "FC_FUNC_CODE_PATH": str(function.code.resolve()),
        "FC_FUNCTION_HANDLER": function.handler,
        "FC_FUNCTION_MEMORY_SIZE": str(function.memory),
        "FC_FUNCTION_NAME": function.name,
        "FC_INSTANCE_ID": instance_id,
        "FC_REGION": function.region,
        "FC_SERVER_PORT": str(port),
        version: QUALIFIER,
    }


def _credentials() -> tuple[str, str, str]:
    """Return an access key's id, its secret, and a token, good for nothing."""
    text = secrets.token_hex(48)
    return f"STS.DESK{text[:16]}", text[16:46], f"DESK{text[46:]}"


class Requests:
    """Writes the heads of the requests to one instance. What is the same in all is written once."""

    def __init__(self, function: Function) -> None:
        self._has_token = function.runtime != NO_TOKEN
        self._common = _fields(
            {
                "Host": HOST,
                "User-Agent": "fc-emulator",
                "x-fc-function-name": function.name,
                "x-fc-function-handler": function.handler,
                "x-fc-function-memory": str(function.memory),
                FUNCTION_TIMEOUT: f"{function.timeout:g}",
                "x-fc-region": function.region,
                "x-fc-account-id": ACCOUNT,
                "x-fc-qualifier": QUALIFIER,
                # Empty, as the platform sends them for a function without a log project, a
                # version, a service or tracing.
                "x-fc-version-id": "",
                "x-fc-service-name": "",
                "x-fc-service-logproject": "",
                "x-fc-service-logstore": "",
                "x-fc-client-ip": "",
                "x-fc-tracing-opentracing-span-context": "",
                "x-fc-tracing-opentracing-span-baggages": "",
                "x-fc-tracing-jaeger-endpoint": "",
            }
        )

    def head(
        self, operation: Operation, request_id: str, size: int = 0, retry_count: int = 0
    ) -> bytes:
        """Return the head of a request with a body of `size` bytes and credentials of its own."""
        key, secret, token = _credentials()
        own = (
            f"Content-Length: {size}\r\n"
            f"{REQUEST_ID}: {request_id}\r\n"
            f"{ACCESS_KEY_ID}: {key}\r\n"
            f"{ACCESS_KEY_SECRET}: {secret}\r\n"
            f"x-fc-retry-count: {retry_count}\r\n"
        )
        if self._has_token:
            own += f"{SECURITY_TOKEN}: {token}\r\n"
        return _opening(operation) + self._common + own.encode() + b"\r\n"

    def look(self, path: str) -> bytes:
        """Return the request of a health check, which is nobody's call."""
        return f"GET {path} HTTP/1.1\r\n".encode() + self._common + b"\r\n"


@cache
def _opening(operation: Operation) -> bytes:
    # Hooks before an end are asked for with GET, the rest with POST (section 1.1).
    method = "GET" if operation in (PRE_STOP, PRE_FREEZE) else "POST"
    fields = {"Content-Type": "application/octet-stream", CONTROL_PATH: operation.path}
    return f"{method} {operation.path} HTTP/1.1\r\n".encode() + _fields(fields)


def _fields(fields: Mapping[str, str]) -> bytes:
    return "".join(
        f"{name}: {_CONTROL.sub('', value)}\r\n" for name, value in fields.items()
    ).encode()
