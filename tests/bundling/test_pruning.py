"""What of the packages is deployed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from service import LATE_NAMES, __all__
from service.bundling.pruning import prune
from tests.harness import RUNS_WITHIN

ROOT = Path(__file__).parents[2]
MODULES = (ROOT / "tests" / "modules.txt").read_text().split()
NEEDS_PYINSTRUMENT = pytest.mark.skipif(
    find_spec("pyinstrument") is None, reason="pyinstrument is not installed"
)


def written(folder: Path, **files: str) -> Path:
    """A folder with a package `shop`: its modules' texts by their names, `__` for a slash."""
    for name, text in files.items():
        path = folder / "shop" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def left(folder: Path) -> set[str]:
    """The files that are there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def seen(folder: Path, code: str) -> str:
    """What code prints, or the last line of its error, if the packages are on the path."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_tests_stubs_and_sources_are_left_out(tmp_path: Path) -> None:
    """A package keeps its modules and its data."""
    folder = written(tmp_path, begin="", cart="", tests__test_cart="", sub__test__kit="")
    for name in ("cart.pyi", "cart.pyx", "cart.pxd", "py.typed", "prices.json", "fast.c"):
        (folder / "shop" / name).touch()
    prune(folder)
    kept = {"begin.py", "cart.py", "prices.json", "fast.c"}
    assert left(folder) == {f"shop/{name}" for name in kept}
    assert not (folder / "shop" / "sub").exists()


@pytest.mark.parametrize(
    "line", ["from .tests import kit", "import shop.tests.kit", "from . import a, tests"]
)
def test_tests_that_a_package_imports_stay(tmp_path: Path, line: str) -> None:
    """They are a part of it, whatever they are called."""
    folder = written(tmp_path, cart=line, tests__kit="")
    prune(folder)
    assert left(folder) == {"shop/cart.py", "shop/tests/kit.py"}


def test_stubs_that_a_package_reads_stay(tmp_path: Path) -> None:
    """`lazy_loader` imports what stubs name; those of other packages go."""
    text = "import lazy_loader\n__getattr__ = lazy_loader.attach_stub(__name__, __file__)\n"
    folder = written(tmp_path, a=text)
    (folder / "other").mkdir()
    for name in ("shop/b.pyi", "other/a.py", "other/b.pyi"):
        (folder / name).touch()
    prune(folder)
    assert left(folder) == {"shop/a.py", "shop/b.pyi", "other/a.py"}


def test_what_is_asked_of_an_installed_package_is_still_told(tmp_path: Path) -> None:
    """Version, entry points, files and the package of a module, and the licence is there."""
    folder = written(tmp_path, a="", tests__b="")
    info = folder / "shop-1.0.dist-info"
    (info / "licenses").mkdir(parents=True)
    (info / "sboms").mkdir()
    for name in ("WHEEL", "INSTALLER", "REQUESTED", "licenses/LICENSE", "sboms/shop.json"):
        (info / name).write_text("x")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[plugins]\nshop = shop.a\n")
    files = ["shop/a.py", "shop/tests/b.py", *(f"{info.name}/{each}" for each in left(info))]
    (info / "RECORD").write_text("".join(f"{each},sha256=x,1\n" for each in files))
    prune(folder)
    kept = {"METADATA", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert left(info) == kept
    code = (
        "from importlib import metadata as m; print(m.version('shop'),"
        " [e.value for e in m.entry_points(group='plugins')],"
        " sorted(map(str, m.files('shop')))[-1], m.packages_distributions()['shop'])"
    )
    assert seen(folder, code) == "1.0 ['shop.a'] shop/a.py ['shop']"


# --- the service


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service as it is deployed."""
    folder = tmp_path_factory.mktemp("packages")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "service", folder / "fc_event_service", ignore=ignored)
    prune(folder)
    return folder


def test_all_that_serving_imports_is_deployed(deployed: Path) -> None:
    """Each module that a serving process has imported, and that of each public name."""
    modules = [name for name in MODULES if name.split(".")[0] == "fc_event_service"]
    modules += [f"fc_event_service{home}" for home in LATE_NAMES.values()]
    for name in modules:
        place = deployed.joinpath(*name.split("."))
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        assert (
            file.read_text()
            == (ROOT / "service" / file.relative_to(deployed / "fc_event_service")).read_text()
        )


def test_each_public_name_is_deployed(deployed: Path) -> None:
    """And its import needs nothing that is not."""
    assert seen(deployed, f"from fc_event_service import {', '.join(__all__)}; print(1)") == "1"


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "invoke --event {}",
        pytest.param("invoke --event {} --profile", marks=NEEDS_PYINSTRUMENT),
    ],
)
def test_what_is_deployed_can_be_looked_at(deployed: Path, tmp_path: Path, arguments: str) -> None:
    """Its help, and its handler called once, also with a flame graph, need nothing left out."""
    (tmp_path / "index.py").write_text("def handler(event, context): return 'called'\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "fc_event_service", *arguments.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(deployed)},
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN,
    )
    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout or done.stdout.strip() == "called"


@pytest.mark.parametrize("wing", ["emulator", "testing"])
def test_what_is_for_the_desk_says_so(deployed: Path, wing: str) -> None:
    """Who imports it on an instance is told where it is. Python 3.15 adds a name that is alike."""
    assert seen(deployed, f"import fc_event_service.{wing}").startswith(
        f"ModuleNotFoundError: fc_event_service.{wing} is for the desk and not in what is deployed:"
        " use it where fc-event-service is installed"
    )


@pytest.mark.parametrize("arguments", ["check", "emulate", "new shop", "size"])
def test_a_command_for_the_desk_says_so_in_one_line(
    deployed: Path, tmp_path: Path, arguments: str
) -> None:
    """With the exit code of a wrong use."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "fc_event_service", *arguments.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(deployed)},
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN,
    )
    (line,) = done.stderr.splitlines()
    assert line.endswith(
        " is for the desk and not in what is deployed: use it where fc-event-service is installed"
    )
    assert (done.returncode, done.stdout, left(tmp_path)) == (2, "", set())


# --- compiled modules


def test_a_compiled_module_is_loaded_without_what_a_debugger_reads(tmp_path: Path) -> None:
    """It is smaller, and its functions work."""
    spec = find_spec("multidict._multidict")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    shutil.copytree(package, tmp_path / "multidict", ignore=shutil.ignore_patterns("_testcapi*"))
    copied = tmp_path / "multidict" / Path(spec.origin).name
    before = copied.read_bytes()
    prune(tmp_path)
    assert (len(copied.read_bytes()) < len(before)) == (b".debug_info" in before)
    code = "import multidict._multidict as m; print(m.__file__, len(m.MultiDict(a=1)))"
    assert seen(tmp_path, code) == f"{copied} 1"


@pytest.mark.parametrize("end", [b"something of its own", b""], ids=["appended", "no ELF"])
def test_a_file_that_is_not_understood_stays_as_it_is(tmp_path: Path, end: bytes) -> None:
    """A program with something at its end, and what only has the name of a module."""
    spec = find_spec("multidict._multidict")
    assert spec is not None
    assert spec.origin is not None
    data = Path(spec.origin).read_bytes() + end if end else b"#!/bin/sh\n"
    (tmp_path / "a.so").write_bytes(data)
    prune(tmp_path)
    assert (tmp_path / "a.so").read_bytes() == data
