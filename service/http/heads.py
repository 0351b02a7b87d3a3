"""What a sound head of a request is: its limits, what can become one, and what is ambiguous in one
that aiohttp's parser has passed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from functools import lru_cache

MAX_LINE = 8190
"""Bytes of the request target."""

MAX_FIELD = 32 * 1024
"""Bytes of one header field. The platform's security tokens are long, and their real limit is not
documented.
"""

MAX_FIELDS = 128
"""Header fields of one head."""

BESIDE = 256
"""Bytes that a line may have beside what is limited: the method, the version, blanks."""

_BEGIN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: |$)")
_UNSOUND = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|$)")
_TAB = re.compile(rb"(?i)(\r\ntransfer-encoding:[ \t]*chunked)[ \t]+(?=\r\n)")


def may_become_sound(begin: bytes | bytearray, known: int) -> bool:
    """Return whether the begin of a head may still be completed to a sound one; its first `known`
    bytes were found to.

    Its sender may wait for an answer, so what is no HTTP is not waited for.
    """
    return bool(_BEGIN.match(begin)) and not _UNSOUND.search(begin, max(0, known - 1))


def without_blanks(head: bytes) -> bytes:
    """Return the head without the blanks behind its transfer coding, of which aiohttp's parser
    knows no tabs (RFC 9112 section 5.1).
    """
    return _TAB.sub(rb"\1", head)


_HOST = re.compile(
    r"(?:\[(?P<address>[^\]]*)\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?",
    re.ASCII,
)


_TARGET = re.compile(
    r"(?:(?i:https?)://(?P<authority>[^/?]+)|(?=/))"
    r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
    r"(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?",
    re.ASCII,
)


def objection(version: tuple[int, int], headers: Mapping[str, str]) -> str:
    """Return what makes this head ambiguous, "" for a sound one (docs/faults.md F20 and
    section C).
    """
    coding = headers.get("Transfer-Encoding")
    if coding is not None:
        if version == (1, 0):
            return "HTTP/1.0 has no Transfer-Encoding"
        if coding.strip(" \t").lower() != "chunked" or not coding.isascii():
            return "the only Transfer-Encoding served here is chunked"
    host = headers.get("Host")
    if host is not None and not _is_host(host):
        return "the Host field is not a host with an optional port"
    return ""


@lru_cache(maxsize=16)  # the platform's requests have one
def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and (found["address"] is None or _is_address(found["address"]))


def _is_address(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return False
    return True


@lru_cache(maxsize=16)  # the platform's requests have a handful
def is_target(method: str, target: str) -> bool:
    """Return whether the request target has one of the four forms of RFC 9112 section 3.2.

    aiohttp's parser takes any visible character, and other readers of the same line may disagree
    on what it means.
    """
    if method == "CONNECT":
        return ":" in target and _is_host(target)
    if target == "*":
        return method == "OPTIONS"
    found = _TARGET.fullmatch(target)
    if found is None:
        return False
    authority = found["authority"]
    return authority is None or (authority[0] != ":" and _is_host(authority))
