"""What a case of the table is: a requirement of RFC 9110 or 9112, the bytes that try it, and which
behaviour passes.

A behaviour is written as what a client sees: the answers, then how the connection is afterwards.
`400 closed | 200=hello open` is a 400 after which the server closes, or a 200 with the body `hello`
after which it serves the next request. A status may be `4xx`; `+close`, `+date` and `+allow` ask
for a field, `-coding` for no Transfer-Encoding; without a last word the connection may be open or
closed. What is `stuck` or `garbled` matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Literal

Level = Literal["MUST", "SHOULD", "MAY"]
Verdict = Literal["pass", "warn", "fail"]
Packets = bytes | tuple[bytes, ...]

AWAIT = b""
"""Stands between packets: wait for an answer, interim or final, before the next one is sent."""

ENDS = ("open", "closed", "stuck", "garbled")
_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
_TOKEN = re.compile(r"(\d{3}|\dxx)((?:[+-][a-z]+)*)(?:=(.*))?")


@dataclass(frozen=True)
class Reply:
    """One answer, as it was on the wire."""

    status: int
    fields: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; the values of one name joined by commas."""
    body: bytes = b""

    def has(self, flag: str) -> bool:
        """Say whether the answer has what a flag of a pattern asks for."""
        if flag == "close":
            return "close" in self.fields.get("connection", "").lower()
        if flag == "date":
            return _is_date(self.fields.get("date", ""))
        if flag == "coding":
            return "transfer-encoding" in self.fields
        if flag == "allow":
            return "allow" in self.fields
        raise ValueError(flag)


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and parsedate_to_datetime(text) is not None


@dataclass
class Seen:
    """What a client saw: the answers in their order, and how the connection was at the end.

    `open`: a further request was answered as it should be; `closed`: the server ended it; `stuck`:
    neither came; `garbled`: what came was no HTTP.
    """

    replies: list[Reply] = field(default_factory=list)
    end: str = "stuck"

    def __str__(self) -> str:
        shown = [f"{r.status}{'+close' * r.has('close')}={_short(r.body)}" for r in self.replies]
        return " ".join([*shown, self.end])


def _short(body: bytes) -> str:
    text = body[:20].decode("latin-1")
    return text if text.isprintable() and " " not in text else f"({len(body)} bytes)"


def matches(pattern: str, seen: Seen) -> bool:
    """Say whether one of the alternatives of a pattern is what was seen."""
    return any(_matches_one(part.split(), seen) for part in pattern.split("|") if part.strip())


def _matches_one(words: list[str], seen: Seen) -> bool:
    if words[-1] in ENDS:
        *words, end = words
        if seen.end != end:
            return False
    elif seen.end not in ("open", "closed"):
        return False
    return len(words) == len(seen.replies) and all(map(_matches_reply, words, seen.replies))


def _matches_reply(word: str, reply: Reply) -> bool:
    found = _TOKEN.fullmatch(word)
    if found is None:
        raise ValueError(f"no pattern of an answer: {word}")
    status, flags, body = found.groups()
    if not re.fullmatch(status.replace("x", "."), str(reply.status)):
        return False
    if body is not None and body.encode("latin-1") != reply.body:
        return False
    return all(reply.has(f[1:]) == (f[0] == "+") for f in re.findall(r"[+-][a-z]+", flags))


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    section: str
    """`9112 3.2` is section 3.2 of RFC 9112."""
    level: Level
    promise: str
    passes: str
    warns: str
    """For SHOULD and MAY: what does no harm, and is not what is asked for."""
    packets: tuple[bytes, ...]

    def verdict(self, seen: Seen) -> Verdict:
        """Judge what was seen."""
        if matches(self.passes, seen):
            return "pass"
        return "warn" if matches(self.warns, seen) else "fail"


def rule(
    section: str,
    level: Level,
    promise: str,
    passes: str,
    tries: Mapping[str, Packets],
    warns: str = "",
) -> Iterable[Case]:
    """Return the cases of one requirement: each of `tries` is a name and the packets to send."""
    for name, sent in tries.items():
        packets = (sent,) if isinstance(sent, bytes) else sent
        yield Case(name, section, level, promise, passes, warns, packets)


# --- the bytes of requests

LINE = "POST /invoke HTTP/1.1"


def message(line: str, *fields: str, body: str = "") -> bytes:
    """Return a request of this line, these field lines and this body, and nothing else."""
    return "\r\n".join([line, *fields, "", body]).encode("latin-1")


def post(*fields: str, line: str = LINE, host: str = "Host: a", body: str = "hello") -> bytes:
    """Return a sound POST with further fields."""
    return message(line, host, *fields, f"Content-Length: {len(body)}", body=body)


def coded(body: str, *fields: str, line: str = LINE, coding: str = "chunked") -> bytes:
    """Return a POST with this chunked body, which stands there as it is on the wire."""
    return message(line, "Host: a", f"Transfer-Encoding: {coding}", *fields, body=body)


SMUGGLED = post(body="smuggled").decode()
"""A request that stands where none must be read."""
