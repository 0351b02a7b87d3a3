"""One case on one raw socket: send its packets, read the answers strictly, find out what has become
of the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable

from tests.system.conformance.case import AWAIT, Case, Reply, Seen

Settle = Callable[[], Awaitable[None]]
"""Returns once the server has had its turn to read what was sent."""

PROBE = b"POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nPROBE"
"""Asked at the end: only a connection that is in step answers it with its body."""

MAX_HEAD = 1 << 20
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d) [\t -~\x80-\xff]*")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_SIZE = re.compile(rb"[0-9A-Fa-f]+")


class Garbled(Exception):
    """What came is no HTTP/1.1 answer."""


async def exchange(port: int, case: Case, settle: Settle, patience: float) -> Seen:
    """Send a case to a server of this machine; wait up to `patience` seconds for each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=MAX_HEAD)
    seen = Seen()
    try:
        await _talk(case, seen, reader, writer, settle, patience)
    except Garbled:
        seen.end = "garbled"
    except (ConnectionError, asyncio.IncompleteReadError):
        seen.end = "closed"
    except TimeoutError:
        seen.end = "stuck"
    finally:
        writer.transport.abort()
    return seen


async def _talk(
    case: Case,
    seen: Seen,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    settle: Settle,
    patience: float,
) -> None:
    bodiless = case.packets[0].startswith(b"HEAD ")

    async def next_reply() -> Reply | None:
        async with asyncio.timeout(patience):
            reply = await read_reply(reader, bodiless=bodiless and not seen.replies)
        if reply is not None and reply.body != b"PROBE":
            seen.replies.append(reply)
        return reply

    for packet in case.packets:
        if packet == AWAIT:
            if await next_reply() is None:
                break
            continue
        with contextlib.suppress(ConnectionError):  # it may have refused by now: that is read
            writer.write(packet)
            await writer.drain()
            await settle()
    while not _is_final(seen):
        if await next_reply() is None:
            seen.end = "closed"
            return
    if not seen.replies[-1].has("close"):
        with contextlib.suppress(ConnectionError):
            writer.write(PROBE)
    while reply := await next_reply():
        if reply.body == b"PROBE":
            seen.end = "open"
            return
    seen.end = "closed"


def _is_final(seen: Seen) -> bool:
    return any(reply.status >= 200 for reply in seen.replies)


async def read_reply(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Reply | None:
    """Read the next answer; None where the connection has ended. Raises Garbled."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise Garbled(end.partial) from end
        return None
    except asyncio.LimitOverrunError as reason:
        raise Garbled("an endless head") from reason
    first, *lines = head.split(b"\r\n")[:-2]
    status = _STATUS.fullmatch(first)
    if status is None:
        raise Garbled(first)
    fields: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise Garbled(line)
        name, value = found[1].decode().lower(), found[2].decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    code = int(status[1])
    if bodiless or code < 200 or code in (204, 304):
        return Reply(code, fields)
    try:
        return Reply(code, fields, await _body(reader, fields))
    except asyncio.IncompleteReadError as end:
        raise Garbled("a body that is cut off") from end


async def _body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
    coding, length = fields.get("transfer-encoding"), fields.get("content-length")
    if coding is not None:
        if length is not None or coding.lower() != "chunked":
            raise Garbled(f"{coding} beside {length}")
        return await _chunks(reader)
    if length is None:
        return await reader.read()
    if not length.isdecimal():
        raise Garbled(length)
    return await reader.readexactly(int(length))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while True:
        line = await reader.readuntil(b"\r\n")
        if not _SIZE.fullmatch(line[:-2]):
            raise Garbled(line)
        part = await reader.readexactly(int(line, 16))
        if await reader.readexactly(2) != b"\r\n":
            raise Garbled(part)
        if not part:
            return b"".join(parts)
        parts.append(part)
