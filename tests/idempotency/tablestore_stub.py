"""Tablestore, as far as rows with conditions go, for its own client: real requests over HTTP."""

from __future__ import annotations

import base64
import hashlib
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("tablestore", reason="there is no tablestore for this Python")
    from tablestore.auth import RequestContext, SignV2
    from tablestore.credentials import Credentials
    from tablestore.plainbuffer.plain_buffer_builder import PlainBufferBuilder
    from tablestore.plainbuffer.plain_buffer_coded_stream import PlainBufferCodedInputStream
    from tablestore.plainbuffer.plain_buffer_stream import PlainBufferInputStream
    from tablestore.protobuf import table_store_filter_pb2 as filters
    from tablestore.protobuf import table_store_pb2 as messages

KEYS = Credentials("id", "secret")
MADE = {"PutRow": "put", "GetRow": "get", "DeleteRow": "delete"}


class Refused(Exception):
    """An answer with an error's code."""

    def __init__(self, code: str, status: int = 403) -> None:
        super().__init__(code)
        self.status = status


class TablestoreStub:
    """The rows of any table; `age` makes all that is written later so many seconds older."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[str, Any, int]]] = {}
        self.age = 0.0
        self.asked: list[str] = []
        self.tokens = set[str]()
        self.fails = ""
        """The code of the error that each request gets."""

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request as Tablestore does, with all that its client checks."""
        operation = request.path.strip("/")
        self.asked.append(operation)
        self.tokens.add(request.headers.get("x-ots-ststoken", ""))
        body = await request.read()
        try:
            if self.fails:
                raise Refused(self.fails, 500)
            said, status = getattr(self, MADE[operation])(body).SerializeToString(), 200
        except Refused as reason:
            error = messages.Error(code=str(reason), message=f"{reason} of the stub")
            said, status = error.SerializeToString(), reason.status
        return web.Response(body=said, status=status, headers=_headers(request.path, said))

    def put(self, body: bytes) -> Any:
        """Write a row, if its condition holds."""
        asked = messages.PutRowRequest.FromString(body)
        key, columns = _row(asked.row)
        self._check(key, asked.condition)
        written = int((time.time() - self.age) * 1000)
        self.rows[key] = [(name, value, written) for name, value, *_ in columns]
        return messages.PutRowResponse(consumed=_consumed())

    def get(self, body: bytes) -> Any:
        """Return a row; no bytes if there is none."""
        key, _ = _row(messages.GetRowRequest.FromString(body).primary_key)
        row = b""
        if key in self.rows:
            row = bytes(PlainBufferBuilder.serialize_for_put_row([("key", key)], self.rows[key]))
        return messages.GetRowResponse(consumed=_consumed(), row=row)

    def delete(self, body: bytes) -> Any:
        """Remove a row, if its condition holds."""
        asked = messages.DeleteRowRequest.FromString(body)
        key, _ = _row(asked.primary_key)
        self._check(key, asked.condition)
        self.rows.pop(key, None)
        return messages.DeleteRowResponse(consumed=_consumed())

    def _check(self, key: str, condition: Any) -> None:
        wanted = {messages.EXPECT_EXIST: True, messages.EXPECT_NOT_EXIST: False}
        if wanted.get(condition.row_existence, key in self.rows) != (key in self.rows):
            raise Refused("OTSConditionCheckFail")
        if not condition.column_condition:
            return
        outer = filters.Filter.FromString(condition.column_condition)
        same = filters.SingleColumnValueFilter.FromString(outer.filter)
        assert same.comparator == filters.CT_EQUAL
        assert same.filter_if_missing
        values = {name: value for name, value, _ in self.rows[key]}
        kept = PlainBufferBuilder.serialize_column_value(values.get(same.column_name, ""))
        if bytes(kept) != same.column_value:
            raise Refused("OTSConditionCheckFail")


def _consumed() -> Any:
    return messages.ConsumedCapacity(capacity_unit=messages.CapacityUnit(read=1, write=1))


def _row(data: bytes) -> tuple[str, list[Any]]:
    primary_key, columns = PlainBufferCodedInputStream(PlainBufferInputStream(data)).read_row()
    return primary_key[0][1], columns


def _headers(path: str, body: bytes) -> dict[str, str]:
    fields = {
        "x-ots-contentmd5": base64.b64encode(hashlib.md5(body).digest()).decode(),
        "x-ots-requestid": "request",
        "x-ots-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "x-ots-contenttype": "protocol buffer",
    }
    signer = SignV2("utf-8")
    key = signer.get_signing_key(RequestContext(KEYS))
    signature = signer.make_response_signature(path, fields, key)
    return {**fields, "authorization": f"OTS id:{signature}"}


@asynccontextmanager
async def served_tablestore() -> AsyncIterator[tuple[TablestoreStub, str]]:
    """The stub, and its URL."""
    stub = TablestoreStub()
    app = web.Application()
    app.router.add_post("/{operation}", stub.answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield stub, str(server.make_url("")).rstrip("/")
    finally:
        await server.close()
