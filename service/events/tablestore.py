"""The Tablestore trigger: rows of a table changed. Its events are CBOR, read by cbor2."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from msgspec import Struct

from .lenient import Lenient, convert


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


class TablestoreRecord(Lenient, frozen=True, rename="pascal"):
    """One row that changed: `type` is PutRow, UpdateRow or DeleteRow."""

    type: str
    primary_key: list[TablestoreKey]
    columns: list[TablestoreColumn] = []
    info: TablestoreInfo = TablestoreInfo()


class TablestoreEvent(Lenient, frozen=True, rename="pascal"):
    """What the Tablestore trigger sends."""

    __event_needs__: ClassVar[tuple[str, ...]] = ("cbor2",)

    records: list[TablestoreRecord]
    version: str = ""

    @classmethod
    def __from_event__(cls, body: bytes) -> Self:
        import cbor2

        try:
            return convert(cbor2.loads(body), cls)
        except cbor2.CBORDecodeError as error:
            reason = type(error).__name__
        raise ValueError(f"not CBOR: {reason}")
