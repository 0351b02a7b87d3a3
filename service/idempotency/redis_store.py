"""Claims and results in Redis, for all workers and instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from ..errors import OnceStoreFailed, StartError, text_of
from .store_clients import StoreClients
from .stores import Claimed

MILLISECONDS: Final = 1000

LAPSE_REMEMBERED: Final = 24 * 3600 * MILLISECONDS
"""Milliseconds in which it is known of a claim whose lease was over that there was one."""

LONGEST_KEPT: Final = 100 * 365 * 24 * 3600
"""Seconds for which Redis is asked to keep something at most: it refuses numbers that it cannot add
to its clock.
"""

_HELD = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then return redis.error_reply('NOTOURS it is a ' .. kind) end
local value = redis.call('HGET', KEYS[1], 'value')
if kind == 'hash' and not value then return redis.error_reply('NOTOURS it has no value') end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""
"""What each script begins with: `value` is what is kept, `now` the server's time."""

CLAIM: Final = (
    _HELD
    + """
local over = redis.call('HGET', KEYS[1], 'until')
if over and not tonumber(over) then return redis.error_reply('NOTOURS its until is no number') end
if value and value ~= ARGV[1] and not (over and tonumber(over) <= now) then return {0, value} end
redis.call('HSET', KEYS[1], 'value', ARGV[1], 'until', now + ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2] + ARGV[3])
if value and value ~= ARGV[1] then return {1, value} end
return {1}
"""
)
RENEW: Final = (
    _HELD
    + """
if value ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2] + ARGV[3])
redis.call('HSET', KEYS[1], 'until', now + ARGV[2])
return 1
"""
)
"""The end comes first here, and in SETTLE: a server that is full refuses what begins with HSET, and
is to refuse new claims alone.
"""
SETTLE: Final = (
    _HELD
    + """
if value ~= ARGV[1] and value ~= ARGV[2] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[1], 'value', ARGV[2])
redis.call('HDEL', KEYS[1], 'until')
return 1
"""
)
RELEASE: Final = _HELD + "if value == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"


class RedisStore:
    """Keeps claims and results in a Redis (or Valkey) server, for all that use it.

    `url` is as redis-py takes it: `redis://:password@host:6379/0`, `rediss://` with TLS,
    `unix:///path`; or it is a function without arguments that returns a `redis.asyncio.Redis`. The
    connections, `connections` at most, are opened when they are first needed, for each event loop.
    A command that takes longer than `timeout` seconds is tried once more on a new connection: an
    instance that was frozen may have lost its connections. Needs the extra `redis`.
    """

    def __init__(
        self, url: str | Callable[[], Any], *, timeout: float = 2.0, connections: int = 16
    ) -> None:
        """Raises ValueError for a URL that is none, StartError if redis-py is not installed."""
        self._shown = "the Redis of RedisStore" if callable(url) else f"Redis at {_place(url)}"
        connect = url if callable(url) else _connector(url, timeout, connections)
        self._clients = StoreClients(self._shown, connect, _close)

    def __repr__(self) -> str:
        return self._shown

    async def claim(self, key: str, claim: bytes, lease: float) -> Claimed | None:
        """Keep a claim, as `OnceStore` says."""
        ours, *met = await self._run(CLAIM, key, claim, _whole(lease), LAPSE_REMEMBERED)
        return Claimed(bytes(met[0]), is_over=bool(ours)) if met else None

    async def renew(self, key: str, claim: bytes, lease: float) -> bool:
        """Keep a claim for longer, as `OnceStore` says."""
        return bool(await self._run(RENEW, key, claim, _whole(lease), LAPSE_REMEMBERED))

    async def settle(self, key: str, claim: bytes, value: bytes, seconds: float) -> bool:
        """Keep a result in the place of a claim, as `OnceStore` says."""
        return bool(await self._run(SETTLE, key, claim, value, _whole(seconds)))

    async def release(self, key: str, claim: bytes) -> None:
        """Forget a claim, as `OnceStore` says."""
        await self._run(RELEASE, key, claim)

    async def aclose(self) -> None:
        """Close the connections of the event loop that runs."""
        await self._clients.aclose()

    async def _run(self, source: str, key: str, *arguments: Any) -> Any:
        client = await self._clients.here()
        try:
            return await client.register_script(source)(keys=[key], args=arguments)
        except Exception as reason:
            failed = OnceStoreFailed(self._told(key, reason))
        raise failed

    def _told(self, key: str, reason: Exception) -> str:
        """Return what went wrong, and what to do about it."""
        kind, text = type(reason).__name__, text_of(reason)[:300]
        if "NOTOURS" in text or "WRONGTYPE" in text:
            return (
                f"what is kept under {key!r} in {self} was not written by @once"
                f" ({text.removeprefix('NOTOURS ')}): remove it, or give the function another"
                " `name` in @once"
            )
        if kind == "OutOfMemoryError":
            advice = "it is full: raise its maxmemory, or lower `expires`"
        elif kind == "ReadOnlyError":
            advice = "it is a replica: name the primary"
        elif kind in NOT_LET_IN or "password" in text or "NOAUTH" in text:
            advice = "it does not let us in: correct the user and password of its URL"
        elif isinstance(reason, OSError | TimeoutError) or kind in UNREACHABLE:
            advice = (
                "it cannot be reached: is it running, and in a network that the function is in?"
            )
        else:
            advice = "it has refused a command"
        return f"{self}: {advice} ({kind}: {text})"


NOT_LET_IN = ("AuthenticationError", "NoPermissionError", "AuthorizationError")
UNREACHABLE = ("ConnectionError", "TimeoutError", "BusyLoadingError", "MaxConnectionsError")


async def _close(client: Any) -> None:
    await client.aclose(close_connection_pool=True)


def _whole(seconds: float) -> int:
    return max(1, round(min(seconds, LONGEST_KEPT) * MILLISECONDS))


def _place(url: str) -> str:
    """Return a URL without user and password, which stand in no message. Raises ValueError for one
    that is read wrongly: a part of the password would be taken for the host or the port, and told.
    """
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("the URL of RedisStore begins with redis://, rediss:// or unix://")
    try:
        parts = urlsplit(url)
        is_right = _is_right(parts)
    except ValueError:  # quotes what it took for the port
        is_right = False
    if not is_right:
        raise ValueError(
            "the URL of RedisStore cannot be read: write /, ?, # and @ in its password as %2F, %3F,"
            " %23 and %40"
        )
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _is_right(parts: SplitResult) -> bool:
    """Return whether a user and password end where they should. Raises ValueError for a port that
    is none.
    """
    if parts.scheme == "unix":
        return not parts.netloc.rpartition("@")[2]  # it has no host
    behind = parts.path + parts.query.partition("=")[0] + parts.fragment
    return parts.port != 0 and "@" not in behind


def _connector(url: str, timeout: float, connections: int) -> Callable[[], Any]:
    """Return what makes a client. It opens no connection yet."""
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as reason:
        raise StartError(
            "RedisStore needs redis-py: install fc-event-service[redis], or add redis to the"
            " function's requirements.txt"
        ) from reason
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "max_connections": connections,
        "timeout": timeout,
        "protocol": 2,  # servers before version 6 know no other
    }

    def connect() -> Any:
        pool = BlockingConnectionPool.from_url(url, retry=Retry(NoBackoff(), 1), **options)
        return Redis(connection_pool=pool)

    return connect
