"""The usual answer of an instance, read without a parser: whole in one packet, its length told
once, and nothing in its head that changes how it is read. All else is left to aiohttp's parser.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ...protocol import STATUS

_HEAD = re.compile(
    rb"HTTP/1\.1 (200|[45][0-9][0-9]) [ -~]*\r\n(?:[A-Za-z0-9-]+: [!-~][ -~]*\r\n)+\r\n"
)
_LENGTH, _VERDICT = b"\r\ncontent-length: ", f"\r\n{STATUS}: ".encode()


class InstanceAnswer(NamedTuple):
    """What an instance answered; `verdict` is its header x-fc-status, "" if it has none."""

    status: int
    verdict: str
    body: bytes


def read_plain(data: bytes) -> InstanceAnswer | None:
    """Return what an answer says, None if it is not a plain one, or not whole."""
    found = _HEAD.match(data)
    if found is None:
        return None
    head = found[0].lower()
    find = head.find  # `in` takes four times as long of bytes
    if find(b"\r\ntransfer-encoding:") >= 0 or find(b"\r\nconnection:") >= 0:
        return None
    at = find(_LENGTH) + len(_LENGTH)
    size = head[at : find(b"\r", at)]
    is_sized = size.isdigit() and len(size) < 19 and int(size) == len(data) - len(head)
    if at < len(_LENGTH) or not is_sized or find(_LENGTH, at) >= 0:
        return None
    at = find(_VERDICT) + len(_VERDICT)
    verdict = "" if at < len(_VERDICT) else head[at : find(b"\r", at)].decode()
    return InstanceAnswer(int(found[1]), verdict, data[len(head) :])
