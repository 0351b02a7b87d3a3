"""The header fields of a call's request, as a handler sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..patterns import LatePattern
from .fields import Frozen, set_once
from .plain import MASK

_SECRET = LatePattern(
    r"auth|cookie|cred|key|pass|secret|session|signature|token|tracing-opentracing-span-baggages",
    re.IGNORECASE,
)
"""Names of fields whose values are not shown: what is one too many is read by its name."""


def may_have_credentials(name: str) -> bool:
    """Return whether the values of a field are not shown, since they may be credentials."""
    return _SECRET.compiled.search(name) is not None


class RequestHeaders(Frozen, Mapping[str, str]):
    """`context.headers`: the fields of the request, read-only, by names in upper or lower case. A
    field that was sent more than once has its first value.

    Values are whole, and those of fields that may bring credentials are not part of `repr`.
    """

    __slots__ = ("_headers",)
    _headers: Mapping[str, str]

    def __init__(self, headers: Mapping[str, str]) -> None:
        set_once(self, "_headers", headers)

    def __getitem__(self, name: str) -> str:
        return self._headers[name.lower()]

    def getall(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Return all values of a field."""
        get_all = getattr(self._headers, "getall", None)
        if get_all is not None:
            return list(get_all(name, default))
        return [self[name]] if name in self else list(default)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name in self._headers))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._headers

    def __repr__(self) -> str:
        shown = (
            f"{name}={MASK if may_have_credentials(name) else repr(self[name])}" for name in self
        )
        return f"RequestHeaders({', '.join(shown)})"
