"""Claims and results in a table of Tablestore, for all workers and instances."""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from ..context.call import current_context
from ..errors import OnceStoreFailed, StartError, text_of
from .store_clients import StoreClients
from .stores import Claimed

LARGEST_CLOCK_ERROR: Final = 900.0
"""Seconds by which a clock may differ from Tablestore's: its client refuses more."""

MOST_WATCHED: Final = 10_000
"""Claims of others that are watched for the end of their leases."""

CLIENT_LOGGER: Final = "tablestore-client.once"
CONDITION_FAILED: Final = "OTSConditionCheckFail"

RACES: Final = 10
"""How often a claim is tried anew because somebody else was faster."""


@dataclass(frozen=True)
class _HeldRow:
    """A row as it was read."""

    value: bytes
    holder: str
    beat: str
    """Changes with each write."""
    seconds: float
    is_claim: bool
    written: float
    """Seconds since 1970, by the server's clock."""


class TablestoreStore:
    """Keeps claims and results in a table of Tablestore, for all that use it.

    The table has one primary key, `key`, of type STRING, and a time to live that is longer than
    `expires`. `endpoint` and `instance` are as its console shows them; the credentials are those of
    the call that runs. Or `connect` is a function without arguments that returns a
    `tablestore.AsyncOTSClient`. Needs the extra `tablestore`.

    Tablestore does not tell the time. So a claim is taken over once this process has seen it
    unchanged for its lease, by a clock that nobody sets; or at once if it is older than its lease
    by a quarter of an hour, more than which clocks cannot differ.
    """

    def __init__(
        self,
        table: str,
        endpoint: str = "",
        instance: str = "",
        *,
        connect: Callable[[], Any] | None = None,
        timeout: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ValueError if it is not said where the table is, StartError if Tablestore's client
        is not installed.
        """
        if connect is None and not (endpoint and instance):
            raise ValueError("TablestoreStore takes endpoint and instance, or connect")
        self._sdk = _sdk()
        self._table = table
        connect = connect or _connector(self._sdk, endpoint, instance, timeout)
        self._clients = StoreClients(repr(self), connect, lambda client: client.close())
        self._clock = clock
        self._watched: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """Of a key the beat that was seen, and when it was seen first."""

    def __repr__(self) -> str:
        return f"the table {self._table!r} of Tablestore"

    async def claim(self, key: str, claim: bytes, lease: float) -> Claimed | None:
        """Keep a claim, as `OnceStore` says."""
        for _ in range(RACES):
            if await self._put(key, claim, lease, self._sdk.Condition("EXPECT_NOT_EXIST")):
                return None
            held = await self._get(key)
            if held is None:
                continue
            if held.value == claim:
                return None
            if not self._is_over(key, held):
                return Claimed(held.value, is_over=False)
            if await self._put(key, claim, lease, self._if("beat", held.beat)):
                return Claimed(held.value, is_over=True) if held.is_claim else None
        raise OnceStoreFailed(f"{self}: {key!r} changes all the time")

    async def renew(self, key: str, claim: bytes, lease: float) -> bool:
        """Keep a claim for longer, as `OnceStore` says."""
        return await self._put(key, claim, lease, self._if("holder", _hash(claim)))

    async def settle(self, key: str, claim: bytes, value: bytes, seconds: float) -> bool:
        """Keep a result in the place of a claim, as `OnceStore` says."""
        ours = self._if("holder", _hash(claim))
        if await self._put(key, value, seconds, ours, is_claim=False):
            return True
        held = await self._get(key)
        return held is not None and held.value == value

    async def release(self, key: str, claim: bytes) -> None:
        """Forget a claim, as `OnceStore` says."""
        row = self._sdk.Row([("key", key)])
        await self._ask("delete_row", row, self._if("holder", _hash(claim)))

    async def aclose(self) -> None:
        """Close the connections of the event loop that runs."""
        await self._clients.aclose()

    def _is_over(self, key: str, held: _HeldRow) -> bool:
        """Return whether a lease is over, or a result has expired."""
        age = time.time() - held.written
        if not held.is_claim:
            return age > held.seconds
        now = self._clock()
        beat, since = self._watched.pop(key, ("", now))
        if beat != held.beat:
            since = now
        self._watched[key] = held.beat, since
        if len(self._watched) > MOST_WATCHED:
            self._watched.popitem(last=False)
        return now - since >= held.seconds or age > held.seconds + LARGEST_CLOCK_ERROR

    def _if(self, column: str, value: str) -> Any:
        sdk = self._sdk
        same = sdk.SingleColumnCondition(column, value, sdk.ComparatorType.EQUAL, False)
        return sdk.Condition("EXPECT_EXIST", same)

    async def _put(
        self, key: str, value: bytes, seconds: float, condition: Any, *, is_claim: bool = True
    ) -> bool:
        columns = [
            ("value", bytearray(value)),
            ("holder", _hash(value)),
            ("beat", secrets.token_hex(8)),
            ("seconds", float(seconds)),
            ("is_claim", is_claim),
        ]
        row = self._sdk.Row([("key", key)], columns)
        return await self._ask("put_row", row, condition) is not None

    async def _get(self, key: str) -> _HeldRow | None:
        _, row, _ = await self._ask("get_row", [("key", key)], None)
        if row is None:
            return None
        columns = {column[0]: column[1:] for column in row.attribute_columns}
        try:
            return _HeldRow(
                bytes(columns["value"][0]),
                str(columns["holder"][0]),
                str(columns["beat"][0]),
                float(columns["seconds"][0]),
                bool(columns["is_claim"][0]),
                columns["beat"][1] / 1000,
            )
        except (KeyError, TypeError, ValueError):
            pass
        raise OnceStoreFailed(
            f"what is kept under {key!r} in {self} was not written by @once: remove it, or give the"
            " function another `name` in @once"
        )

    async def _ask(self, method: str, row: Any, condition: Any) -> Any:
        """Return what Tablestore answers; None if the condition did not hold."""
        client = await self._clients.here()
        more = (row,) if condition is None else (row, condition)
        try:
            return await getattr(client, method)(self._table, *more)
        except self._sdk.OTSServiceError as reason:
            if reason.code == CONDITION_FAILED:
                return None
            failed = OnceStoreFailed(f"{self}: {reason.code}: {reason.message}")
        except Exception as reason:
            text = text_of(reason)[:300]
            failed = OnceStoreFailed(f"{self} cannot be used: {type(reason).__name__}: {text}")
        raise failed


def _hash(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


def _sdk() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of extensions that it does not need
            import tablestore
    except ImportError as reason:
        raise StartError(
            "TablestoreStore needs Tablestore's client: install fc-event-service[tablestore], or"
            " add tablestore to the function's requirements.txt"
        ) from reason
    module: ModuleType = tablestore
    return module


def _connector(sdk: ModuleType, endpoint: str, instance: str, timeout: float) -> Callable[[], Any]:
    """Return what makes a client that has the credentials of the call that runs."""
    from tablestore.credentials import Credentials

    class OfCall:
        def get_credentials(self) -> Any:
            keys = current_context().credentials
            return Credentials(
                keys.access_key_id, keys.access_key_secret, keys.security_token or None
            )

    logging.getLogger(CLIENT_LOGGER).addFilter(_is_no_condition)

    def connect() -> Any:
        return sdk.AsyncOTSClient(
            endpoint,
            instance_name=instance,
            credentials_provider=OfCall(),
            socket_timeout=timeout,
            logger_name=CLIENT_LOGGER,
        )

    return connect


def _is_no_condition(record: logging.LogRecord) -> bool:
    """Return False for the error that the client logs if a condition does not hold: that is how a
    claim learns that there is another one.
    """
    return CONDITION_FAILED not in record.getMessage()
