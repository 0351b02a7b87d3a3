"""What a message carries, as a type of the handler's own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, TypeVar, overload

from ..calls.decode import json_decoder, json_of
from ..errors import InvalidEvent

T = TypeVar("T")


class WithPayload:
    """An event or a message that carries something."""

    __slots__ = ()
    __event_payload__: ClassVar[str]
    """The field that it stands in."""

    @overload
    def json(self) -> Any: ...

    @overload
    def json(self, kind: type[T]) -> T: ...

    def json(self, kind: Any = Any) -> Any:
        """Return what it carries, as `kind`: decoded if it came as text or bytes, taken as it is if
        the trigger has done that.

        Raises InvalidEvent if it is no JSON, or not of the kind; TypeError for a kind that no JSON
        can become.
        """
        name = self.__event_payload__
        carried = getattr(self, name)
        if isinstance(carried, WithPayload):  # a message in a CloudEvent
            return carried.json(kind)
        return read_payload(carried, kind, f"{type(self).__name__}.{name}")


def read_payload(value: Any, kind: Any, where: str) -> Any:
    """Return a payload as `kind`; `where` is what messages call it. Raises InvalidEvent."""
    try:
        return _decoder_of(kind)(_body_of(value))
    except InvalidEvent as error:
        reason = str(error)
    raise InvalidEvent(f"{where}: {reason}")


def _body_of(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return json_of(value)


def _decoder_of(kind: Any) -> Any:
    try:
        return _kept_decoder(kind)
    except TypeError:  # an annotation that cannot be hashed, or that nothing can decode
        return json_decoder(kind)


_kept_decoder = lru_cache(maxsize=256)(json_decoder)
