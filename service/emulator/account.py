"""The account that everything in the emulator belongs to: the keys that it gives to functions, and
where its API answers.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

TEMPORARY = "STS.DESK"
"""How the ids of keys begin that were made for functions."""


@dataclass(frozen=True, slots=True)
class IssuedKeys:
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

    def issue(self) -> IssuedKeys:
        """Return credentials that were never given before."""
        drawn = secrets.token_hex(33)
        key_id = TEMPORARY + drawn[:16]
        return IssuedKeys(key_id, self._secret(key_id), f"DESK{drawn[16:]}")

    def secret_of(self, key_id: str) -> str | None:
        """Return the secret of a key that a function was given, None for any other id."""
        return self._secret(key_id) if key_id.startswith(TEMPORARY) else None

    def _secret(self, key_id: str) -> str:
        # Derived, so that nothing is kept of the keys of a million calls.
        return hmac.digest(self._seed, key_id.encode(), "sha256").hex()[:30]
