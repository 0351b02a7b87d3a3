"""The command `bundle`: what is in a code package, and what is refused with a line."""

from __future__ import annotations

import argparse
import os
import zipfile
from pathlib import Path

import pytest

from service.bundling.packages import told_of_uv
from service.commands import bundle
from service.errors import StartError, UsageError

UV = """\
#!/bin/sh
printf '%s\\n' "$*" >>"$(dirname "$0")/asked"
[ ! -e "$(dirname "$0")/fails" ] || { cat "$(dirname "$0")/fails" >&2; exit 1; }
while [ $# -gt 1 ]; do
    case $1 in
    --target) mkdir -p "$2/shop" && touch "$2/shop/cart.py" "$2/shop/cart.pyi" ;;
    --output-file) echo 'shop==1.0 --hash=sha256:00' >"$2" ;;
    esac
    shift
done
"""
"""A uv that installs one package, or fails with a text; it notes what it was asked."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as `new` writes it, and beside it the tools, whose Python does nothing."""
    for name in ("code/index.py", "code/.env", "code/venv/pyvenv.cfg", "code/data/a.json"):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "project" / "requirements.txt").write_text("shop\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "empty").mkdir()
    for name, text in (("uv", UV), ("python", "#!/bin/sh\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path / "project"


def bundled(project: Path, *arguments: str) -> int:
    """What the command does with these arguments."""
    parser = argparse.ArgumentParser()
    bundle.add_flags(parser)
    flags = parser.parse_args(["--tools", "../bin/python", *arguments])
    return bundle.make_bundle(flags, project)


def asked(project: Path) -> str:
    """The arguments that uv had."""
    return (project.parent / "bin" / "asked").read_text()


def test_a_package_has_the_function_its_packages_the_service_and_its_start(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And no secrets, environments or stubs; its zip has the same, and its modes."""
    assert bundled(project, "--zip", "build/code.zip") == 0
    code = project / "build" / "code"
    assert sorted(os.listdir(code)) == ["bootstrap", "data", "index.py", "python"]
    assert sorted(os.listdir(code / "python")) == ["fc_event_service", "service", "shop"]
    assert os.listdir(code / "python" / "shop") == ["cart.py"]
    assert (code / "bootstrap").stat().st_mode & 0o777 == 0o755
    assert "version=3.11" in (code / "bootstrap").read_text()
    with zipfile.ZipFile(project / "build" / "code.zip") as read:
        assert read.getinfo("bootstrap").external_attr >> 16 == 0o100755
    assert "--python-version 3.11 --python-platform x86_64-manylinux_2_28" in asked(project)
    assert "--require-hashes" not in asked(project)
    assert capfd.readouterr().out.startswith("build/code.zip: ")


def test_a_projects_own_folder_is_the_functions_but_for_what_is_the_projects(
    project: Path,
) -> None:
    """Without a folder `code`, all lies at the top; what is made is no part of it."""
    for path in (project / "code").iterdir():
        path.rename(project / path.name)
    (project / "code").rmdir()
    for name in ("Makefile", "s.yaml", "README.md", "tests", "build"):
        (project / name).mkdir() if "." not in name else (project / name).touch()
    assert bundled(project) == 0
    assert bundled(project) == 0
    found = sorted(os.listdir(project / "build" / "code"))
    assert found == ["bootstrap", "data", "index.py", "python"]
    assert os.listdir(project / "build") == ["code"]


def test_a_bootstrap_of_the_functions_own_stays(project: Path) -> None:
    """And can be run."""
    (project / "code" / "bootstrap").write_text("#!/bin/sh\nexec mine\n")
    bundled(project)
    made = project / "build" / "code" / "bootstrap"
    assert made.read_text() == "#!/bin/sh\nexec mine\n"
    assert made.stat().st_mode & 0o777 == 0o755


def test_hashes_of_a_list_are_checked(project: Path) -> None:
    """Those of the author's own list, too."""
    (project / "requirements.txt").write_text("shop==1.0 --hash=sha256:00\n")
    bundled(project)
    assert "--require-hashes" in asked(project)


def test_a_lock_is_what_is_installed_until_the_list_changes(project: Path) -> None:
    """Then it is stale, and written anew by one flag."""
    bundled(project, "--lock")
    assert "requirements.lock" in asked(project).splitlines()[1]
    assert "--require-hashes --no-deps" in asked(project)
    first = (project / "requirements.lock").read_text()
    assert first.startswith("# requirements.txt: sha256 ")
    bundled(project)
    (project / "requirements.txt").write_text("shop\nbasket\n")
    with pytest.raises(StartError, match=r"^requirements[.]lock is stale") as error:
        bundled(project)
    assert error.value.exit_code == 1
    bundled(project, "--lock")
    assert (project / "requirements.lock").read_text() != first


def test_what_a_link_leads_to_is_in_the_package(project: Path) -> None:
    """The platform has nothing else of this machine."""
    (project / "common").mkdir()
    (project / "common" / "tax.py").write_text("RATE = 19\n")
    (project / "code" / "common").symlink_to("../common")
    bundled(project)
    copied = project / "build" / "code" / "common"
    assert not copied.is_symlink()
    assert (copied / "tax.py").read_text() == "RATE = 19\n"


@pytest.mark.parametrize(
    ("odd", "line"),
    [
        ("loop", r"code/loop leads back to .*/code, which it lies in: remove the link"),
        ("nowhere", "code/nowhere is a link that leads nowhere"),
        ("pipe", "code/pipe is neither a file nor a folder"),
    ],
)
def test_what_cannot_be_in_a_package_is_told(project: Path, odd: str, line: str) -> None:
    """With its path, and nothing is made."""
    place = project / "code" / odd
    if odd == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("." if odd == "loop" else "missing")
    with pytest.raises(StartError, match=line):
        bundled(project)
    assert not (project / "build" / "code").exists()


def test_a_failure_leaves_the_package_that_was_there(project: Path) -> None:
    """And nothing half made."""
    bundled(project)
    (project.parent / "bin" / "fails").write_text("error: x\n  cause: Hash mismatch for `a==1`\n")
    with pytest.raises(StartError, match=r"^Hash mismatch for `a==1`$") as error:
        bundled(project)
    assert error.value.exit_code == 1
    assert (project / "build" / "code" / "index.py").exists()
    assert os.listdir(project / "build") == ["code"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["--requirements", "more.txt"], "more.txt: there is no such file"),
        (["--python", "3.9"], r"no runtime has Python 3.9: take 3.11, 3.12, 3.13, or bring"),
        (["--python", "3.14", "--interpreter", "code"], "code has no bin/python3.14"),
        (["--tools", "code/python"], r"there is no .*code/uv: .* -m pip install uv setuptools"),
        (["../empty"], "has no file of a function: name its folder"),
        (["--to", "requirements.txt/x"], "requirements.txt: .*: nothing was made"),
    ],
    ids=["folder", "list", "old Python", "interpreter", "no uv", "nothing", "target"],
)
def test_what_cannot_be_made_is_told_in_a_line(
    project: Path, arguments: list[str], line: str
) -> None:
    """With what to do."""
    with pytest.raises(StartError, match=line) as error:
        bundled(project, *arguments)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == (2 if isinstance(error.value, UsageError) else 1)


NO_WHEEL = """\
error: No solution found when resolving dependencies
  cause: Because onlynew==1.0 has no wheels with a matching Python implementation tag (`cp311`) and
         only onlynew==1.0 is available, we can conclude that all versions of it cannot be used.

hint: You require CPython 3.11 (`cp311`), but we only found wheels for `onlynew` (v1.0) with the \
following Python implementation tag: `cp314`
"""
NOT_FOUND = """\
  \u00d7 No solution found when resolving dependencies:
  ╰─▶ Because nosuch was not found in the package registry and you require nosuch, we can conclude
      that your requirements are unsatisfiable.
"""
NO_ANSWER = """\
error: Request failed after 3 retries in 7.6s
  cause: Failed to fetch: http://127.0.0.1:9/simple/shop/
  cause: error sending request for url (http://127.0.0.1:9/simple/shop/)
  cause: Connection refused (os error 111)
"""
UNREAD = """\
error: Couldn't parse requirement in `requirements.txt` at position 0
  cause: Expected one of `@`, `(`, found `i`
         this is ! not
              ^
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (NO_WHEEL, "onlynew 1.0 has no wheel for the function's Python, only for cp314: take anot"),
        (NOT_FOUND, "there is no package nosuch where pip looks for packages: correct its name"),
        (NO_ANSWER, "http://127.0.0.1:9 does not answer (Connection refused (os error 111)): try"),
        (UNREAD, "Expected one of `@`, `(`, found `i` this is ! not ^"),
        ("", "uv has failed and says nothing"),
    ],
    ids=["no wheel", "not found", "no answer", "unread", "silent"],
)
def test_what_uv_says_is_told_in_a_line(text: str, line: str) -> None:
    """The package, and what to do."""
    said = told_of_uv(text)
    assert said.startswith(line)
    assert "\n" not in said
