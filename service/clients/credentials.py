"""The newest call's credentials, for clients that outlive the call they were made in."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from ..locks import HasLock
from ..protocol import SERVICE_LOGGER

VALID = 36 * 3600.0
"""Seconds for which the platform's temporary credentials hold (docs/platform.md section 5)."""

PROVIDER_NAME = "fc"

_log = logging.getLogger(SERVICE_LOGGER)


class KeyFields(Protocol):
    """`context.credentials`."""

    @property
    def access_key_id(self) -> str: ...
    @property
    def access_key_secret(self) -> str: ...
    @property
    def security_token(self) -> str: ...


class NamedPart(Protocol):
    """`context.function`."""

    @property
    def name(self) -> str: ...


class CallContext(Protocol):
    """What is asked of the context of a call, or of a hook."""

    @property
    def credentials(self) -> KeyFields: ...
    @property
    def account_id(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def function(self) -> NamedPart: ...


class InstanceFields(Protocol):
    """What the instance's environment says, for the hooks that no request brings fields for."""

    @property
    def account_id(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def function_name(self) -> str: ...


Caller = tuple[CallContext, InstanceFields, float]
"""A call and its instance, and when it arrived: a time of the monotonic clock, 0.0 for what has
come by no request.
"""

GetRunning = Callable[[], Caller | None]
"""Returns who runs here."""

Owner = tuple[str, str]


def owner_of(caller: Caller) -> Owner:
    """Return whose credentials it brings: they are for one function of one account."""
    context, instance, _ = caller
    account = context.account_id or instance.account_id
    return account, context.function.name or instance.function_name


def region_of(caller: Caller) -> str:
    """Return the region of the function."""
    return caller[0].region or caller[1].region


@dataclass(frozen=True, slots=True, repr=False)
class TemporaryKeys:
    """Credentials in the form that each of the platform's SDKs reads: alibabacloud-oss-v2's
    `Credentials`, alibabacloud-credentials' `CredentialModel`, and the older `ICredentials`. The
    values are never part of `repr`, and the object cannot be pickled.
    """

    access_key_id: str
    access_key_secret: str
    security_token: str | None

    expiration = None
    bearer_token = None
    provider_name = PROVIDER_NAME

    @property
    def type(self) -> str:
        """`sts` for temporary ones."""
        return "sts" if self.security_token else "access_key"

    def has_keys(self) -> bool:
        """Return whether there is a key."""
        return bool(self.access_key_id and self.access_key_secret)

    def is_expired(self) -> bool:
        """Return False: the platform does not say until when they hold."""
        return False

    def get_access_key_id(self) -> str:
        """Return the access key id."""
        return self.access_key_id

    def get_access_key_secret(self) -> str:
        """Return the access key secret."""
        return self.access_key_secret

    def get_security_token(self) -> str | None:
        """Return the token, None if there is none."""
        return self.security_token

    def get_provider_name(self) -> str:
        """Return who gives them."""
        return PROVIDER_NAME

    def __repr__(self) -> str:
        return "TemporaryKeys(***)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("TemporaryKeys is not pickled: it holds credentials")


class CallCredentials:
    """Gives a client the credentials of the newest call of one function, each time that it asks.

    It is what each SDK takes: alibabacloud-oss-v2 as `credentials_provider`, the OpenAPI ones as
    `credential`, alibabacloud-credentials' `Client` as `provider`. Used by any thread.

    A call is newer than another one if it has arrived later. Calls are asked in two places: where
    they ask for a client, and where a client that they use asks for credentials.
    """

    def __init__(self, owner: Owner, running: GetRunning) -> None:
        self._owner = owner
        self._running = running
        self._has = HasLock()
        self._keys = TemporaryKeys("", "", None)
        self._arrived = 0.0
        self._since = 0.0
        self._told = False

    def offer(self, caller: Caller) -> None:
        """Take a call's credentials, unless there are those of one that has arrived later. A hook's
        are of the environment, as old as the instance.
        """
        context, _, arrived = caller
        given = context.credentials
        with self._has.lock:
            if arrived < self._arrived or not given.access_key_id:
                return
            keys = TemporaryKeys(
                given.access_key_id, given.access_key_secret, given.security_token or None
            )
            self._arrived = arrived
            if keys != self._keys:
                self._keys, self._told = keys, False
                self._since = arrived or time.monotonic()

    def get_credentials(self) -> TemporaryKeys:
        """Return the newest ones; they have no keys if no call has brought any."""
        running = self._running()
        if running is not None and owner_of(running) == self._owner:
            self.offer(running)
        keys, age = self._keys, time.monotonic() - self._since
        if age > VALID and keys.security_token and not self._told:
            self._told = True
            _log.warning(
                "the credentials of the newest call are %.0f hours old, and the platform's hold 36:"
                " a new call brings new ones in its headers; those of the environment stay as they"
                " were when the instance began",
                age / 3600,
            )
        return keys

    async def get_credentials_async(self) -> TemporaryKeys:
        """Return what `get_credentials` does."""
        return self.get_credentials()

    def get_credential(self) -> TemporaryKeys:
        """Return what `get_credentials` does."""
        return self.get_credentials()

    async def get_credential_async(self) -> TemporaryKeys:
        """Return what `get_credentials` does."""
        return self.get_credentials()

    def get_provider_name(self) -> str:
        """Return who gives them."""
        return PROVIDER_NAME

    def __repr__(self) -> str:
        return "CallCredentials(***)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("CallCredentials is not pickled: it holds credentials")
