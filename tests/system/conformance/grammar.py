"""A strict reading of requests, written from RFC 9110 and 9112 alone: what a server may run of some
bytes, whatever it refuses of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_LINE = re.compile(rb"(" + TOKEN + rb") +([!-~]+) +HTTP/1\.([01])")
"""More than one space may be taken for one (RFC 9112 section 3)."""

_FIELD = re.compile(
    rb"(" + TOKEN + rb"):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION = rb"[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"|" + _QUOTED + rb"))?"
_SIZE = re.compile(rb"([0-9A-Fa-f]+)(?:" + _EXTENSION + rb")*")


@dataclass(frozen=True)
class Request:
    """A request that stands whole and sound in the bytes."""

    method: bytes
    target: bytes
    body: bytes


class Unsound(Exception):
    """The bytes are not whole, or not the grammar's."""


def read_requests(data: bytes) -> list[Request]:
    """Return the requests that stand in `data` one behind the other, up to the first that is not
    whole or not sound, or that ends its connection.
    """
    found: list[Request] = []
    at = 0
    while True:
        while data[at : at + 1] in (b"\r", b"\n"):  # empty lines, and a LF may end a line (2.2)
            at += 1
        try:
            request, at, last = _read_one(data, at)
        except Unsound:
            return found
        found.append(request)
        if last:
            return found


def _read_one(data: bytes, at: int) -> tuple[Request, int, bool]:
    line, at = _cut(data, at)
    first = _LINE.fullmatch(line)
    if first is None:
        raise Unsound(line)
    fields, at = _read_fields(data, at)
    old = first[3] == b"0"
    hosts = len(fields.get(b"host", ()))
    if hosts > 1 or (hosts == 0 and not old):
        raise Unsound("Host")
    body, at = _read_body(data, at, fields, old=old)
    options = b",".join(fields.get(b"connection", ())).lower()
    kept = [option.strip(b" \t") for option in options.split(b",")]
    last = b"close" in kept or (old and b"keep-alive" not in kept)
    return Request(first[1], first[2], body), at, last


def _cut(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the line there and where the next one begins."""
    end = data.find(b"\r\n", at)
    if end < 0:
        raise Unsound("a line without end")
    return data[at:end], end + 2


def _read_fields(data: bytes, at: int) -> tuple[dict[bytes, list[bytes]], int]:
    fields: dict[bytes, list[bytes]] = {}
    while True:
        line, at = _cut(data, at)
        if not line:
            return fields, at
        found = _FIELD.fullmatch(line)
        if found is None:
            raise Unsound(line)
        fields.setdefault(found[1].lower(), []).append(found[2])


def _read_body(
    data: bytes, at: int, fields: dict[bytes, list[bytes]], *, old: bool
) -> tuple[bytes, int]:
    codings, lengths = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if codings is not None:
        if old or lengths is not None or [c.lower() for c in codings] != [b"chunked"]:
            raise Unsound("Transfer-Encoding")
        return _read_chunks(data, at)
    if lengths is None:
        return b"", at
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,4000}", lengths[0]):
        raise Unsound("Content-Length")
    end = at + int(lengths[0])
    if end > len(data):
        raise Unsound("a body without end")
    return data[at:end], end


def _read_chunks(data: bytes, at: int) -> tuple[bytes, int]:
    parts: list[bytes] = []
    while True:
        line, at = _cut(data, at)
        found = _SIZE.fullmatch(line)
        if found is None:
            raise Unsound(line)
        size = int(found[1], 16)
        if not size:
            _, at = _read_fields(data, at)
            return b"".join(parts), at
        if data[at + size : at + size + 2] != b"\r\n":
            raise Unsound("a chunk's end")
        parts.append(data[at : at + size])
        at += size + 2
