"""A project of a user's: one handler, four tests, and the plugin that loads by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.testing.bare_environment import bare_environment, built_wheel

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

ASYNC
async def test_a_socket(fc_service):
    assert (await fc_service(handler, concurrency=2).invoke({"user": "bob"}))["user"] == "bob"

def test_200_at_once(fc_at_once):
    assert len(fc_at_once(handler, lambda n: {"user": f"user-{n}"})) == 200
"""
SPEC = """
edition: 3.0.0
resources:
  orders:
    component: fc3
    props:
      functionName: orders
      runtime: custom.debian12
      code: .
      customRuntimeConfig:
        command: [python3, -m, service]
        port: 9000
"""
ANYIO = "@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n\n@pytest.mark.anyio"
SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")
AUTO = ("-o", "asyncio_mode=auto", *SCOPE)
STRICT = ("-o", "asyncio_mode=strict", *SCOPE)
XDIST = ("-n", "2")

PAGE = Path(__file__).parents[2] / "docs/testing.md"

Environment = Callable[..., Path]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Makes environments with our wheel and pytest, and other packages by name; gives the Python of
    each.
    """
    folder = tmp_path_factory.mktemp("environments")
    (folder / "source").mkdir()

    @cache
    def wheel() -> Path:
        return built_wheel(folder / "source")

    @cache
    def make(*packages: str) -> Path:
        place = folder / "-".join(("bare", *packages))
        return bare_environment(place, wheel(), "pytest", *packages)

    return make


def run_tests(folder: Path, python: Path, source: str, *flags: str, mark: str) -> str:
    """What pytest says of a project with such a handler."""
    (folder / "index.py").write_text(source)
    first, then = mark, mark.rpartition("\n")[2]
    (folder / "test_index.py").write_text(TESTS.replace("ASYNC", first, 1).replace("ASYNC", then))
    return run_pytest(folder, python, *flags)


def run_pytest(folder: Path, python: Path, *flags: str) -> str:
    """What pytest says of the project in a folder, nothing of ours imported before its tests."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    environ = {
        name: value
        for name, value in os.environ.items()
        if "PYTEST" not in name and name != "PYTHONPATH"
    }
    path = f"{python.parent}:{environ['PATH']}"
    done = subprocess.run(
        [python, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *flags],
        cwd=folder,
        env=environ | {"PATH": path, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def paste(folder: Path, *names: str) -> None:
    """Write files of the page into a folder."""
    for name in names:
        [code] = re.findall(rf"```python\n(# {name}\n.*?)```", PAGE.read_text(), re.DOTALL)
        (folder / name).write_text(code)


def test_a_run_that_asks_for_no_fixture_imports_one_module(tmp_path: Path) -> None:
    """pytest loads the plugin by itself, and that is all of ours."""
    code = (
        "import sys, pytest; before = set(sys.modules); import fc_event_service_pytest;"
        " print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['fc_event_service_pytest']\n"


@pytest.mark.long
def test_the_tests_of_the_page_say_what_is_shown(tmp_path: Path, environment: Environment) -> None:
    """As pasted, with our wheel and pytest and nothing else: three are green, and the fourth finds
    what the calls share.
    """
    paste(tmp_path, "index.py", "test_index.py")
    said = run_pytest(tmp_path, environment())
    assert "plugins: fc-event-service-" in said
    assert "1 failed, 3 passed" in said, said
    shown = re.findall(r"^E +(.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(shown) == 3
    assert [line for line in shown if line not in said] == [], said


@pytest.mark.long
def test_four_tests_of_a_handler_with_a_leak(tmp_path: Path, environment: Environment) -> None:
    """Three are green, since each call alone is right; that of many at once finds what they share,
    with the file and the line. Nothing of ours is imported before the first fixture.
    """
    python = environment("pytest-asyncio")
    said = run_tests(tmp_path, python, LEAKY, *AUTO, mark="")
    assert "1 failed, 3 passed" in said, said
    assert re.search(r"index\.user: call 0 .* at index\.py:9; written at index\.py:7", said), said
    assert "result['user']: call 0 has 'user-199', which belongs to call 199" in said


PLUGINS = {
    "pytest-asyncio": (("pytest-asyncio",), AUTO, ""),
    "pytest-asyncio, strict": (("pytest-asyncio",), STRICT, "@pytest.mark.asyncio"),
    "pytest-aiohttp": (("pytest-aiohttp",), AUTO, ""),
    "anyio": (("anyio",), (), ANYIO),
    "all of them": (("pytest-aiohttp", "anyio", "hypothesis"), AUTO, ""),
}


@pytest.mark.long
@pytest.mark.parametrize("parallel", [(), XDIST], ids=["alone", "xdist"])
@pytest.mark.parametrize("plugins", PLUGINS.values(), ids=list(PLUGINS))
def test_four_tests_of_a_good_handler(
    tmp_path: Path,
    environment: Environment,
    plugins: tuple[tuple[str, ...], tuple[str, ...], str],
    parallel: tuple[str, ...],
) -> None:
    """All are green, whichever plugin runs the async ones, and in several processes."""
    packages, flags, mark = plugins
    python = environment(*packages, "pytest-xdist")
    said = run_tests(tmp_path, python, GOOD, *flags, *parallel, mark=mark)
    assert "4 passed" in said, said


@pytest.mark.long
def test_the_platform_is_played_with_its_extra(tmp_path: Path, environment: Environment) -> None:
    """`fc_emulator` starts the function of the project's `s.yaml`, and without the extra says which
    one is missing.
    """
    (tmp_path / "s.yaml").write_text(SPEC)
    paste(tmp_path, "index.py", "test_platform.py")
    said = run_pytest(tmp_path, environment("pytest-asyncio", "fc-event-service[emulator]"), *AUTO)
    assert "2 passed" in said, said
    said = run_pytest(tmp_path, environment("pytest-asyncio"), *AUTO)
    assert "2 failed" in said, said
    assert "install fc-event-service[emulator]" in said, said
