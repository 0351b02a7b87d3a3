"""The Data Transmission Service (DTS) trigger: rows of a database changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from ..errors import InvalidEvent
from .cloudevents import CloudEvent, EventBatch
from .lenient import Lenient
from .moments import from_epoch


class DtsField(Lenient, frozen=True, rename="camel"):
    """One column of the table."""

    field_name: str
    field_position: int
    raw_data_type_num: int = 0
    is_primary_key: bool = False
    is_unique_key: bool = False


class DtsSchema(Lenient, frozen=True, rename="camel"):
    """The table."""

    record_fields: list[DtsField] = []
    database_name: str = ""
    table_name: str = ""
    schema_id: str = ""


class DtsValue(Lenient, frozen=True):
    """One column's value; text comes as the bytes of a Java buffer, see `DtsImage.row`."""

    data: Any = None
    charset: str = ""


class DtsImage(Lenient, frozen=True, rename="camel"):
    """A row before or after the change."""

    values: list[DtsValue | None] = []
    record_schema: DtsSchema = DtsSchema()

    def row(self) -> dict[str, Any]:
        """Return the row as column name and value, text decoded; binary stays bytes.

        Raises InvalidEvent for a value that cannot be decoded: read `values` then.
        """
        fields = sorted(self.record_schema.record_fields, key=lambda field: field.field_position)
        pairs = zip(fields, self.values, strict=False)
        return {
            field.field_name: value and _plain(field.field_name, value) for field, value in pairs
        }


class DtsTopicPartition(Lenient, frozen=True):
    """Where the record stands in the subscription."""

    topic: str = ""
    partition: int = 0


class DtsRecord(Lenient, frozen=True, rename="camel"):
    """One change: `operation_type` is INSERT, UPDATE, DELETE or a DDL."""

    operation_type: str
    id: int = 0
    offset: int = 0
    source_timestamp: int = 0
    topic_partition: DtsTopicPartition = DtsTopicPartition()
    schema: DtsSchema | None = None
    before_image: DtsImage | None = None
    after_image: DtsImage | None = None

    @property
    def time(self) -> datetime | None:
        """When the row changed: `source_timestamp`, which is in seconds."""
        return from_epoch(self.source_timestamp, 1)

    def before(self) -> dict[str, Any] | None:
        """Return the row before the change, as `DtsImage.row` does; None for an INSERT."""
        return self.before_image.row() if self.before_image else None

    def after(self) -> dict[str, Any] | None:
        """Return the row after the change, as `DtsImage.row` does; None for a DELETE."""
        return self.after_image.row() if self.after_image else None


class DtsEvent(CloudEvent[DtsRecord], frozen=True, kw_only=True):
    """A CloudEvent around one change."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("data.operationType",)


class DtsEvents(EventBatch[DtsEvent]):
    """What the DTS trigger sends."""


def _plain(name: str, value: DtsValue) -> Any:
    try:
        return _decoded(value)
    except (LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise InvalidEvent(f"column {name!r} cannot be decoded: {reason[:200]}; read `values`")


def _decoded(value: DtsValue) -> Any:
    if not isinstance(value.data, dict) or not isinstance(value.data.get("hb"), list):
        return value.data
    start, limit = value.data.get("offset", 0), value.data.get("limit")
    stop = None if limit is None else start + limit
    # Java's bytes are signed.
    raw = bytes(byte & 255 for byte in value.data["hb"][start:stop])
    if value.charset in ("", "binary"):
        return raw
    # MySQL's own names of UTF-8; its other charsets are called the same in Python.
    return raw.decode("utf-8" if value.charset.startswith("utf8") else value.charset)
