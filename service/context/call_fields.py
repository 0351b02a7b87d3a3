"""The fields of a call's context that the request or the instance's environment brings."""

from __future__ import annotations

from typing import Any

from ..protocol import session_of
from .fields import (
    Credentials,
    FunctionMeta,
    HeaderView,
    LogStoreFields,
    Platform,
    ServiceMeta,
    Tracing,
)
from .headers import RequestHeaders


class CallFields(LogStoreFields):
    """What a call was sent with, in the built-in Python runtime's names, in both of their spellings
    (docs/platform.md section 3.2). A field is read from the headers when it is asked for.
    """

    __slots__ = ("_platform", "request_id")
    request_id: str
    _platform: Platform
    _fields = (
        "request_id",
        "credentials",
        "function",
        "service",
        "region",
        "account_id",
        "retry_count",
        "tracing",
    )

    @property
    def requestId(self) -> str:
        """The older spelling of `request_id`."""
        return self.request_id

    @property
    def function(self) -> FunctionMeta:
        """The function as it is deployed."""
        return FunctionMeta(self._headers)

    @property
    def service(self) -> ServiceMeta:
        """The service (Function Compute 2) and its log store."""
        return ServiceMeta(self._headers)

    @property
    def credentials(self) -> Credentials:
        """The role's temporary credentials."""
        return Credentials(self._headers, self._platform)

    @property
    def tracing(self) -> Tracing:
        """The platform's tracing fields."""
        return Tracing(self._headers)

    @property
    def headers(self) -> RequestHeaders:
        """All header fields of the request, the caller's own beside the platform's."""
        return RequestHeaders(self._headers)

    @property
    def traceparent(self) -> str:
        """The caller's trace as it was sent (W3C Trace Context), "" if none was."""
        return self._text("traceparent")

    @property
    def region(self) -> str:
        """The region's id, `cn-hangzhou` for example."""
        return self._text("x-fc-region")

    @property
    def account_id(self) -> str:
        """The account's id."""
        return self._text("x-fc-account-id")

    accountId = account_id

    @property
    def retry_count(self) -> int | None:
        """How often this asynchronous event was tried before, None when the platform does not
        say.
        """
        return self._number("x-fc-retry-count")

    retryCount = retry_count

    @property
    def session_id(self) -> str:
        """The session that the call belongs to by the function's session affinity, "" if by none:
        of the header field that the setting `session_header` names; else of MCP's header field or
        of the platform's cookie (docs/platform.md section 13).
        """
        return session_of(self._headers, self._platform.session_header)

    @property
    def instance_id(self) -> str:
        """The instance that runs this call."""
        return self._platform.instance_id

    def to_json(self) -> dict[str, Any]:
        """Return the context as the built-in runtime gives it in JSON. The credentials are whole as
        values, and are not shown if the result is printed.
        """
        fields = super().to_json()
        parts = ((name, value) for name, value in fields.items() if isinstance(value, HeaderView))
        return fields | {name: part.to_json() for name, part in parts}
