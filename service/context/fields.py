"""The parts of a call's context: values that are read from the request's headers when they are
asked for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn, Self

import msgspec

from ..protocol import ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN


class Platform(msgspec.Struct, frozen=True):
    """What the instance's environment says, for the fields that no header brings (docs/platform.md
    section 5).
    """

    instance_id: str = ""
    access_key_id: str = ""
    access_key_secret: str = ""
    security_token: str = ""
    function_name: str = ""
    version: str = ""
    memory: int = 0  # MB
    region: str = ""
    account_id: str = ""
    session_header: str = ""
    """The header field that brings a call's session, as the setting names it."""

    def __repr__(self) -> str:
        return f"Platform(instance_id={self.instance_id!r}, ***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("instance_id", self.instance_id)]


class Frozen:
    """A value whose fields are set once, in `__init__`, and that never leaves the process by
    pickle.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not pickled: it may hold credentials")


set_once = object.__setattr__
"""Sets a field of a value that refuses to be changed."""


class HeaderView(Frozen):
    """Fields that are read from the request's headers when they are asked for."""

    __slots__ = ("_headers",)
    _headers: Mapping[str, str]
    _fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, headers: Mapping[str, str]) -> None:
        set_once(self, "_headers", headers)

    def __copy__(self) -> Self:
        return self  # it cannot be changed

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override] # read by vars()
        """The fields, as `vars()` shows those of the built-in runtime's plain object."""
        return {name: getattr(self, name) for name in self._fields}

    def to_json(self) -> dict[str, Any]:
        """Return the fields as the built-in runtimes name them in JSON."""
        return {_camel(name): getattr(self, name) for name in self._fields}

    def _text(self, name: str) -> str:
        return self._headers.get(name, "")

    def _number(self, name: str) -> int | None:
        text = self._headers.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({fields})"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


class VersionFields(HeaderView):
    """Which version was called."""

    __slots__ = ()

    @property
    def version_id(self) -> str:
        """The published version, "" for LATEST."""
        return self._text("x-fc-version-id")

    versionId = version_id

    @property
    def qualifier(self) -> str:
        """The version or alias that was called."""
        return self._text("x-fc-qualifier")


class LogStoreFields(HeaderView):
    """Where the log is kept."""

    __slots__ = ()

    @property
    def log_project(self) -> str:
        """The log project, "" when no log store is configured."""
        return self._text("x-fc-service-logproject")

    logProject = log_project

    @property
    def log_store(self) -> str:
        """The log store, "" when none is configured."""
        return self._text("x-fc-service-logstore")

    logStore = log_store


class FunctionMeta(VersionFields):
    """`context.function`: the function as it is deployed. Absent text is "", an absent number
    None.
    """

    __slots__ = ()
    _fields = ("name", "handler", "memory", "timeout", "version_id", "qualifier")

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


class ServiceMeta(LogStoreFields, VersionFields):
    """`context.service`: Function Compute 2's service and the log store. Absent text is ""."""

    __slots__ = ()
    _fields = ("name", "log_project", "log_store", "qualifier", "version_id")

    @property
    def name(self) -> str:
        """The service's name, "" on Function Compute 3."""
        return self._text("x-fc-service-name")


class Tracing(HeaderView):
    """`context.tracing`: the platform's OpenTracing fields."""

    __slots__ = ()
    _fields = ("span_context", "span_baggages", "jaeger_endpoint")

    @property
    def span_context(self) -> str:
        """The span this call belongs to."""
        return self._text("x-fc-tracing-opentracing-span-context")

    spanContext = span_context

    @property
    def span_baggages(self) -> dict[str, Any]:
        """The baggage, decoded from base64 JSON; empty when absent or not readable."""
        text = self._text("x-fc-tracing-opentracing-span-baggages")
        try:
            value = json.loads(base64.b64decode(text, validate=True)) if text else {}
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    spanBaggages = span_baggages

    @property
    def jaeger_endpoint(self) -> str:
        """Where spans are sent."""
        return self._text("x-fc-tracing-jaeger-endpoint")

    jaegerEndpoint = jaeger_endpoint


class MaskedKeys(dict[str, str]):
    """The credentials as JSON has them: whole as a value, and not shown as text."""

    def __repr__(self) -> str:
        return "{***}"


class Credentials(HeaderView):
    """`context.credentials`: the role's temporary credentials, of this call's own headers.

    If the platform sends none (docs/platform.md section 2: custom.debian11), the ALIBABA_CLOUD_*
    variables serve. The values are never part of `repr`, and the object cannot be pickled.
    """

    __slots__ = ("_platform",)
    _platform: Platform
    _fields = ("access_key_id", "access_key_secret", "security_token")

    def __init__(self, headers: Mapping[str, str], platform: Platform) -> None:
        super().__init__(headers)
        set_once(self, "_platform", platform)

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

    accessKeyId = access_key_id

    @property
    def access_key_secret(self) -> str:
        """The access key secret."""
        if self._sent:
            return self._text(ACCESS_KEY_SECRET)
        return self._platform.access_key_secret

    accessKeySecret = access_key_secret

    @property
    def security_token(self) -> str:
        """The STS token that belongs to the key."""
        if self._sent:
            return self._text(SECURITY_TOKEN)
        return self._platform.security_token

    securityToken = security_token

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override] # read by vars()
        """The fields in both spellings, whole as values and not shown as text."""
        return MaskedKeys({**super().__dict__, **self.to_json()})

    def to_json(self) -> dict[str, Any]:
        """Return the three values, which are not shown where the result is printed."""
        return MaskedKeys(super().to_json())

    def __repr__(self) -> str:
        return "Credentials(***)"
