"""Whether this is the service's own process, and the streams that it begins with."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap

import pytest

from service.first.begin import begin, is_program, open_missing_streams


@pytest.mark.parametrize(
    ("argv", "orig", "is_ours"),
    [
        (["-m", "--port", "1"], ["python", "-m", "service", "--port", "1"], True),
        (["-m"], ["python", "-P", "-mfc_event_service"], True),
        (["/usr/bin/fc-event-service"], ["python", "/usr/bin/fc-event-service"], True),
        (["-m", "service"], ["python", "-m", "app", "service"], False),
        (["pytest"], ["python", "-m", "pytest"], False),
        ([], ["python"], False),
    ],
)
def test_only_the_services_own_process_begins_so(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], orig: list[str], is_ours: bool
) -> None:
    """A program that imports the package, for its event types say, is left as it is."""
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig)
    assert is_program() is is_ours


def test_streams_that_are_there_are_left_alone() -> None:
    """Nothing is opened, and it can be done twice."""
    before = sys.stdin, sys.stdout, sys.stderr
    begin()
    gc.enable()
    open_missing_streams()
    assert (sys.stdin, sys.stdout, sys.stderr) == before


def test_no_garbage_is_looked_for_while_the_start_imports() -> None:
    """All of it stays, and a library's user has Python as it was."""
    start = """
        import contextlib, gc, importlib.util, signal, sys, typing
        looked = []
        gc.collect()
        gc.set_threshold(5000)  # beyond what the first module's compiling makes, of thousands
        gc.callbacks.append(lambda phase, info: looked.append(info))
        sys.argv = [{name!r}]
        import service
        print(bool(looked), end=" ")
        import service.__main__
        print(bool(looked), gc.isenabled())
    """

    def said(name: str) -> str:
        code = textwrap.dedent(start.format(name=name))
        return subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).strip()

    assert said("fc-event-service") == "False False True"
    assert said("program") == "True True True"
