"""How long each import took, by whom it was wanted, and that nothing of it stays."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import ExtensionFileLoader, PathFinder, SourceFileLoader
from pathlib import Path

import pytest

from service.first.import_times import ImportTimes

PLACES = [
    (SourceFileLoader, "exec_module"),
    (ExtensionFileLoader, "exec_module"),
    (ExtensionFileLoader, "create_module"),
    (PathFinder, "find_spec"),
]


@pytest.fixture
def times() -> Iterator[ImportTimes]:
    """Times of the imports within a test."""
    noted = ImportTimes()
    noted.begin()
    yield noted
    noted.end()


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, whose modules are forgotten after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_an_import_counts_without_and_with_what_it_imports(
    modules: Path, times: ImportTimes
) -> None:
    """A module's own seconds and those of what it imports in turn are the whole."""
    (modules / "outer_of_times.py").write_text("VALUE = 1\nimport inner_of_times\n")
    (modules / "inner_of_times.py").write_text("VALUE = sum(range(1000))\n")
    importlib.import_module("outer_of_times")
    outer, inner = times.imports
    assert (outer.name, inner.name) == ("outer_of_times", "inner_of_times")
    assert (outer.parent, inner.parent) == (None, outer)
    assert inner.own == inner.whole > 0
    assert outer.whole > inner.whole
    assert outer.own > 0
    assert outer.own + inner.whole == pytest.approx(outer.whole)


def test_an_import_knows_the_line_that_wants_it(modules: Path, times: ImportTimes) -> None:
    """It is that of the import statement, or of the call of `import_module`."""
    (modules / "outer_of_times.py").write_text("VALUE = 1\nimport inner_of_times\n")
    (modules / "inner_of_times.py").write_text("")
    importlib.import_module("outer_of_times")
    outer, inner = times.imports
    assert outer.wanted_by == __file__
    assert (inner.wanted_by, inner.line) == (str(modules / "outer_of_times.py"), 2)
    assert inner.file == str(modules / "inner_of_times.py")


def test_an_import_that_fails_counts_and_fails(modules: Path, times: ImportTimes) -> None:
    """Its error passes as it is, and the next import is nobody's child."""
    (modules / "failing_of_times.py").write_text("1 / 0\n")
    (modules / "inner_of_times.py").write_text("")
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("failing_of_times")
    importlib.import_module("inner_of_times")
    assert [each.name for each in times.imports] == ["failing_of_times", "inner_of_times"]
    assert [each.parent for each in times.imports] == [None, None]


def test_each_thread_has_imports_of_its_own(modules: Path, times: ImportTimes) -> None:
    """What a thread imports meanwhile is no part of an import in another one."""
    (modules / "outer_of_times.py").write_text(
        "import threading, importlib\n"
        "thread = threading.Thread(target=importlib.import_module, args=['inner_of_times'])\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    (modules / "inner_of_times.py").write_text("")
    thread = threading.Thread(target=importlib.import_module, args=["outer_of_times"])
    thread.start()
    thread.join()
    assert [each.parent for each in times.imports] == [None, None]


def test_the_import_system_is_left_as_it_was() -> None:
    """Once the report is made nothing of it is in Python's way."""
    before = [vars(owner).get(name) for owner, name in PLACES]
    noted = ImportTimes()
    noted.begin()
    assert [vars(owner).get(name) for owner, name in PLACES] != before
    noted.end()
    noted.end()
    assert [vars(owner).get(name) for owner, name in PLACES] == before
