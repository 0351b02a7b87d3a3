"""A project of a user's: one handler, four tests, and the plugin that loads by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HANDLER = """
import asyncio

{state}
async def handler(event: dict, context):
    {write}
    context.logger.info("an order of %s", event["user"])
    await asyncio.sleep(0)
    return {{"user": {read}, "id": context.request_id}}
"""
GOOD = HANDLER.format(state="", write="user = event['user']", read="user")
LEAKY = HANDLER.format(
    state="user = None\n", write="global user; user = event['user']", read="user"
)

CONFTEST = """
import sys

def pytest_collection_finish(session):
    assert not [name for name in sys.modules if name.startswith("fc_event_service.")]
"""
TESTS = """
import pytest
from index import handler

def test_a_result(fc_invoke, fc_context):
    context = fc_context(request_id="r-1")
    assert fc_invoke(handler, {"user": "ann"}, context) == {"user": "ann", "id": "r-1"}

ASYNC
async def test_its_log(fc_invoke, fc_logs):
    await fc_invoke(handler, {"user": "ann"})
    assert [line.message for line in fc_logs.of()] == ["an order of ann"]

def test_a_socket(fc_service):
    assert fc_service(handler, concurrency=2).invoke({"user": "bob"})["user"] == "bob"

def test_200_at_once(fc_at_once):
    assert len(fc_at_once(handler, lambda n: {"user": f"user-{n}"})) == 200
"""
ANYIO = "@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n\n@pytest.mark.anyio"
SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")
AUTO = ("-o", "asyncio_mode=auto", *SCOPE)


def run_tests(folder: Path, source: str, *flags: str, mark: str) -> str:
    """What pytest says of a project with such a handler."""
    (folder / "index.py").write_text(source)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_index.py").write_text(TESTS.replace("ASYNC", mark))
    (folder / "pytest.ini").write_text("[pytest]\n")
    environ = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *flags],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.long
def test_four_tests_of_a_handler_with_a_leak(tmp_path: Path) -> None:
    """Three are green, since each call alone is right; that of many at once finds what they share,
    with the file and the line. Nothing of ours is imported before the first fixture.
    """
    said = run_tests(tmp_path, LEAKY, *AUTO, mark="")
    assert "1 failed, 3 passed" in said, said
    assert re.search(r"index\.user: call 0 .* at index\.py:9; written at index\.py:7", said), said
    assert "result['user']: call 0 has 'user-199', which belongs to call 199" in said


@pytest.mark.long
@pytest.mark.parametrize(
    ("flags", "mark"),
    [
        (AUTO, ""),
        ((*AUTO, "-n", "2"), ""),
        (("-o", "asyncio_mode=strict", *SCOPE), "@pytest.mark.asyncio"),
        (("-p", "no:asyncio", "-p", "no:aiohttp"), ANYIO),
    ],
    ids=["aiohttp", "xdist", "asyncio", "anyio"],
)
def test_four_tests_of_a_good_handler(tmp_path: Path, flags: tuple[str, ...], mark: str) -> None:
    """All are green, whichever plugin runs the async ones, and in several processes."""
    said = run_tests(tmp_path, GOOD, *flags, mark=mark)
    assert "4 passed" in said, said
