"""The account that everything in the emulator belongs to: the keys that it gives to functions, and
where its API answers.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets

import msgspec

TEMPORARY = "STS.DESK"
"""How the ids of keys begin that were made for functions."""


class IssuedKeys(msgspec.Struct, frozen=True):
    """A key's id, its secret, and the token that a temporary key has."""

    key_id: str
    secret: str
    token: str


class Account:
    """Makes keys, and knows them again. They are good for this emulator alone.

    `endpoint` is the API's host and port, "" as long as it is not open.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self._seed = secrets.token_bytes(32)
        self._first = secrets.token_hex(4)
        self._numbers = itertools.count()

    def issue(self) -> IssuedKeys:
        """Return credentials that were never given before."""
        key_id = f"{TEMPORARY}{self._first}{next(self._numbers):08x}"
        drawn = self._drawn(key_id)
        return IssuedKeys(key_id, drawn[:30], f"DESK{drawn[30:]}")

    def secret_of(self, key_id: str) -> str | None:
        """Return the secret of a key that a function was given, None for any other id."""
        return self._drawn(key_id)[:30] if key_id.startswith(TEMPORARY) else None

    def _drawn(self, key_id: str) -> str:
        # Derived, so that nothing is kept of the keys of a million calls.
        return hashlib.blake2b(key_id.encode(), key=self._seed, digest_size=40).hexdigest()
