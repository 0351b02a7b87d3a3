"""The Tablestore trigger: rows of a table changed. Its events are CBOR, read by cbor2."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

import msgspec
from msgspec import Struct

from ..errors import InvalidEvent
from .lenient import Lenient, convert
from .moments import from_epoch

COLUMN_TYPES = ("Put", "DeleteOneVersion", "DeleteAllVersions")


class TablestoreInfo(Lenient, frozen=True, rename="pascal"):
    """When the row changed, in microseconds."""

    timestamp: int = 0


class TablestoreKey(Struct, frozen=True, rename="pascal"):
    """One column of the primary key."""

    column_name: str
    value: Any = None


class TablestoreColumn(Struct, frozen=True, rename="pascal"):
    """One column that changed: `type` is Put, DeleteOneVersion or DeleteAllVersions."""

    type: str
    column_name: str
    value: Any = None
    timestamp: int | None = None

    @property
    def time(self) -> datetime | None:
        """The version of the value: `timestamp`, which is in milliseconds."""
        return from_epoch(self.timestamp, 1000)


class TablestoreRecord(Lenient, frozen=True, rename="pascal"):
    """One row that changed: `type` is PutRow, UpdateRow or DeleteRow."""

    __event_needs__: ClassVar[tuple[str, ...]] = ("cbor2",)

    type: str
    primary_key: list[TablestoreKey]
    columns: list[TablestoreColumn] = []
    info: TablestoreInfo = TablestoreInfo()

    @classmethod
    def __event_parts__(cls, body: bytes) -> list[Any]:
        """Return the records of an event as they came: `@each` converts them one by one."""
        return msgspec.convert(_loaded(body), _Parts).records

    @classmethod
    def __from_part__(cls, part: Any) -> Self:
        return convert(part, cls)

    @property
    def time(self) -> datetime | None:
        """When the row changed, as `info` tells it."""
        return from_epoch(self.info.timestamp, 1_000_000)

    def key(self) -> dict[str, Any]:
        """Return the primary key as column name and value."""
        return {column.column_name: column.value for column in self.primary_key}

    def row(self) -> dict[str, Any]:
        """Return what is known of the row as column name and value: its primary key, the newest
        version of what was put, None for what was deleted in all versions.

        Raises InvalidEvent for a column whose type is not known: read `columns` then.
        """
        row, newest = self.key(), {column.column_name: -1 for column in self.columns}
        for column in self.columns:
            name, version = column.column_name, column.timestamp or 0
            if column.type not in COLUMN_TYPES:
                raise InvalidEvent(
                    f"column {name!r} is of the type {column.type!r}, which is none of"
                    f" {', '.join(COLUMN_TYPES)}: read `columns` of the record"
                )
            if column.type == "DeleteAllVersions":
                row.setdefault(name, None)
            elif column.type == "Put" and version >= newest[name]:
                row[name], newest[name] = column.value, version
        return row


class TablestoreEvent(Lenient, frozen=True, rename="pascal"):
    """What the Tablestore trigger sends."""

    __event_needs__: ClassVar[tuple[str, ...]] = ("cbor2",)
    __event_records__: ClassVar[str] = "records"

    records: list[TablestoreRecord]
    version: str = ""

    @classmethod
    def __from_event__(cls, body: bytes) -> Self:
        return convert(_loaded(body), cls)


class _Parts(Struct, rename="pascal"):
    records: list[Any]


def _loaded(body: bytes) -> Any:
    import cbor2

    try:
        return cbor2.loads(body)
    except cbor2.CBORDecodeError as error:
        reason = type(error).__name__
    raise ValueError(f"not CBOR: {reason}")
