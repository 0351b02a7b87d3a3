"""A call's context for a test, with the values that the test gives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

from .. import protocol
from ..context.call import Context
from ..context.record import CallRecord

CONTEXT_VALUES: Mapping[str, str] = {
    "request_id": protocol.REQUEST_ID,
    "timeout": protocol.FUNCTION_TIMEOUT,
    "function_name": "x-fc-function-name",
    "handler": "x-fc-function-handler",
    "memory": "x-fc-function-memory",
    "version_id": "x-fc-version-id",
    "qualifier": "x-fc-qualifier",
    "region": "x-fc-region",
    "account_id": "x-fc-account-id",
    "retry_count": "x-fc-retry-count",
    "service_name": "x-fc-service-name",
    "log_project": "x-fc-service-logproject",
    "log_store": "x-fc-service-logstore",
    "access_key_id": protocol.ACCESS_KEY_ID,
    "access_key_secret": protocol.ACCESS_KEY_SECRET,
    "security_token": protocol.SECURITY_TOKEN,
    "traceparent": "traceparent",
}
"""What a test may give by name, with the header that brings it; `headers` brings any other."""


class GivenContext(Context):
    """A context that a test has made. Called with other values, it makes another one."""

    __slots__ = ("_given",)
    _given: dict[str, Any]

    def __call__(self, **values: Any) -> Self:
        """Return a context with these values beside those that this one was made with, and a
        request id of its own. Raises TypeError for a name that is no field's.
        """
        return type(self).of(**{**self._given, **values})

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return a context with these values, and a local call's for the others."""
        headers = headers_of(values)
        record = CallRecord(time.monotonic())
        limit = protocol.time_limit(headers[protocol.FUNCTION_TIMEOUT], None, 0.0)
        deadline = None if limit is None else record.arrived + limit
        made = cls(headers, headers[protocol.REQUEST_ID], deadline, record=record)
        object.__setattr__(made, "_given", values)
        return made

    def given(self) -> dict[str, Any]:
        """Return the values that the test has given."""
        return dict(self._given)


def headers_of(values: Mapping[str, Any], handler: str = "index.handler") -> dict[str, str]:
    """Return the headers of a call with such values. Raises TypeError for a name that is no
    field's.
    """
    others: Mapping[str, str] = values.get("headers", {})
    known = {name: value for name, value in values.items() if name != "headers"}
    if unknown := ", ".join(sorted(known.keys() - CONTEXT_VALUES.keys())):
        raise TypeError(
            f"a context has no {unknown}; there are headers, {', '.join(sorted(CONTEXT_VALUES))}"
        )
    headers = protocol.common_headers(protocol.new_request_id(), handler=handler)
    headers |= {name.lower(): value for name, value in others.items()}
    return headers | {CONTEXT_VALUES[name]: str(value) for name, value in known.items()}
