"""Who may use the console: whoever has its address, which has a token in it.

The page's own requests bring the token as a cookie that no script can read and no other site can
have sent. A request that changes something has a header that a form of another site cannot have.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from ..origins import OwnHosts
from .refusal import ConsoleRefusal

MARK = "X-Console"
"""The header of requests that change something."""

LEAST_TOKEN = 16
"""Characters of a token that a user chooses, at least."""

_TOKEN = re.compile(r"[A-Za-z0-9_.~-]+")


class ConsoleAccess:
    """Knows the token, and the names under which the console may be asked for. Cookies are the same
    for all ports of a host, so the cookie is named after the `port`.
    """

    def __init__(self, token: str, hosts: OwnHosts) -> None:
        self.port = 0
        self._token = token
        self._hosts = hosts
        # What the browser keeps is good for this page, and does not tell the token.
        self._kept = hashlib.sha256(b"console " + token.encode()).hexdigest()

    @property
    def cookie(self) -> str:
        """The name of the cookie."""
        return f"fc-console-{self.port}"

    def check_origin(self, request: web.Request) -> None:
        """Raise ConsoleRefusal 403 for what a page of another site may have sent."""
        here = request.transport.get_extra_info("sockname") if request.transport else None
        if fault := self._hosts.fault(request.headers, str(here[0]) if here else ""):
            raise ConsoleRefusal(403, f"the console refuses this request: {fault}")
        if request.method not in ("GET", "HEAD") and request.headers.get(MARK) != "1":
            raise ConsoleRefusal(403, f"a request that changes something needs {MARK}: 1")

    def check_cookie(self, request: web.Request) -> None:
        """Raise ConsoleRefusal 401 for who does not know the token."""
        if not self._is_known(request.cookies.get(self.cookie, "")):
            raise ConsoleRefusal(
                401, "the console's address has a token in it: open it as it was printed"
            )

    def entrance(self, request: web.Request) -> web.Response | None:
        """Return the answer to a request that brings the token in its address: the cookie, and the
        way to the page without it. None for any other request.
        """
        if request.path != "/" or "token" not in request.query:
            return None
        said = request.query["token"].encode("utf-8", "replace")
        if not hmac.compare_digest(said, self._token.encode()):
            return None
        answer = web.Response(status=303, headers={"Location": "/"})
        answer.set_cookie(self.cookie, self._kept, path="/", httponly=True, samesite="Strict")
        return answer

    def _is_known(self, cookie: str) -> bool:
        return hmac.compare_digest(cookie.encode("utf-8", "replace"), self._kept.encode())


def check_token(token: str) -> str:
    """Return a token that a user has chosen. Raises ValueError, which says what it is to be."""
    if len(token) < LEAST_TOKEN or not _TOKEN.fullmatch(token):
        raise ValueError(
            f"a token has at least {LEAST_TOKEN} letters, digits and characters of _ . ~ -"
        )
    return token


def kept_token(file: Path) -> str:
    """Return the token in a file that nobody else can read, so that a page which is open comes back
    after a restart; a new one if there is none. A file that cannot be written keeps nothing.
    """
    with suppress(OSError, ValueError):
        if file.stat().st_mode & 0o077 == 0:
            return check_token(file.read_text("ascii").strip())
    token = secrets.token_urlsafe(32)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
            written.write(f"{token}\n")
        fresh.replace(file)
    return token
