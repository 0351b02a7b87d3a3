"""What is a sound head of a request, beyond what the parser refuses."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from functools import lru_cache

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
