"""What is looked at in a package that is built: a folder or an archive, as it is deployed."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.checking import contents
from service.checking.built import BuiltPackages
from service.checking.checked import CheckedFunction
from service.checking.families import checked_file, checked_function
from service.checking.finding import CheckFinding
from service.emulator.spec.placed import read_placed
from tests.checking.project import HANDLER, project, told
from tests.parse_spec import ROOT

BOOTSTRAP = (ROOT / "service/bundling/bootstrap").read_text().replace("@VERSION@", "3.11")
NO_COMMAND = {"customRuntimeConfig": {"command": None, "args": None}}
FILES = {
    "index.py": HANDLER,
    "bootstrap": BOOTSTRAP,
    "python/fc_event_service/__init__.py": "",
    "python/orjson-3.11.4.dist-info/RECORD": "orjson/orjson.cpython-311-x86_64-linux-gnu.so,,\n",
}
X86 = b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x03\x00\x3e\x00"
ARM = X86[:18] + b"\xb7\x00"


def zipped(path: Path, files: Mapping[str, str | bytes], mode: int = 0o755) -> Path:
    """Write an archive whose files have a mode, 0 as on Windows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | mode) << 16 if mode else 0
            archive.writestr(entry, content)
    return path


def looked_at(folder: Path, code: str, *, wants_built: bool = False) -> list[CheckFinding]:
    """What a check finds of a function that is deployed from there."""
    file = project(folder, {"code": code, **NO_COMMAND})
    with BuiltPackages(wants_built=wants_built) as packages:
        spec = read_placed(file, environ={}, code_at=packages.find)
        found = [*checked_file(spec, folder).findings]
        for placed in spec.functions:
            package = packages.of(placed.deployed.code)
            function = CheckedFunction(placed, spec.sources, folder, package=package)
            found += checked_function(function).findings
    return found


def test_an_archive_that_fits_has_no_fault(tmp_path: Path) -> None:
    """Its size is told, and its handler, start and packages are looked at."""
    zipped(tmp_path / "code.zip", FILES)
    findings = looked_at(tmp_path, "code.zip")
    assert told(findings, "fault") + told(findings, "warning") == []
    assert {each.rule for each in findings} >= {"package", "handler", "command", "packages"}
    assert any(
        line.startswith("ok package code: 0.0 MB, 4 files of 0.0 MB") for line in told(findings)
    )


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "no execute bit": (FILES, 0, "fault command customRuntimeConfig: /code/bootstrap may not be"),
    "lines of Windows": (
        {**FILES, "bootstrap": BOOTSTRAP.replace("\n", "\r\n")},
        0o755,
        "fault command customRuntimeConfig: /code/bootstrap has lines that end as on Windows",
    ),
    "no bootstrap": (
        {name: text for name, text in FILES.items() if name != "bootstrap"},
        0o755,
        "fault command customRuntimeConfig: /code/bootstrap is not in the code",
    ),
    "another Python": (
        {**FILES, "lib/fast.cpython-313-x86_64-linux-gnu.so": X86},
        0o755,
        "fault compiled code: made for Python 3.13, and Python 3.11 runs it: lib/fast.cpython-313",
    ),
    "another C library": (
        {**FILES, "lib/fast.cpython-311-x86_64-linux-musl.so": X86},
        0o755,
        "fault compiled code: made for x86_64-linux-musl, and instances are x86_64-linux-gnu",
    ),
    "another machine": (
        {**FILES, "lib/libfast.so.1": ARM},
        0o755,
        "fault compiled code: made for aarch64, and instances are x86_64: lib/libfast.so.1",
    ),
    "another system": (
        {**FILES, "lib/fast.so": b"\xcf\xfa\xed\xfe" + b"\0" * 30},
        0o755,
        "fault compiled code: made for another system than Linux: lib/fast.so",
    ),
    "a folder in it": (
        {f"app/{name}": text for name, text in FILES.items()},
        0o755,
        "warning package code: all of it lies in the folder app/: instances have it in /code/app",
    ),
    "tests and an environment": (
        {
            **FILES,
            "python/orjson-3.11.4.dist-info/WHEEL": "Tag: py3-none-any\n",
            "tests/data.bin": b"x" * 600_000,
            ".git/pack": b"x" * 700_000,
        },
        0o755,
        "warning package code: brings what no call needs, and each cold start loads: .git 0.7 MB,"
        " tests 0.6 MB",
    ),
    "a file outside of it": (
        {**FILES, "../evil.py": ""},
        0o755,
        "fault file resources.fn.props.code: code.zip has '../evil.py', which lies outside of it",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_an_archive_is_told(case: str, tmp_path: Path) -> None:
    """With what to do."""
    files, mode, expected = WRONG[case]
    zipped(tmp_path / "code.zip", files, mode)
    findings = looked_at(tmp_path, "code.zip")
    pairs = zip(findings, told(findings), strict=True)
    finding = next((each for each, line in pairs if line.startswith(expected)), None)
    assert finding is not None, "\n".join(told(findings))
    assert not (tmp_path.parent / "evil.py").exists()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 cut", b"#!/bin/sh\n"], ids=["empty", "cut", "text"]
)
def test_a_file_that_is_no_archive_is_a_fault(content: bytes, tmp_path: Path) -> None:
    """The platform would refuse it."""
    (tmp_path / "code.zip").write_bytes(content)
    (line,) = told(looked_at(tmp_path, "code.zip"))
    assert line.startswith("fault file resources.fn.props.code: code.zip cannot be unpacked (")


