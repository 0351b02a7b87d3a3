"""Fixtures that more than one test file uses."""

from __future__ import annotations

import gc
import os
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import none

from tests.assembly import Logged, logged
from tests.harness import ServerProcess, held_port

Serve = Callable[..., ServerProcess]

# How fast a machine makes an example says nothing of the code. The same examples are tried in each
# run, so that a change is judged by what it changes: --hypothesis-profile=search tries others.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("search"), derandomize=True)
settings.register_profile("thorough", settings.get_profile("search"), max_examples=800)
settings.load_profile("steady")


def pytest_configure() -> None:
    """Look for no garbage among what is collected: all of it stays. Heed the signals that who runs
    the tests ignores, as `nohup` and a shell's `&` do: all that is started here would ignore them.
    """
    gc.disable()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Leave that out from now on, too: a test that looks for garbage looks at its own. Keep no byte
    code: Python takes it for that of a file which a test writes anew within the same second, if its
    size is the same.
    """
    # With its first property hypothesis looks who refers to its random numbers, and warns if nobody
    # does: on 3.14 only what may be garbage was found to.
    given(none())(lambda _: None)()
    gc.freeze()
    gc.enable()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest and does little: the others run beside it. What runs alone is
    looked for in one folder.
    """
    items.sort(key=lambda item: item.get_closest_marker("first") is None)
    for item in items:
        if item.get_closest_marker("alone") and not item.nodeid.startswith("tests/system/"):
            raise pytest.UsageError(f"{item.nodeid} is marked alone: its place is tests/system")
        if is_on_other_loop(item):
            item.add_marker(pytest.mark.other_loop)


LOOPS = ["uvloop", "asyncio"]
ON_BOTH_LOOPS = "tests/system/test_malformed.py::test_the_conformance_table"
"""What the RFCs ask is sent to both loops each time."""


def is_on_other_loop(item: pytest.Item) -> bool:
    """Return whether a test that has an event loop is left to the Python before or behind this
    one: `make test` tries each on one loop, `make test-all` and `make proof` on both.
    """
    variant = getattr(item, "callspec", None)
    loop = variant and variant.params.get("loop_kind")
    if loop is None or item.nodeid.startswith(ON_BOTH_LOOPS):
        return False
    name = item.nodeid.partition("[")[0]
    chosen = (zlib.crc32(name.encode()) + sys.version_info.minor) % len(LOOPS)
    return bool(loop != LOOPS[chosen])


@pytest.fixture(params=LOOPS)
def loop_kind(request: pytest.FixtureRequest) -> str:
    """The event loop under the service."""
    return str(request.param)


@pytest.fixture
def log() -> Iterator[Logged]:
    """The service's log."""
    with logged() as pair:
        yield pair


@pytest.fixture
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serve]:
    """Starts service processes, each with its `index.py` and flags; ends them after the test.

    Each has a port that is nobody else's until then: once it listens no more, nothing does. What is
    measured in a test that runs alone is measured of real starts.
    """
    may_be_warm = request.node.get_closest_marker("alone") is None
    processes: list[ServerProcess] = []

    def start(
        source: str, *flags: str, folder: Path | None = None, **options: Any
    ) -> ServerProcess:
        place = folder or tmp_path / f"function-{len(processes)}"
        own = () if "--port" in flags else ("--port", str(ports.enter_context(held_port())))
        options.setdefault("is_warm", may_be_warm)
        processes.append(ServerProcess(place, source, *own, *flags, **options))
        return processes[-1]

    with ExitStack() as ports:
        yield start
        for process in processes:
            process.kill()
