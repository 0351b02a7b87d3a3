"""Signatures of API requests, `ACS3-HMAC-SHA256`, checked as Alibaba Cloud checks them.

A request is reduced to a canonical text (method, path, query, the headers that its author chose to
sign, the hash of its body), and that text is signed with the secret of an access key. The hash of
the body stands in a header, so a wrong signature is told before the body is read.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ..account import Account
from ..calls import PlatformError

ALGORITHM = "ACS3-HMAC-SHA256"

MAX_SKEW = 15 * 60.0
"""Seconds that the date of a request may differ from ours."""

DATE = "x-acs-date"
NONCE = "x-acs-signature-nonce"
CONTENT_HASH = "x-acs-content-sha256"
REQUIRED = ("host", DATE, NONCE, CONTENT_HASH)
"""Headers without which a signature says nothing."""

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{{64}})"
)


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head as it was on the wire.

    `path` and `query` are still percent-encoded; the names of `headers` are in lower case, each
    with its values in their order.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, Sequence[str]]


class Verifier:
    """Knows one access key, and which nonces were used with it lately."""

    def __init__(
        self,
        access_key: tuple[str, str],
        clock: Callable[[], float] = time.time,
        account: Account | None = None,
    ) -> None:
        """`access_key` is the id and the secret; `clock` gives the Unix time in seconds. The keys
        that `account` gave to functions are good, too.
        """
        self._id, self._secret = access_key
        self._account = account
        self._clock = clock
        self._nonces: set[str] = set()
        self._used: deque[tuple[float, str]] = deque()

    def check(self, head: Head) -> str:
        """Return the hash that the body has to have; a nonce that was accepted is used up.

        Raises PlatformError: `MissingRequiredHeader`, `InvalidArgument`, `InvalidAccessKeyID`,
        `SignatureNotMatch` by Function Compute's own list of error codes, and, if that is
        silent, `InvalidTimeStamp.Expired` and `SignatureNonceUsed` of Alibaba Cloud's API gateway.
        """
        for name in ("authorization", *REQUIRED):
            if not _value(head, name):
                text = f"required HTTP header {name} was not specified"
                raise PlatformError(400, "MissingRequiredHeader", text)
        key_id, signed, signature = _authorization(_value(head, "authorization"))
        secret = self._secret_of(key_id)
        if secret is None:
            text = f"invalid access key ID '{key_id}'"
            raise PlatformError(403, "InvalidAccessKeyID", text)
        expected = signature_of(head, signed, secret)
        if not hmac.compare_digest(expected, signature) or not _signs_enough(head, signed):
            raise mismatch()
        self._check_date(_value(head, DATE))
        self._use(_value(head, NONCE))
        return _value(head, CONTENT_HASH)

    def _secret_of(self, key_id: str) -> str | None:
        if key_id == self._id:
            return self._secret
        return None if self._account is None else self._account.secret_of(key_id)

    def _check_date(self, text: str) -> None:
        try:
            date = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            told = f"{DATE} is not of the form 2026-11-22T05:13:35Z"
            raise PlatformError(400, "InvalidTimeStamp.Format", told) from None
        if abs(date.timestamp() - self._clock()) > MAX_SKEW:
            told = f"{DATE} is more than 15 minutes from the time here"
            raise PlatformError(400, "InvalidTimeStamp.Expired", told)

    def _use(self, nonce: str) -> None:
        now = self._clock()
        # A request that carries an older nonce has a date that is refused by then.
        while self._used and self._used[0][0] < now - 2 * MAX_SKEW:
            self._nonces.discard(self._used.popleft()[1])
        if nonce in self._nonces:
            told = f"the {NONCE} was used already: each request needs one of its own"
            raise PlatformError(400, "SignatureNonceUsed", told)
        self._nonces.add(nonce)
        self._used.append((now, nonce))


def sign(
    method: str, path: str, host: str, body: bytes, access_key: tuple[str, str], now: float
) -> dict[str, str]:
    """Return the headers with which a request without a query is signed, at the Unix time `now`."""
    headers = {
        "host": host,
        DATE: datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        NONCE: secrets.token_hex(16),
        CONTENT_HASH: hashlib.sha256(body).hexdigest(),
    }
    head = Head(method, path, "", {name: [value] for name, value in headers.items()})
    signature = signature_of(head, REQUIRED, access_key[1])
    headers["authorization"] = (
        f"{ALGORITHM} Credential={access_key[0]},SignedHeaders={';'.join(REQUIRED)},"
        f"Signature={signature}"
    )
    return headers


def check_body(body: bytes, content_hash: str) -> None:
    """Raise PlatformError `SignatureNotMatch` if the body is not the one that was signed."""
    if not hmac.compare_digest(hashlib.sha256(body).hexdigest(), content_hash):
        raise mismatch()


def signature_of(head: Head, signed: Sequence[str], secret: str) -> str:
    """Return the signature of a request over the headers named in `signed`, in hex."""
    canonical = "\n".join(
        (
            head.method,
            _canonical_path(head.path),
            _canonical_query(head.query),
            "".join(f"{name}:{_value(head, name)}\n" for name in signed),
            ";".join(signed),
            _value(head, CONTENT_HASH),
        )
    )
    hashed = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return hmac.new(secret.encode(), f"{ALGORITHM}\n{hashed}".encode(), hashlib.sha256).hexdigest()


def mismatch() -> PlatformError:
    """Return the platform's error for a request that is not what was signed."""
    return PlatformError(
        403,
        "SignatureNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your access key and signing method",
    )


def _value(head: Head, name: str) -> str:
    return ",".join(sorted(value.strip() for value in head.headers.get(name, ())))


def _authorization(text: str) -> tuple[str, list[str], str]:
    """Return key id, names of the signed headers, signature."""
    match = _AUTHORIZATION.fullmatch(text)
    if match is None:
        told = (
            f"the Authorization header is not {ALGORITHM} "
            "Credential=...,SignedHeaders=...,Signature=..."
        )
        raise PlatformError(400, "InvalidArgument", told)
    return match[1], match[2].split(";"), match[3]


def _signs_enough(head: Head, signed: Sequence[str]) -> bool:
    """Return True if the headers that make the request what it is are among the signed ones."""
    needed = {name for name in head.headers if name.startswith("x-acs-")} | set(REQUIRED)
    return needed <= set(signed)


def _canonical_path(path: str) -> str:
    return "/".join(_encoded(part) for part in path.split("/")) or "/"


def _canonical_query(query: str) -> str:
    pairs = []
    for item in query.split("&"):
        name, _, value = item.replace("+", " ").partition("=")
        if item:
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote_from_bytes(unquote_to_bytes(text), safe="~")
