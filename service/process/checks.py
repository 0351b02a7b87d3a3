"""What the service refuses to start on: an aiohttp that it cannot vouch for, and debug modes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import aiohttp
from aiohttp import http_parser, web
from aiohttp.http_exceptions import HttpProcessingError

from ..errors import StartError
from ..http.receiver import MAX_FIELD, MAX_FIELDS, MAX_LINE
from ..settings.table import Settings

OLDEST = (3, 14, 3)
"""The oldest aiohttp that is served with: older ones let one request change another
(docs/faults.md section 3.1).
"""

REMEDY = "install the version of requirements.lock"


def check_start(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raise StartError where what this process runs on is known to be unsafe."""
    check_version(aiohttp.__version__)
    check_parser(settings)
    check_leftovers(environ)


def check_version(version: str) -> None:
    """Refuse an aiohttp whose faults are known."""
    release = tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
    if release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise StartError(
            f"aiohttp {version} is older than {oldest}, and has faults by which one request"
            f" changes another: {REMEDY}"
        )


def check_parser(settings: Settings) -> None:
    """Refuse aiohttp's pure-Python parser, which most of its request-smuggling faults were in
    (F15).
    """
    if "_http_parser" in http_parser.HttpRequestParser.__module__ or settings.python_parser:
        return
    raise StartError(
        "aiohttp has no C parser here (an install without its extension, or"
        " AIOHTTP_NO_EXTENSIONS is set):"
        " install a wheel of aiohttp for this platform, or start with --python-parser"
    )


def check_leftovers(environ: Mapping[str, str], *flags: str) -> None:
    """Refuse, on an instance of the platform, what is for work at a desk: `flags`, and modes of
    Python. An instance is known by its id (docs/platform.md section 5).
    """
    if not environ.get("FC_INSTANCE_ID"):
        return
    modes = {
        "PYTHONASYNCIODEBUG": bool(environ.get("PYTHONASYNCIODEBUG")),
        "PYTHONDEVMODE (or -X dev)": sys.flags.dev_mode,
        # One of aiohttp's faults was in a check that this takes out.
        "PYTHONOPTIMIZE (or -O)": bool(sys.flags.optimize),
    }
    left = [*flags, *(name for name, on in modes.items() if on)]
    if left:
        raise StartError(
            f"{', '.join(left)} is set on an instance of Function Compute (FC_INSTANCE_ID is"
            " there): this is for work at a desk, remove it"
        )


def check_limits(connect: Callable[[], web.RequestHandler]) -> None:
    """Refuse an aiohttp that does not keep our limits (F9): of each, a head within it has to pass
    and a head beyond it has to be refused. `connect` makes a connection that nobody uses.
    """
    heads: dict[str, tuple[int, Callable[[int], bytes]]] = {
        "the request line": (MAX_LINE, lambda size: _head(b"/" + b"a" * size)),
        "a field": (MAX_FIELD, lambda size: _head(b"/", b"a: %b\r\n" % (b"a" * size))),
        "the number of fields": (MAX_FIELDS, lambda size: _head(b"/", b"a: a\r\n" * size)),
    }
    for name, (limit, head) in heads.items():
        near, beyond = limit - 24, limit + 1  # near: the line and the field are more than the value
        if not _passes(connect, head(near)) or _passes(connect, head(beyond)):
            raise StartError(
                f"aiohttp {aiohttp.__version__} does not keep the limit of {name}: {REMEDY}"
            )


def _head(path: bytes, fields: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, fields)


def _passes(connect: Callable[[], web.RequestHandler], head: bytes) -> bool:
    try:
        parser = connect()._parser
    except TypeError as reason:
        raise StartError(
            f"aiohttp {aiohttp.__version__} does not take our limits ({reason}): {REMEDY}"
        ) from reason
    assert parser is not None
    try:
        messages, _, _ = parser.feed_data(head)
    except HttpProcessingError:
        return False
    return bool(messages)
