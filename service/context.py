"""What a handler can know about its call: `Context`, and the one variable that says which call runs
here.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NoReturn

from .protocol import ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN

LOGGER = logging.getLogger("fc")
"""The logger that handlers get as `context.logger`; its lines carry the running call's request id.
"""


@dataclass(frozen=True, slots=True)
class Platform:
    """What the instance's environment says, for the fields that no header brings (docs/platform.md
    section 5).
    """

    instance_id: str = ""
    access_key_id: str = field(default="", repr=False)
    access_key_secret: str = field(default="", repr=False)
    security_token: str = field(default="", repr=False)


class Frozen:
    """A value that is set once, in `__init__`, and never leaves the process by pickle."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not pickled: it may hold credentials")


_set = object.__setattr__


class HeaderView(Frozen):
    """Fields that are read from the request's headers when they are asked for."""

    __slots__ = ("_headers",)
    _headers: Mapping[str, str]

    def __init__(self, headers: Mapping[str, str]) -> None:
        _set(self, "_headers", headers)

    def _text(self, name: str) -> str:
        return self._headers.get(name, "")

    def _number(self, name: str) -> int | None:
        text = self._headers.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    def __repr__(self) -> str:
        fields = [name for name in dir(type(self)) if not name.startswith("_")]
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in fields)})"


class Function(HeaderView):
    """`context.function`: the function as it is deployed. Absent text is "", an absent number
    None.
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """The function's name."""
        return self._text("x-fc-function-name")

    @property
    def handler(self) -> str:
        """The handler as it stands in the function's configuration."""
        return self._text("x-fc-function-handler")

    @property
    def memory(self) -> int | None:
        """The memory size in MB."""
        return self._number("x-fc-function-memory")

    @property
    def timeout(self) -> int | None:
        """The time limit of a call in seconds."""
        return self._number("x-fc-function-timeout")

    @property
    def version_id(self) -> str:
        """The published version, "" for LATEST."""
        return self._text("x-fc-version-id")

    @property
    def qualifier(self) -> str:
        """The version or alias that was called."""
        return self._text("x-fc-qualifier")


class Service(HeaderView):
    """`context.service`: Function Compute 2's service and the log store. Absent text is ""."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The service's name, "" on Function Compute 3."""
        return self._text("x-fc-service-name")

    @property
    def log_project(self) -> str:
        """The log project, "" when no log store is configured."""
        return self._text("x-fc-service-logproject")

    @property
    def log_store(self) -> str:
        """The log store, "" when none is configured."""
        return self._text("x-fc-service-logstore")

    @property
    def qualifier(self) -> str:
        """The version or alias that was called."""
        return self._text("x-fc-qualifier")

    @property
    def version_id(self) -> str:
        """The published version, "" for LATEST."""
        return self._text("x-fc-version-id")


class Tracing(HeaderView):
    """`context.tracing`: the platform's OpenTracing fields."""

    __slots__ = ()

    @property
    def span_context(self) -> str:
        """The span this call belongs to."""
        return self._text("x-fc-tracing-opentracing-span-context")

    @property
    def span_baggages(self) -> dict[str, Any]:
        """The baggage, decoded from base64 JSON; empty when absent or not readable."""
        text = self._text("x-fc-tracing-opentracing-span-baggages")
        try:
            value = json.loads(base64.b64decode(text, validate=True)) if text else {}
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def jaeger_endpoint(self) -> str:
        """Where spans are sent."""
        return self._text("x-fc-tracing-jaeger-endpoint")


class Credentials(HeaderView):
    """`context.credentials`: the role's temporary credentials, of this call's own headers.

    Where the platform sends none (docs/platform.md section 2: custom.debian11), the ALIBABA_CLOUD_*
    variables serve. The values are never part of `repr`, and the object cannot be pickled.
    """

    __slots__ = ("_platform",)
    _platform: Platform

    def __init__(self, headers: Mapping[str, str], platform: Platform) -> None:
        super().__init__(headers)
        _set(self, "_platform", platform)

    @property
    def _sent(self) -> bool:
        """True when this call's headers bring a key: then nothing is mixed in from the
        environment.
        """
        return bool(self._headers.get(ACCESS_KEY_ID))

    @property
    def access_key_id(self) -> str:
        """The access key id."""
        return self._text(ACCESS_KEY_ID) or self._platform.access_key_id

    @property
    def access_key_secret(self) -> str:
        """The access key secret."""
        if self._sent:
            return self._text(ACCESS_KEY_SECRET)
        return self._platform.access_key_secret

    @property
    def security_token(self) -> str:
        """The STS token that belongs to the key."""
        if self._sent:
            return self._text(SECURITY_TOKEN)
        return self._platform.security_token

    def __repr__(self) -> str:
        return "Credentials(***)"


class Context(HeaderView):
    """One call, as the handler sees it: the built-in Python runtime's field names (docs/platform.md
    section 3.2).

    Frozen and cheap: a field is read from the headers when it is asked for.
    """

    __slots__ = ("_platform", "deadline", "request_id")
    request_id: str
    deadline: float | None
    _platform: Platform

    def __init__(
        self,
        headers: Mapping[str, str],
        request_id: str,
        deadline: float | None = None,
        platform: Platform = Platform(),
    ) -> None:
        _set(self, "_headers", headers)
        _set(self, "request_id", request_id)
        _set(self, "deadline", deadline)
        _set(self, "_platform", platform)

    @property
    def function(self) -> Function:
        """The function as it is deployed."""
        return Function(self._headers)

    @property
    def service(self) -> Service:
        """The service (Function Compute 2) and its log store."""
        return Service(self._headers)

    @property
    def credentials(self) -> Credentials:
        """The role's temporary credentials."""
        return Credentials(self._headers, self._platform)

    @property
    def tracing(self) -> Tracing:
        """The platform's tracing fields."""
        return Tracing(self._headers)

    @property
    def region(self) -> str:
        """The region's id, `cn-hangzhou` for example."""
        return self._text("x-fc-region")

    @property
    def account_id(self) -> str:
        """The account's id."""
        return self._text("x-fc-account-id")

    @property
    def retry_count(self) -> int | None:
        """How often this asynchronous event was tried before, None when the platform does not
        say.
        """
        return self._number("x-fc-retry-count")

    @property
    def instance_id(self) -> str:
        """The instance that runs this call."""
        return self._platform.instance_id

    @property
    def logger(self) -> logging.Logger:
        """A logger whose lines carry this call's request id."""
        return LOGGER

    def getLogger(self) -> logging.Logger:
        """The built-in runtime's older spelling of `logger`."""
        return LOGGER

    def remaining(self) -> float | None:
        """Seconds until the deadline, never below 0; None when the call has no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def __repr__(self) -> str:
        return f"Context(request_id={self.request_id!r}, function={self.function.name!r})"


RUNNING: ContextVar[Context] = ContextVar("fc_context")
"""The context of the call that runs here. Set by the middleware, read by logs and
`current_context`.
"""


def current_context() -> Context:
    """The running call's context, from anywhere in it, threads included.

    Raises LookupError outside of a call.
    """
    context = RUNNING.get(None)
    if context is None:
        raise LookupError("no call runs here: current_context() works inside a handler or a hook")
    return context


def sent_headers(context: Context) -> dict[str, str]:
    """Return the platform's headers of a call: what another worker makes the same context of."""
    headers = context._headers
    return {name: value for name, value in headers.items() if name.lower().startswith("x-fc-")}
