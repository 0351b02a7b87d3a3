"""An HTTP trigger's request as a built-in runtime gets it, and the answer to it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import ClassVar, Self

from msgspec import Struct

from .lenient import Lenient, Moment, read_moments


class HttpRequest(Lenient, frozen=True, rename="camel"):
    """The request's line, and who sent it."""

    method: str
    path: str = ""
    protocol: str = ""
    source_ip: str = ""
    user_agent: str = ""


class HttpRequestContext(Lenient, frozen=True, rename="camel"):
    """What the platform knows about the request."""

    http: HttpRequest
    account_id: str = ""
    domain_name: str = ""
    domain_prefix: str = ""
    request_id: str = ""
    time: Moment = None
    time_epoch: str = ""

    def __post_init__(self) -> None:
        read_moments(self, ("time",))


class HttpEvent(Lenient, frozen=True, rename="camel"):
    """What an HTTP trigger sends to an event function."""

    __event_marks__: ClassVar[tuple[str, ...]] = (
        "rawPath",
        "requestContext",
    )

    raw_path: str
    request_context: HttpRequestContext
    version: str = ""
    body: str = ""
    is_base64_encoded: bool = False
    headers: dict[str, str] = {}
    query_parameters: dict[str, str] = {}

    def content(self) -> bytes:
        """Return the body's bytes, decoded if the platform sends base64."""
        return content(self.body, self.is_base64_encoded)


class HttpAnswer(Struct, frozen=True, rename="camel"):
    """The answer of an event function to an HTTP request: return it from the handler."""

    body: str = ""
    status_code: int = 200
    headers: dict[str, str] = {}
    is_base64_encoded: bool = False

    @classmethod
    def of(cls, body: bytes, status_code: int = 200, headers: Mapping[str, str] = {}) -> Self:
        """Return the answer that brings these bytes, as base64."""
        return cls(base64.b64encode(body).decode(), status_code, dict(headers), True)


def content(body: str, is_base64_encoded: bool) -> bytes:
    """Return the bytes that a body in JSON stands for."""
    return base64.b64decode(body) if is_base64_encoded else body.encode()
