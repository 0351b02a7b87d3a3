"""An HTTP trigger's request as a built-in runtime gets it, and the answer to it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from msgspec import Struct

from ..errors import InvalidEvent
from .lenient import Lenient
from .moments import Moment, with_moments
from .payload import WithPayload, read_payload


class HttpRequest(Lenient, frozen=True, rename="camel"):
    """The request's line, and who sent it."""

    method: str
    path: str = ""
    protocol: str = ""
    source_ip: str = ""
    user_agent: str = ""


@with_moments("time")
class HttpRequestContext(Lenient, frozen=True, rename="camel"):
    """What the platform knows about the request."""

    http: HttpRequest
    account_id: str = ""
    domain_name: str = ""
    domain_prefix: str = ""
    request_id: str = ""
    time: Moment = None
    time_epoch: str = ""


class WithContent(WithPayload):
    """A request whose body may have come as base64."""

    __slots__ = ()
    __event_payload__: ClassVar[str] = "body"
    body: str
    is_base64_encoded: bool

    def content(self) -> bytes:
        """Return the body's bytes, decoded if they came as base64. Raises InvalidEvent if they are
        none.
        """
        if not self.is_base64_encoded:
            return self.body.encode("utf-8", "surrogatepass")
        try:
            return base64.b64decode(self.body, validate=True)
        except ValueError as error:
            reason = str(error)
        raise InvalidEvent(f"{type(self).__name__}.body: it is no base64: {reason}")

    def json(self, kind: Any = Any) -> Any:
        """Return the body as `kind`, as `WithPayload.json` does."""
        return read_payload(self.content(), kind, f"{type(self).__name__}.body")


class HttpEvent(WithContent, Lenient, frozen=True, rename="camel"):
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
