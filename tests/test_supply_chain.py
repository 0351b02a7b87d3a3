"""What is installed was locked, what is locked is listed, and what is promised is tested."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from service.calls.observers import TOGETHER
from service.counting.pages import OF_USER
from service.http import heads
from service.instance.call_figures import MOST_ERROR_TYPES
from service.metrics import LONGEST_VALUE, MOST_SERIES
from service.settings.kinds import size_text
from service.settings.table import ROWS, Settings
from tests import sbom

ROOT = sbom.ROOT
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))
INSTALLING = ("Makefile", "Dockerfile", ".ci/run")
SECURITY = (ROOT / "SECURITY.md").read_text()


# --- what is installed


def commands(name: str) -> list[str]:
    """The lines of a file that install packages, each as one line, without those of the benchmark's
    peers: they are measured, and never part of anything.
    """
    text = re.sub(r"\\\n\s*", "", (ROOT / name).read_text())
    text = re.sub(r"^\.venv-bench-%/stamp:.*\n(?:\t.*\n)*", "", text, flags=re.MULTILINE)
    lines = [line for line in text.splitlines() if not re.match(r"\s*#|PIP = ", line)]
    return [line for line in lines if re.search(r"\bpip install\b|\$\(PIP\)", line)]


@pytest.mark.parametrize("name", INSTALLING)
def test_packages_are_installed_by_their_hashes_only(name: str) -> None:
    """Every command that installs checks hashes, or installs this project without its needs; pip
    looks for nothing that a lock does not name.
    """
    for line in commands(name):
        assert "--require-hashes" in line or line.endswith("--no-deps -e ."), line
        assert "--no-deps" in line or "uv pip" in line, line


def test_the_commands_that_install_are_found() -> None:
    """The environments for serving, for work and for tools, the bundle and the image are judged."""
    assert len(commands("Makefile")) == 10
    assert len(commands("Dockerfile")) == 1
    # The bundle's packages and the image's: by their hashes, with nothing that was not locked.
    tool = (ROOT / "service/bundling/packages.py").read_text()
    assert " bundle $(FUNCTION) --requirements requirements.lock" in (ROOT / "Makefile").read_text()
    assert "-m bundling.packages" in (ROOT / "Dockerfile").read_text()
    assert all(
        f'"--{flag}"' in tool for flag in ("require-hashes", "no-deps", "no-build-isolation")
    )
    # CI installs nothing by itself: it runs `make`.
    assert commands(".ci/run") == []
    assert "make test" in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_each_package_once_with_hashes_and_no_host(name: str) -> None:
    """Each package has one version and SHA-256 hashes; where it is fetched from is not said."""
    text = (ROOT / name).read_text()
    locked = sbom.packages(text)
    assert locked
    assert len({package.name for package in locked}) == len(locked)
    assert all(package.hashes for package in locked)
    assert not re.search(r"://|^-|@ ", text, re.MULTILINE)


# --- the bill of materials


def test_the_bill_is_what_is_locked() -> None:
    """The committed bill of materials is what `make sbom` makes of the lock file."""
    assert sbom.BILL.read_text() == sbom.text(sbom.LOCK.read_text())


def test_the_bill_is_cyclonedx() -> None:
    """The bill satisfies the strict schema of CycloneDX 1.6."""
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(sbom.BILL.read_text()) is None
    assert validator.validate_str(sbom.BILL.read_text().replace('"SHA-256"', '"sha256"'))


def test_the_bill_lists_all_and_what_needs_what() -> None:
    """Each locked package is listed with all its hashes, a licence, and a way from the project."""
    bill = sbom.bill(sbom.LOCK.read_text())
    listed = {each["name"]: each for each in bill["components"]}
    for package in sbom.packages(sbom.LOCK.read_text()):
        found = listed.pop(package.name)
        assert found["version"] == package.version
        assert [each["content"] for each in found["hashes"]] == [*package.hashes]
        assert found["licenses"]
    assert not listed
    needs = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    reached, left = set[str](), [bill["metadata"]["component"]["bom-ref"]]
    while left:
        reached.add(ref := left.pop())
        left += [each for each in needs[ref] if each not in reached]
    assert reached == needs.keys()


def test_what_aiohttp_carries_was_read_from_the_aiohttp_that_is_locked() -> None:
    """llhttp's version stands for this aiohttp, and was read from a file that the lock names."""
    name, version = sbom.VENDORED["package"]
    (aiohttp,) = (each for each in sbom.packages(sbom.LOCK.read_text()) if each.name == name)
    assert aiohttp.version == version
    assert sbom.VENDORED["source"] in aiohttp.hashes


