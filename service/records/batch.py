"""The records of a batch: found in the body of any trigger, and decoded one by one."""

from __future__ import annotations

import typing
from collections.abc import Callable
from inspect import Parameter
from typing import Any, Final, get_args, get_origin

import msgspec

from ..calls.annotations import bare_annotation, name_of
from ..calls.decode import BOM, check_needs, decoder
from ..calls.stream import takes_stream
from ..errors import InvalidEvent

_ITEMS: Final = decoder(list[msgspec.Raw])
_MEMBERS: Final = decoder(dict[str, msgspec.Raw])

CLOUD_EVENT: Final = {"id", "source", "type", "specversion"}
"""What an object has that is one event: EventBridge sends a list of these, or one."""


class RecordBatch(list[Any]):
    """The records of an event as they came, none of them decoded yet."""


class RecordReader:
    """Finds the records in an event and decodes each as an annotation asks."""

    def __init__(self, annotation: Any) -> None:
        """Raises TypeError for an annotation that no record can become."""
        self.annotation = Any if annotation is Parameter.empty else annotation
        kind = bare_annotation(self.annotation)
        self._own = get_origin(kind) or kind
        _refuse_batches(kind, self._own)
        check_needs(self._own)
        self._is_text = kind is str
        self._is_raw = kind in (bytes, bytearray, memoryview)
        self._is_of_trigger = hasattr(self._own, "__event_marks__")
        self._decode = decoder(self.annotation)

    def split(self, body: bytes) -> RecordBatch:
        """Return the records of a body. Raises InvalidEvent if it is no list of any kind."""
        if hasattr(self._own, "__event_parts__"):
            return RecordBatch(_guarded(self._own.__event_parts__, body))
        body = body.removeprefix(BOM).strip()
        if body.startswith(b"["):
            return RecordBatch(_ITEMS(body))
        if body.startswith(b"{"):
            return RecordBatch(self._of_object(body))
        raise InvalidEvent("$: @each takes a list of records, and the event is none")

    def _of_object(self, body: bytes) -> list[Any]:
        """Return the records of an object: those of OSS and CDN are in one, and of other triggers
        a single event is a batch of one.
        """
        if self._is_of_trigger:
            return [body]
        members = _MEMBERS(body)
        if members.keys() == {"events"}:
            return list(_ITEMS(bytes(members["events"])))
        if members.keys() >= CLOUD_EVENT:
            return [body]
        raise InvalidEvent(
            "$: @each takes a list of records, and the event is an object: write a handler of the"
            " whole event, or send the list that is in it"
        )

    def read(self, part: Any) -> Any:
        """Return a record, decoded. Raises InvalidEvent."""
        if not isinstance(part, bytes | msgspec.Raw):
            return _guarded(self._own.__from_part__, part)
        body = bytes(part)
        if self._is_raw or self._is_text:
            return self._decode(_bare(body))
        if not body.startswith(b'"'):
            return self._decode(body)
        try:
            return self._decode(body)
        except InvalidEvent:
            # EventBridge sends older functions each record as a text that holds its JSON.
            return self._decode(_bare(body))


def _bare(body: bytes) -> bytes:
    """Return the text of a JSON string, anything else as it is."""
    if not body.startswith(b'"'):
        return body
    try:
        return msgspec.json.decode(body, type=str).encode()
    except (ValueError, msgspec.DecodeError):
        return body


def _guarded(read: Callable[[Any], Any], value: Any) -> Any:
    """Return what a class of an event makes of a value. Raises InvalidEvent; not from within the
    original, which may quote the event.
    """
    try:
        return read(value)
    except InvalidEvent:
        raise
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        reason = str(error)[:300]
    raise InvalidEvent(reason)


def _refuse_batches(kind: Any, own: Any) -> None:
    """Raise TypeError for the type of a whole batch."""
    item: Any = None
    if hasattr(own, "__event_item__"):
        item = own.__event_item__(kind)
    elif hasattr(own, "__event_records__"):
        item = get_args(typing.get_type_hints(own)[own.__event_records__])[0]
    if item is not None:
        raise TypeError(
            f"a handler of @each takes one record: annotate it as {name_of(item)}, and not as"
            f" {name_of(own)}"
        )
    if takes_stream(kind):
        raise TypeError(
            "a handler of @each takes one record: annotate it as that, and say"
            " @each(lines=True) for a stream of JSON lines"
        )