def test_a_module_of_a_package_is_told_with_the_package(tmp_path: Path) -> None:
    """Once."""
    module = "orjson/orjson.cpython-313-x86_64-linux-gnu.so"
    record = {"python/orjson-3.11.4.dist-info/RECORD": f"{module},,\n"}
    zipped(tmp_path / "code.zip", {**FILES, **record, f"python/{module}": X86})
    (line,) = told(looked_at(tmp_path, "code.zip"), "fault")
    assert line.endswith(
        "compiled for cp313, and Python 3.11 on Linux x86_64 runs it: orjson 3.11.4"
    )


@pytest.mark.parametrize(
    ("limits", "level"),
    [((10**9, 10**9), "ok"), ((10**9, 10), "warning"), ((10, 5), "fault")],
    ids=["small", "most regions", "all regions"],
)
def test_an_archive_is_no_larger_than_the_platform_takes(
    limits: tuple[int, int], level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the bytes of the zip."""
    monkeypatch.setattr(contents, "LARGEST_ZIP", limits[0])
    monkeypatch.setattr(contents, "LARGEST_ZIP_IN_MOST", limits[1])
    zipped(tmp_path / "code.zip", FILES)
    levels = [each.level for each in looked_at(tmp_path, "code.zip") if each.rule == "package"]
    assert levels == [level]


def test_what_was_unpacked_is_removed(tmp_path: Path) -> None:
    """Also a file that nobody may write, and one that a link leads to."""
    archive = zipped(tmp_path / "code.zip", FILES, 0o400)
    link = zipfile.ZipInfo("python/python3")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr(link, "fc_event_service/__init__.py")
    with BuiltPackages() as packages:
        folder = packages.find(archive)
        assert isinstance(folder, Path)
        assert (folder / "python" / "python3").is_symlink()
    assert not folder.exists()


def test_a_package_that_is_not_built_yet_is_no_fault(tmp_path: Path) -> None:
    """The files that it is made of are looked at, and what makes it is named; what the bundle
    brings is not missed.
    """
    (tmp_path / "index.py").write_text(HANDLER)
    findings = looked_at(tmp_path, "./build/code")
    assert told(findings, "fault") + told(findings, "warning") == []
    (hint,) = [each for each in findings if each.rule == "package"]
    assert (hint.level, hint.remedy) == ("unknown", "run `make bundle`, then check again")
    assert any(each.rule == "handler" and each.level == "ok" for each in findings)


@pytest.mark.parametrize(
    ("code", "told_of"), [("./build/code", "make bundle"), ("build/code.zip", "make zip")]
)
def test_a_package_that_is_to_be_deployed_has_to_be_there(
    code: str, told_of: str, tmp_path: Path
) -> None:
    """In the action before a deployment."""
    (line,) = told(looked_at(tmp_path, code, wants_built=True))
    assert line.startswith(f"fault file resources.fn.props.code: {code} is neither a folder nor")
    assert f"`{told_of}`" in line


def test_another_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    """Nothing says what it is made of."""
    (line,) = told(looked_at(tmp_path, "./dist"))
    assert line.startswith("fault file resources.fn.props.code: ./dist is neither")