# --- the audit


@pytest.mark.parametrize(
    ("says", "code", "ends", "told"),
    [
        ("No known vulnerabilities found", 0, 0, "No known vulnerabilities found"),
        ("Found 1 known vulnerability in 1 package", 1, 2, "Found 1 known vulnerability"),
        ("ConnectionError: no route", 1, 2, "NOT AUDITED: the database of known vulnerabilities"),
    ],
    ids=["sound", "vulnerable", "unreachable"],
)
def test_the_audit_says_what_it_knows(
    tmp_path: Path, says: str, code: int, ends: int, told: str
) -> None:
    """`make audit` tells a sound set, a vulnerable one, and that nothing is known."""
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n")
    tool.chmod(0o755)
    done = subprocess.run(
        ["make", "-s", "-o", "build/audit/bin/pip-audit", "audit", f"AUDIT={tool}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == ends
    assert told in done.stdout
    assert ("NOT AUDITED" in done.stdout) == ("NOT AUDITED" in told)


# --- SECURITY.md


def named_tests() -> list[str]:
    """The tests that SECURITY.md names, as `file::name`."""
    return re.findall(r"`(tests/[\w/]+\.py::[\w:]+)`", SECURITY)


@cache
def defined_in(file: Path) -> set[str]:
    """The names of a file's tests, those in classes with their class."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        before = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for each in inside:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(before + each.name)
    return found


def test_each_test_that_proves_a_promise_exists() -> None:
    """Every test that SECURITY.md names is there."""
    named = [name.partition("::") for name in named_tests()]
    assert [test for file, _, test in named if test not in defined_in(ROOT / file)] == []


def test_each_promise_has_its_proof() -> None:
    """S1 to S19 are promised, in this order, each with a test."""
    rows = re.findall(r"^\| (S\d+) \|.*\|$", SECURITY, re.MULTILINE)
    assert rows == [f"S{number}" for number in range(1, 20)]
    for row in re.findall(r"^\| S\d+ \|.*$", SECURITY, re.MULTILINE):
        assert "tests/" in row, row


def test_the_limits_are_those_of_the_code() -> None:
    """The numbers of the table of limits are the defaults."""
    defaults = Settings()
    numbers = {
        "request line": f"{heads.MAX_LINE:,} bytes",
        "one header field": size_text(heads.MAX_FIELD),
        "header fields": f"{heads.MAX_FIELDS}",
        "time for the head": f"{defaults.header_timeout:g} s",
        "body that stands still": f"{defaults.body_timeout:g} s",
        "one body": size_text(defaults.max_body),
        "bodies together": ROWS["body_budget"].default_text,
        "calls at once": f"{defaults.concurrency}",
        "calls that wait": f"{defaults.queue}",
        "kept lines of one call": size_text(defaults.log_buffer_call),
        "kept lines of all calls": size_text(defaults.log_buffer_total),
        "series of a metric": f"{MOST_SERIES}",
        "a label's value": f"{LONGEST_VALUE} characters",
        "metrics of the function": f"{size_text(OF_USER)} a worker",
        "error types that are told": f"{MOST_ERROR_TYPES}",
        "calls that are counted together": f"{TOGETHER}",
    }
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|.*::", SECURITY, re.MULTILINE))
    for name, number in numbers.items():
        assert re.fullmatch(rf"{re.escape(number)}( \(`\w+`\))?", rows[name]), name
