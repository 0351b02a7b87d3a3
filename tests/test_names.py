"""The package's two names, each in a new interpreter, as an import statement meets them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from service.names import fresh_command, place_on_path
from tests.harness import RUNS_WITHIN

ROOT = Path(__file__).parent.parent


def output(source: str, folder: Path, *options: str) -> str:
    """What a program prints that runs in `folder`."""
    command = [sys.executable, *options, "-c", textwrap.dedent(source)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=RUNS_WITHIN, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("first", ["service", "fc_event_service"])
@pytest.mark.parametrize("folder", [ROOT, ROOT / "docs"], ids=["clone", "elsewhere"])
def test_both_names_are_one_package(folder: Path, first: str) -> None:
    """Whichever is imported first, the package, its modules and its classes are the same."""
    output(
        f"""
        import {first}
        import service, fc_event_service
        import service.events, fc_event_service.events
        from service.logs.pipe import LogPipe
        from fc_event_service.logs import pipe
        import fc_event_service.settings.table as table
        import service.settings.table as same_table

        assert service is fc_event_service
        assert service.Context is fc_event_service.Context
        assert service.events is fc_event_service.events
        assert LogPipe is pipe.LogPipe
        assert table is same_table
        """,
        folder,
    )


def test_a_module_has_one_name(tmp_path: Path) -> None:
    """Tracebacks, `repr` and pickles say `fc_event_service`, whatever the import said; a new
    process reads such a pickle.
    """
    said = output(
        """
        import pickle, sys
        from service.errors import Overloaded
        print(Overloaded.__module__)
        pickle.dump(Overloaded, open("it", "wb"))
        """,
        tmp_path,
    )
    assert said == "fc_event_service.errors\n"
    read = "import pickle; print(pickle.load(open('it', 'rb')).__name__)"
    assert output(read, tmp_path) == "Overloaded\n"


def test_a_module_that_is_not_there_is_missed_by_the_name_that_was_asked(tmp_path: Path) -> None:
    """The error names what the import statement named."""
    source = """
        try:
            import service.nowhere
        except ModuleNotFoundError as error:
            print(error.name)
    """
    assert output(source, tmp_path) == "service.nowhere\n"


def test_somebody_elses_service_has_the_name(tmp_path: Path) -> None:
    """A package of another distribution that comes with the name `service` has it, and ours is
    there by the other one; a folder of data is no package.
    """
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "unit.conf").touch()
    (tmp_path / "packages").mkdir()
    source = """
        import sys, fc_event_service
        sys.path.append("packages")
        import service
        print(service is fc_event_service)
    """
    assert output(source, tmp_path) == "True\n"
    (tmp_path / "packages" / "service.py").touch()
    assert output(source, tmp_path) == "False\n"


def test_the_public_names_have_types_by_either_name(tmp_path: Path) -> None:
    """What a type checker finds beside the installed package is marked as typed."""
    for name in ("service", "fc_event_service"):
        assert Path(place_on_path(), name, "py.typed").is_file()
    source = "import service; print([n for n in service.__all__ if not hasattr(service, n)])"
    assert output(source, tmp_path) == "[]\n"


def test_an_import_leaves_the_path_alone(tmp_path: Path) -> None:
    """Only `python -m service` takes the current folder from the path: a program that imports the
    package keeps it.
    """
    (tmp_path / "program.py").write_text("import service, sys; print(sys.path[0])\n")
    command = [sys.executable, "-m", "program", "-m", "service"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=RUNS_WITHIN, check=True
    )
    assert done.stdout == f"{tmp_path}\n"


def test_a_distribution_that_overwrites_the_short_name_leaves_the_long_one(tmp_path: Path) -> None:
    """Another distribution's `service/` in the place of what is installed for the short name has
    it; ours goes on by its own.
    """
    packages = tmp_path / "site"
    shutil.copytree(ROOT / "service", packages / "fc_event_service")
    shutil.copytree(ROOT / "installed" / "service", packages / "service")
    source = """
        import sys
        sys.path.insert(0, "site")
        import fc_event_service, service
        print(service is fc_event_service, "site" in service.__file__)
    """
    assert output(source, tmp_path) == "True True\n"
    (packages / "service" / "__init__.py").write_text("# another distribution's")
    assert output(source, tmp_path) == "False True\n"


def test_a_clone_that_is_not_installed_answers_to_both_names(tmp_path: Path) -> None:
    """`python -m service` in a clone is enough: the function finds the package by either name, and
    so do the processes that it makes.
    """
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "service", clone / "service")
    shutil.copytree(ROOT / "installed", clone / "installed", symlinks=True)
    source = """
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        from fc_event_service import Context, InvalidEvent
        import service

        def child(error):
            return isinstance(error, InvalidEvent), type(error).__module__

        def handler(event, context):
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                return pool.submit(child, service.InvalidEvent("x")).result()
    """
    (clone / "index.py").write_text(textwrap.dedent(source))
    # Every package but this one, which the environment of the tests has installed.
    program = """
        import runpy, sys
        sys.path[:] = [each for each in sys.path if not each.endswith("installed")]
        sys.argv = ["-m", "invoke"]
        sys.path.insert(0, ".")
        runpy.run_module("service", run_name="__main__", alter_sys=True)
    """
    assert output(program, clone) == '[true,"fc_event_service.errors"]'


@pytest.mark.parametrize(
    ("started", "name"),
    [("/usr/bin/fc-event-service", "fc-event-service"), ("/x/__main__.py", "python -m service")],
)
def test_a_new_interpreter_goes_by_the_name_of_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, started: str, name: str
) -> None:
    """As `--reload` starts one: what is wrong with the function is said in the same name."""
    monkeypatch.setattr(sys, "argv", [started])
    command = fresh_command("--nope")
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=RUNS_WITHIN, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"{name}: ")
