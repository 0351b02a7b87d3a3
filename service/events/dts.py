"""The Data Transmission Service (DTS) trigger: rows of a database changed."""

from __future__ import annotations

from typing import Any, ClassVar

from .cloudevents import CloudEvent, EventBatch
from .lenient import Lenient


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
        """Return the row as column name and value, text decoded; binary stays bytes."""
        fields = sorted(self.record_schema.record_fields, key=lambda field: field.field_position)
        pairs = zip(fields, self.values, strict=False)
        return {field.field_name: value and _plain(value) for field, value in pairs}


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


class DtsEvent(CloudEvent[DtsRecord], frozen=True, kw_only=True):
    """A CloudEvent around one change."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("data.operationType",)


class DtsEvents(EventBatch[DtsEvent]):
    """What the DTS trigger sends."""


def _plain(value: DtsValue) -> Any:
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
