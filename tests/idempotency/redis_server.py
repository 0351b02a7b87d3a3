"""A Redis server of a test's own, on a socket that nobody else has."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

COMMAND = shutil.which("redis-server")
MISSING = "there is no redis-server: apt-get install redis-server"
needs_redis = pytest.mark.skipif(COMMAND is None, reason=MISSING)


class RedisServer:
    """A process `redis-server` that keeps nothing on a disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        assert COMMAND is not None
        self.url = f"unix://{folder}/redis.sock"
        listening = ["--port", "0", "--unixsocket", str(folder / "redis.sock")]
        self.process = subprocess.Popen(
            [COMMAND, *listening, "--dir", str(folder), "--save", "", *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "eady to accept connections" in line:
                break
        else:
            raise AssertionError("".join(lines))
        self.plain: Any = redis.Redis.from_url(self.url)
        """A client for the test, to look into it and to put something there."""

    def kill(self) -> None:
        """End it at once."""
        self.plain.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def served_redis(*options: str) -> Iterator[RedisServer]:
    """A server that ends with the block."""
    # A socket's path has at most 107 characters: the folders of pytest may be longer.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Path(folder), *options)
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def or_skip() -> Iterator[RedisServer]:
    """A server, or a skipped test if there is none on this machine."""
    if COMMAND is None:
        pytest.skip(MISSING)
    with served_redis() as server:
        yield server
