"""The conformance table: what RFC 9110 and 9112 ask of an origin server over HTTP/1.1, as data,
with a runner that speaks to any server on a port.

A server under test answers `POST /invoke` with the body it got, and `GET` and `HEAD` of `/health`
with 200; for every other path it has 404, for every other method on these two 405 with `Allow`.
"""

from __future__ import annotations

from tests.system.conformance import chunks, connections, fields, lengths, lines
from tests.system.conformance.case import Case

CASES: tuple[Case, ...] = (
    *lines.CASES,
    *fields.CASES,
    *lengths.CASES,
    *chunks.CASES,
    *connections.CASES,
)
