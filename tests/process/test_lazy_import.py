"""A package whose own code runs late, and who asks for it notices nothing."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from service.process.lazy_import import defer
from tests.conftest import Serve
from tests.harness import request

ours_alone = pytest.mark.skipif(
    sys.version_info >= (3, 15), reason="Python's own lazy imports are used there"
)


def run(code: str, folder: Path) -> str:
    """What a fresh interpreter prints that has deferred aiohttp, or the package in `folder`."""
    start = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    start += "from service.process.lazy_import import defer\n"
    return subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def test_a_submodule_does_not_run_the_package(tmp_path: Path) -> None:
    """aiohttp's web part comes without its client; the client comes with the first name of it."""
    code = """
        defer("aiohttp")
        from aiohttp import web
        print("aiohttp.client" in sys.modules)
        import aiohttp
        print(aiohttp.ClientSession.__name__, "aiohttp.client" in sys.modules)
        from aiohttp import *
        print(ClientTimeout.__name__, aiohttp.web is web, type(aiohttp).__name__)
    """
    assert run(code, tmp_path).split() == [
        *("False", "ClientSession", "True", "ClientTimeout", "True", "module")
    ]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a package that says when it runs, slowly."""
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "__init__.py").write_text(
        '__version__ = "1.2"\nprint("runs")\nimport time\ntime.sleep(0.2)\nname = 1\n'
    )
    (tmp_path / "late" / "part.py").write_text("from . import __version__ as version\n")
    return tmp_path


@ours_alone
def test_threads_that_ask_at_once_wait_for_one_run(package: Path) -> None:
    """The package runs once, and each gets its name."""
    code = """
        import threading
        defer("late")
        import late.part
        print(late.part.version)
        found = []
        threads = [threading.Thread(target=lambda: found.append(late.name)) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(found)
    """
    assert run(code, package).split("\n")[:-1] == ["1.2", "runs", str([1] * 8)]


def test_a_name_that_is_not_there_is_no_name(package: Path) -> None:
    """It is an AttributeError, as it would be, and `hasattr` says no."""
    code = """
        defer("late")
        import late.part
        print(hasattr(late, "nothing"), late.part.version)
    """
    assert run(code, package).split() == ["runs", "False", "1.2"]


@ours_alone
def test_a_package_that_is_here_already_or_unlike_is_left_alone(package: Path) -> None:
    """Nothing is deferred that was imported before, has no version, or does not exist."""
    before = sys.modules["aiohttp"]
    defer("aiohttp")
    assert sys.modules["aiohttp"] is before
    (package / "late" / "__init__.py").write_text("name = 1\n")
    code = 'defer("late"); defer("no_such_package"); print("late" in sys.modules)'
    assert run(code, package) == "False\n"


async def test_a_handler_can_be_an_http_client(serve: Serve) -> None:
    """`import aiohttp` in a function gives all of aiohttp."""
    source = """
        import aiohttp

        async def handler(event, context):
            async with aiohttp.ClientSession() as session:
                return type(session).__name__
    """
    assert (await serve(source).ask(request())).body == b"ClientSession"
