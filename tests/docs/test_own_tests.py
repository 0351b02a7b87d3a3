"""The tests that pages show, as pytest runs them."""

from __future__ import annotations

import contextlib
import io
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.docs.blocks import Block, runs
from tests.docs.screen import assert_shows
from tests.emulator.play import free_port
from tests.site.pages import ROOT

HANDLER = 'async def handler(event: dict, context):\n    return {"user": event["user"]}\n\n\n'
LEFT_OUT = {"xdist", "cacheprovider", "locust", "randomly", "timeout", "pytest_cov", "terminal"}


class Outcomes:
    """What has become of each test, and how those that failed are told."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome of a test, and of its fixtures."""
        name = report.nodeid.rpartition("::")[2]
        if report.failed:
            self.failed[name] = report.longreprtext
        elif report.when == "call" and report.passed:
            self.passed.append(name)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that cannot be read."""
        if report.failed:
            self.failed[report.nodeid] = report.longreprtext


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Leave modules, the path and the outputs as they were."""
    modules, path = dict(sys.modules), list(sys.path)
    nothing = io.StringIO()
    try:
        with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
            yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - set(modules):
            if name.split(".")[0] in ("index", "conftest") or name.startswith("test_"):
                del sys.modules[name]


def run_folder(folder: Path, *flags: str) -> Outcomes:
    """Run the tests of a folder in this process, asyncio's mode `auto` as pages ask for it."""
    outcomes = Outcomes()
    plugins = [flag for name in sorted(LEFT_OUT) for flag in ("-p", f"no:{name}")]
    options = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    (folder / "pytest.ini").write_text("[pytest]\n")
    with apart():
        pytest.main(
            ["--rootdir", str(folder), *options, *plugins, "-s", *flags, str(folder)],
            plugins=[outcomes],
        )
    return outcomes


@runs(
    "docs/testing.md#tests-of-a-function",
    "docs/testing.md#tests-of-a-function:2",
    "docs/testing.md#tests-of-a-function:3",
)
def test_three_are_green_and_one_names_the_lines(shown: list[Block], tmp_path: Path) -> None:
    """As the page says, with the message that it shows."""
    handler, tests, told = shown
    (tmp_path / "index.py").write_text(handler.code)
    (tmp_path / "test_index.py").write_text(tests.code)
    outcomes = run_folder(tmp_path)
    assert outcomes.passed == ["test_a_result", "test_its_log", "test_over_a_socket"]
    [failure] = outcomes.failed.values()
    lines = [line for line in failure.splitlines() if line.startswith("E ")]
    blurs = {
        r"call(s?) \d+(, \d+)*": r"call\1 N",
        r"\d+ calls": "N calls",
        r"user-\d+": "user-N",
        r"^E +(?=\S)": "E ",
        r"\nE +(?=\S)": "\nE ",
    }
    assert_shows(told.code, "\n".join(lines), blurs)


@runs(
    "docs/how-to.md#test-a-function-many-calls-at-once-included",
    "docs/testing.md#tests-of-a-function:4",
    "docs/testing.md#on-a-socket",
    "docs/testing.md#any-event",
    "docs/testing.md#virtual-time",
)
def test_the_tests_of_the_pages_pass(shown: list[Block], tmp_path: Path) -> None:
    """Each in a file of its own, with the handler that the page has for it."""
    first, *others = shown
    (tmp_path / "test_first.py").write_text(first.code)
    given = f"import asyncio\nimport aiohttp\n{HANDLER}"
    counting = "def handler(event, context):\n    return 1\n\n\n"
    for number, block in enumerate(others):
        before = counting if "any-event" in block.place else given
        code = block.code.replace("deadline=None", "deadline=None, max_examples=5")
        (tmp_path / f"test_{number}.py").write_text(before + code)
    outcomes = run_folder(tmp_path)
    assert outcomes.failed == {}
    assert len(outcomes.passed) == 6


@runs(
    "docs/how-a-call-flows.md#on-aiohttps-own-server",
    "docs/how-a-call-flows.md#on-aiohttps-own-server:2",
)
def test_the_application_runs_on_aiohttps_own_server(
    shown: list[Block], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under `web.run_app`, and with pytest-aiohttp, with the sample as its handler."""
    application, tests = shown
    shutil.copy(ROOT / "index.py", tmp_path)
    (tmp_path / "app.py").write_text(application.code)
    (tmp_path / "test_index.py").write_text(tests.code)
    started: list[tuple[web.Application, int]] = []
    monkeypatch.setattr(web, "run_app", lambda app, *, port: started.append((app, port)))
    monkeypatch.syspath_prepend(tmp_path)
    with apart():
        runpy.run_path(str(tmp_path / "app.py"), None, "__main__")
    assert started[0][1] == 9000
    outcomes = run_folder(tmp_path)
    assert (outcomes.failed, outcomes.passed) == ({}, ["test_a_call"])


SPEC = """
edition: 3.0.0
name: orders
resources:
  orders:
    component: fc3
    props:
      functionName: orders
      region: cn-hangzhou
      runtime: custom.debian12
      handler: index.handler
      code: .
      timeout: 60
      memorySize: 512
      customRuntimeConfig:
        command: [python3, -m, fc_event_service]
        port: 9000
"""


@pytest.mark.long
@runs("docs/testing.md#on-the-platform")
def test_the_test_on_the_platform_passes(shown: list[Block], tmp_path: Path) -> None:
    """The plain one and the async one, with a function named as there."""
    (tmp_path / "index.py").write_text(HANDLER)
    (tmp_path / "s.yaml").write_text(SPEC)
    (tmp_path / "test_platform.py").write_text(shown[0].code)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        outcomes = run_folder(tmp_path)
    assert outcomes.failed == {}
    assert len(outcomes.passed) == 2


@pytest.mark.long
@runs("docs/emulator.md#for-tests", "docs/emulator.md#for-tests:2")
def test_the_tests_with_the_emulator_pass(
    shown: list[Block], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A full instance gets a neighbour; and a plain `with`, on any port."""
    scaling, plain = shown
    code = plain.code.replace("8000", str(free_port()))
    body = "".join(f"    {line}\n" for line in code.splitlines())
    both = f"{scaling.code}\n\ndef test_plain():\n{body}"
    (tmp_path / "test_scaling.py").write_text(both)
    monkeypatch.chdir(ROOT)
    outcomes = run_folder(tmp_path)
    assert outcomes.failed == {}
    assert len(outcomes.passed) == 2
