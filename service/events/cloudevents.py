"""CloudEvents as EventBridge delivers them, one or many at a time."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, Generic, Self, TypeVar, get_args

import msgspec
from msgspec import Struct, field

T = TypeVar("T")


class CloudEvent(Struct, Generic[T], frozen=True, kw_only=True):
    """One event; `data` is what the source sends, `CloudEvent[Order]` says what that is."""

    id: str
    source: str
    type: str
    data: T
    subject: str = ""
    time: datetime | None = None
    spec_version: str = field(default="1.0", name="specversion")
    data_content_type: str = field(default="", name="datacontenttype")
    account_id: str = field(default="", name="aliyunaccountid")
    original_account_id: str = field(default="", name="aliyunoriginalaccountid")
    event_bus_name: str = field(default="", name="aliyuneventbusname")
    publish_time: datetime | None = field(default=None, name="aliyunpublishtime")
    publish_addr: str = field(default="", name="aliyunpublishaddr")
    region_id: str = field(default="", name="aliyunregionid")


class EventBatch(list[T]):
    """A batch as a list; `class Orders(EventBatch[CloudEvent[Order]])` makes a type of your own.

    EventBridge sends a list of objects (event streaming), one object (event driven) or, to older
    functions, a list of JSON texts: all of them become the same list.
    """

    @classmethod
    def __from_event__(cls, body: bytes) -> Self:
        item = get_args(cls.__orig_bases__[0])[0]  # type: ignore[attr-defined] # set by the subclass
        batch, one = _decoders(item)
        found = batch.decode(body)
        items = found if isinstance(found, list) else [found]
        return cls(_from_text(one, at, item) for at, item in enumerate(items))


@cache
def _decoders(item: Any) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    return msgspec.json.Decoder(list[item | str] | item), msgspec.json.Decoder(item)


def _from_text(one: msgspec.json.Decoder[Any], at: int, item: Any) -> Any:
    if not isinstance(item, str):
        return item
    try:
        return one.decode(item)
    except msgspec.DecodeError as error:
        reason, _, path = str(error).partition(" - at `$")
    raise ValueError(f"{reason} - at `$[{at}]{path or '`'}")


class CloudEvents(EventBatch[CloudEvent[Any]]):
    """CloudEvents of any source."""
