"""S12: real starts on what is not safe. Each ends with exit code 3 and one line that says why.

That the pure-Python parser is refused stands in `test_connection.py`, beside what it does where it
is allowed.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.harness import request

SOURCE = "def handler(event, context): return event"
INSTANCE = {"FC_INSTANCE_ID": "c-1"}
OLD = """
    import aiohttp

    aiohttp.__version__ = "3.14.2"
"""
DROPS = """
    import aiohttp.http

    keeps = aiohttp.http.HttpRequestParser

    def drops(*arguments, max_field_size, **limits):
        return keeps(*arguments, **limits)

    aiohttp.http.HttpRequestParser = drops
"""
MISFIT = """
    import aiohttp.http

    def renamed(protocol, loop, limit, *, largest_line):
        raise AssertionError

    aiohttp.http.HttpRequestParser = renamed
"""


def with_aiohttp(folder: Path, change: str) -> dict[str, str]:
    """The environment in which a process finds its aiohttp changed."""
    (folder / "sitecustomize.py").write_text(textwrap.dedent(change))
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("change", "workers", "told"),
    [
        (OLD, "1", "aiohttp 3.14.2 is older than 3.14.3"),
        (OLD, "2", "aiohttp 3.14.2 is older than 3.14.3"),
        (DROPS, "2", "does not keep the limit of a field"),
        (MISFIT, "1", "does not fit here (TypeError: "),
        (MISFIT, "2", "does not fit here (TypeError: "),
    ],
    ids=["older", "older, two workers", "drops a limit, two workers", "misfit", "misfits"],
)
async def test_an_aiohttp_that_is_not_safe_is_refused(
    serve: Serve, tmp_path: Path, change: str, workers: str, told: str
) -> None:
    """An aiohttp with known faults, one that drops our limits, and one with another face are not
    served with.
    """
    server = serve(SOURCE, "--workers", workers, environ=with_aiohttp(tmp_path, change))
    assert await server.ends() == 3
    (line,) = server.errors
    assert told in line
    assert "aiohttp 3." in line
    assert "install the version of requirements.lock" in line


@pytest.mark.parametrize(
    ("options", "environ", "flags", "named"),
    [
        (["-X", "dev"], {}, [], "PYTHONDEVMODE (or -X dev)"),
        ([], {"PYTHONASYNCIODEBUG": "1"}, [], "PYTHONASYNCIODEBUG"),
        (["-O"], {}, [], "PYTHONOPTIMIZE (or -O)"),
        ([], {}, ["--reload"], "--reload"),
    ],
    ids=["dev mode", "asyncio's debug mode", "no asserts", "reload"],
)
async def test_a_debug_mode_is_refused_on_an_instance(
    serve: Serve, options: list[str], environ: dict[str, str], flags: list[str], named: str
) -> None:
    """On an instance of the platform a mode for the desk is refused by name."""
    server = serve(SOURCE, *flags, environ={**INSTANCE, **environ}, options=options)
    assert await server.ends() == 3
    assert server.errors[-1].startswith(f"python -m service: {named} is set on an instance")


async def test_an_instance_starts_without_leftovers(serve: Serve) -> None:
    """The same instance serves once nothing is left over, on the C parser with all limits kept."""
    server = serve(SOURCE, environ=INSTANCE)
    assert (await server.ask(request(b"event"))).body == b"event"


GREEN = """
    import _thread

    def allocate_lock():
        return lock()

    lock, _thread.allocate_lock = _thread.allocate_lock, allocate_lock
"""


@pytest.mark.parametrize("command", ["serve", "invoke"])
async def test_green_threads_are_refused_in_one_line(serve: Serve, command: str) -> None:
    """gevent and its like patch `threading` such that an event loop hangs beside it."""
    source = GREEN + "    def handler(event, context):\n        return event\n"
    line = [sys.executable, "-m", "service", command]
    server = serve(source, command=line)
    assert await server.ends() == 3
    assert server.lines == []
    (told,) = server.errors
    assert "index patches `threading`" in told
    assert "take the patch out" in told
