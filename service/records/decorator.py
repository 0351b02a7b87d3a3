"""`each`: a handler of one record becomes the handler of the batch."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any, Protocol, overload

from ..calls.callables import event_annotation
from ..calls.shapes import Decode
from ..calls.stream import EventStream
from ..errors import InvalidEvent, StartError
from .batch import RecordBatch, RecordReader
from .item import ListedRecords, RecordSource, StreamedRecords
from .pool import record_threads
from .rule import EachRule, rule_of
from .running import BatchRun

RecordHandler = Callable[[Any, Any], Any]
"""A handler of one record: `(record, context)`, async or plain."""

FailureSink = Callable[[Any, BaseException, Any], Any]
"""Takes over a record that has failed: `(record, error, context)`, async or plain."""


class BatchHandler(Protocol):
    """The handler of a batch: it returns the counts, and the failures that were handed over."""

    record_handler: RecordHandler
    """What handles one record."""

    def __call__(self, batch: Any, context: Any, /) -> Coroutine[Any, Any, dict[str, Any]]: ...


@overload
def each(handle: RecordHandler, /) -> BatchHandler: ...


@overload
def each(
    *,
    concurrency: int = ...,
    key: str | Callable[[Any], Any] | None = ...,
    retry: Any = ...,
    on_failure: FailureSink | None = ...,
    margin: float | None = ...,
    lines: bool = ...,
) -> Callable[[RecordHandler], BatchHandler]: ...


def each(
    handle: RecordHandler | None = None,
    /,
    *,
    concurrency: int = 20,
    key: str | Callable[[Any], Any] | None = None,
    retry: Any = None,
    on_failure: FailureSink | None = None,
    margin: float | None = None,
    lines: bool = False,
) -> Any:
    """Make a handler of one record, `(record, context)`, the handler of a batch of them.

    `concurrency` records run at once; those of one `key`, a path or a function of the record, run
    in their order. `retry` is how many tries a record has, or a `stamina.AsyncRetryingCaller`.
    `on_failure(record, error, context)` takes over what has failed, and the batch succeeds; without
    it, or if it fails, the call fails with RecordsFailed. `margin` seconds of the call's time are
    kept to report, by default a tenth and five at most. With `lines` the event is a stream of JSON
    lines, read while it arrives.

    Raises TypeError or ValueError for what cannot be, ImportError if `stamina` is missing.
    """

    def decorate(found: RecordHandler) -> BatchHandler:
        return _batch_handler(rule_of(found, concurrency, key, retry, on_failure, margin, lines))

    return decorate if handle is None else decorate(handle)


def _batch_handler(rule: EachRule) -> BatchHandler:
    found = _Found(rule)

    async def handle_batch(batch: Any, context: Any) -> dict[str, Any]:
        reader = found.reader
        wanted = rule.is_plain or rule.sink_is_plain
        with record_threads(wanted=wanted) as pool:
            source = _source(rule, reader, batch)
            return await BatchRun(rule, reader, source, context, pool).run()

    # No `__wrapped__`: the event is not what the handler of a record is annotated with.
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(handle_batch, name, getattr(rule.handle, name, type(rule.handle).__name__))
    annotation = EventStream if rule.lines else found.batch_type()
    handle_batch.__annotations__ = {"batch": annotation, "return": dict[str, Any]}
    handle_batch.record_handler = rule.handle  # type: ignore[attr-defined]
    return handle_batch  # type: ignore[return-value]


class _Found:
    """What is known once all of the handler's module is: what its records are to be."""

    def __init__(self, rule: EachRule) -> None:
        """Raises TypeError for an annotation that cannot be, if all that it names is there."""
        self._rule = rule
        try:
            _ = self.reader
        except StartError as reason:
            if not isinstance(reason.__cause__, NameError):
                raise TypeError(str(reason)) from None

    @cached_property
    def reader(self) -> RecordReader:
        """The reader. Raises StartError and TypeError for an annotation that cannot be."""
        return RecordReader(event_annotation("@each", self._rule.handle))

    def batch_type(self) -> type:
        """Return the type of the event, which finds its records when a handler is loaded."""

        def decoder_of(_cls: type, _kind: Any, _decoder: Any, _fields: Any) -> Decode:
            return self.reader.split

        return type("RecordBatch", (RecordBatch,), {"__event_decoder__": classmethod(decoder_of)})


def _source(rule: EachRule, reader: RecordReader, batch: Any) -> RecordSource:
    """Return the records of what a handler was given: by the service, or by a test."""
    if isinstance(batch, EventStream):
        return StreamedRecords(batch)
    if isinstance(batch, str):
        batch = batch.encode()
    if isinstance(batch, bytes | bytearray | memoryview):
        body = bytes(batch)
        return ListedRecords(body.splitlines() if rule.lines else reader.split(body))
    if isinstance(batch, RecordBatch):
        return ListedRecords(batch)
    if hasattr(batch, "__event_records__"):  # an OssEvent, a TablestoreEvent
        batch = getattr(batch, batch.__event_records__)
    if isinstance(batch, list | tuple):
        return ListedRecords(batch, decoded=True)
    raise InvalidEvent(f"$: @each takes a list of records, and was given {type(batch).__name__}")
