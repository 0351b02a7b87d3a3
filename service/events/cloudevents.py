"""CloudEvents as EventBridge delivers them, one or many at a time."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

import msgspec
from msgspec import field
from msgspec.structs import asdict, force_setattr

from ..calls.decode import BOM
from ..errors import InvalidEvent
from .lenient import Lenient
from .moments import Moment, with_moments
from .payload import WithPayload

T = TypeVar("T")
DecodePart = Callable[[bytes], Any]
DecoderOf = Callable[[Any], DecodePart]


@with_moments("time", "publish_time")
class CloudEvent(WithPayload, Lenient, Generic[T], frozen=True, kw_only=True):
    """One event; `data` is what the source sends, `CloudEvent[Order]` says what that is.

    Data that comes as `data_base64` is decoded; without any, `data` is None if the type allows it.
    Attributes that are not known here are `extensions`, by their names. A time that cannot be read
    is text.
    """

    __event_payload__: ClassVar[str] = "data"
    __event_marks__: ClassVar[tuple[str, ...]] = ("id", "source", "type")

    id: str
    source: str
    type: str
    data: T = None  # type: ignore[assignment] # `__event_decoder__` refuses it if T does
    subject: str = ""
    time: Moment = None
    spec_version: str = field(default="1.0", name="specversion")
    data_content_type: str = field(default="", name="datacontenttype")
    data_schema: str = field(default="", name="dataschema")
    account_id: str = field(default="", name="aliyunaccountid")
    original_account_id: str = field(default="", name="aliyunoriginalaccountid")
    event_bus_name: str = field(default="", name="aliyuneventbusname")
    publish_time: Moment = field(default=None, name="aliyunpublishtime")
    publish_addr: str = field(default="", name="aliyunpublishaddr")
    region_id: str = field(default="", name="aliyunregionid")
    extensions: dict[str, Any] = field(default={}, name="")

    @classmethod
    def __event_decoder__(cls, kind: Any, decoder: DecoderOf, fields: DecoderOf) -> DecodePart:
        """Return what decodes the body of one event.

        `decoder` makes such for the data alone, `fields` for the fields that have a name here.
        """
        read, data = fields(kind), argument_of(kind, CloudEvent)
        optional = _takes_none(data)
        read_data = bytes if data is Any else decoder(data)
        known = {*cls.__struct_encode_fields__} - {""}

        def decode(body: bytes) -> Any:
            event = read(body)
            parts = _PARTS.decode(body)
            encoded = parts.pop("data_base64", None)
            if "data" not in parts:
                if encoded is not None:
                    force_setattr(event, "data", read_data(_from_base64(encoded)))
                elif not optional:
                    raise ValueError("Object missing required field `data`")
            if more := parts.keys() - known:
                extensions = {name: msgspec.json.decode(parts[name]) for name in sorted(more)}
                force_setattr(event, "extensions", extensions)
            return event

        return decode

    @classmethod
    def __event_schema__(cls, kind: Any, part: dict[str, Any]) -> None:
        """Add to a JSON Schema what is said of the data."""
        part["properties"]["data"].pop("default", None)
        part["properties"]["data_base64"] = {"type": "string", "contentEncoding": "base64"}
        if not _takes_none(argument_of(kind, CloudEvent)):
            part["anyOf"] = [{"required": ["data"]}, {"required": ["data_base64"]}]

    def to_json(self) -> dict[str, Any]:
        """Return the event as EventBridge sends it."""
        kept = asdict(self)
        names = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        sent = {encoded: kept[name] for name, encoded in names}
        return {**sent.pop(""), **sent}


_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def _from_base64(encoded: msgspec.Raw) -> bytes:
    try:
        return base64.b64decode(msgspec.json.decode(encoded, type=str), validate=True)
    except ValueError:
        reason = "Invalid base64 encoded string"
    raise ValueError(f"{reason} - at `$.data_base64`")


def argument_of(kind: Any, generic: type) -> Any:
    """Return what a class or an alias says for the type variable of `generic`, Any if nothing."""
    if get_origin(kind) is generic:
        return get_args(kind)[0]
    origin = get_origin(kind) or kind
    for base in getattr(origin, "__orig_bases__", ()):
        if issubclass(get_origin(base) or base, generic):
            return argument_of(base, generic)
    return Any


def _takes_none(data: Any) -> bool:
    return data in (Any, object, None) or type(None) in get_args(data)


class EventBatch(list[T]):
    """A batch as a list; `class Orders(EventBatch[CloudEvent[Order]])` makes a type of your own.

    EventBridge sends a list of objects (event streaming), one object (event driven) or, to older
    functions, a list of JSON texts: all of them become the same list.
    """

    @classmethod
    def __event_item__(cls, kind: Any) -> Any:
        """Return the type of one event."""
        return argument_of(kind, EventBatch)

    @classmethod
    def __event_decoder__(cls, kind: Any, decoder: DecoderOf, fields: DecoderOf) -> DecodePart:
        """Return what decodes the body of a batch; `decoder` makes such for one event."""
        one = decoder(cls.__event_item__(kind))

        def decode(body: bytes) -> Any:
            body = body.removeprefix(BOM).strip()
            if not body.startswith(b"["):
                return cls([one(body)])
            found = enumerate(_ITEMS.decode(body))
            return cls(_item(one, at, bytes(part)) for at, part in found)

        return decode


def _item(one: DecodePart, at: int, part: bytes) -> Any:
    """Return one event of a batch; an event may be text that holds its JSON."""
    if part.startswith(b'"'):
        part = msgspec.json.decode(part, type=str).encode()
    try:
        return one(part)
    except InvalidEvent as error:
        reason = str(error)
    raise InvalidEvent(f"$[{at}]" + (reason[1:] if reason.startswith("$") else f": {reason}"))


class CloudEvents(EventBatch[CloudEvent[Any]]):
    """CloudEvents of any source."""

    __event_order__: ClassVar[int] = 2
