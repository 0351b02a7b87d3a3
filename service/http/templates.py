"""Heads that are like the last one: nearly all of the platform's are.

From call to call the platform's head differs in a few values alone: the request id, the length of
the event, the trace. A head that was read by aiohttp's parser, and is a usual one, becomes a
template: all of its bytes but these values. A head that has the same bytes there means the same,
and of its own values is asked what they may be; so it needs no second reading.

What does not fit, in a single byte, is read by the parser as ever. So is a request of which not all
is here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aiohttp.http import HttpVersion11, RawRequestMessage

from .. import protocol
from . import heads

MAX_MISSES = 16
"""Heads that do not fit after which a template is given up for the next one."""

_LENGTH = "content-length"
_OWN = (_LENGTH, protocol.REQUEST_ID, "x-fc-tracing-opentracing-span-context", "traceparent")
"""The fields whose values differ from call to call."""

_VALUE = re.compile(rf"\r\n({'|'.join(_OWN)}): ([!-~]+)(?=\r\n)".encode(), re.IGNORECASE)

_UNUSUAL = ("Connection", "Expect", "Transfer-Encoding", "Upgrade", "Content-Encoding")
"""Fields that ask for more than an answer."""

_SOUND = {_LENGTH: str.isdecimal, protocol.REQUEST_ID: protocol.is_request_id}
"""Whether the value of a field may be one; `_is_value` tells it of the others."""

Sent = tuple[dict[str, str], str, bytes]
"""The fields of a request by their names in lower case, its id, its event."""


class HeadTemplate:
    """The bytes of a usual head but for the values that differ from call to call."""

    __slots__ = ("_fields", "_names", "_parts", "_rest", "_size")

    def __init__(self, head: bytes, message: RawRequestMessage) -> None:
        found = list(_VALUE.finditer(head))
        starts = [0, *(each.end() for each in found)]
        self._names = [each[1].decode().lower() for each in found]
        fixed = [head[at : each.start(2)] for at, each in zip(starts, found, strict=False)]
        sound = [_SOUND.get(name, _is_value) for name in self._names]
        self._parts = list(zip(fixed, self._names, sound, strict=True))
        self._rest = head[starts[-1] :]
        self._size = len(self._rest)
        self._fields = {name.lower(): value for name, value in message.headers.items()}

    @property
    def is_whole(self) -> bool:
        """True if a request's id and length are found by it."""
        return _LENGTH in self._names and protocol.REQUEST_ID in self._names

    def fit(self, data: bytes) -> Sent | None:
        """Return what a request says if `data` is the whole of it and it is like this one."""
        at, fields = 0, self._fields.copy()
        for fixed, name, is_sound in self._parts:
            if not data.startswith(fixed, at):
                return None
            at += len(fixed)
            end = data.find(b"\r", at, at + heads.BESIDE)
            if end < 0:
                return None
            fields[name] = value = data[at:end].decode("latin-1")
            if not is_sound(value):
                return None
            at = end
        if not data.startswith(self._rest, at):
            return None
        event, length = data[at + self._size :], fields[_LENGTH]
        if len(length) < 19 and int(length) == len(event):
            return fields, fields[protocol.REQUEST_ID], event
        return None


def _is_value(text: str) -> bool:
    return text.isascii() and text.isprintable() and text != "" and " " not in text


class Templates:
    """The template of the heads that come now, if they are alike."""

    __slots__ = ("_misses", "last", "message")
    message: RawRequestMessage

    def __init__(self) -> None:
        self.last: HeadTemplate | None = None
        self._misses = 0

    def learn(self, head: bytes, message: RawRequestMessage) -> None:
        """Take note of a head that was read and does not fit."""
        self._misses += 1
        if (self.last is None or self._misses > MAX_MISSES) and _is_usual(message):
            template, self._misses = HeadTemplate(head, message), 0
            self.last = template if template.is_whole else None
            self.message = message  # of any call: what is written asks for its version alone


def _is_usual(message: RawRequestMessage) -> bool:
    """Return whether a head is a call's, is sound, and asks for nothing beside its answer."""
    headers = message.headers
    return (
        message.method == "POST"
        and message.path == protocol.INVOKE.path
        and message.version == HttpVersion11
        and not any(name in headers for name in _UNUSUAL)
        and headers.get(protocol.CONTROL_PATH) in (None, "", protocol.INVOKE.path)
        and protocol.is_request_id(headers.get(protocol.REQUEST_ID, ""))
        and _LENGTH in headers
        and len(set(_lower_names(message))) == len(headers)
        and not heads.objection(message.version, headers)
    )


def _lower_names(message: RawRequestMessage) -> Iterator[str]:
    return (name.lower() for name in message.headers)
