"""What the documents show: the README's code blocks as a reader runs them, commands, links."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from service import __version__
from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, ENDS_WITHIN

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCS = {str(path.relative_to(ROOT)): path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))}
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
HANDLERS = [text for kind, text in BLOCKS if kind == "python"]
CONSOLE = {
    lines[0].removeprefix("$ "): lines[1:]
    for kind, text in BLOCKS
    if kind == "console"
    for lines in [text.splitlines()]
}
MADE_UP = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}|:\d{4,5}/?\b")


def same(shown: list[str], seen: list[str]) -> bool:
    """True when both say the same but for request ids and ports."""
    return [MADE_UP.sub("", line) for line in shown] == [MADE_UP.sub("", line) for line in seen]


def test_the_handler_and_the_curl_of_the_first_lines_work_as_shown(serve: Serve) -> None:
    """The first handler, served, prints the banner that is shown and answers the curl as shown."""
    server = serve(HANDLERS[0])
    port = server.port
    banner = CONSOLE["make run"]
    server.wait_for("^  stop ")
    assert same(banner, server.lines[1 : 1 + len(banner)])
    command = next(line for line in CONSOLE if line.startswith("curl"))
    arguments = shlex.split(command.replace(":9000", f":{port}"))
    done = subprocess.run(
        [*arguments, "-s"], capture_output=True, text=True, timeout=ANSWERS_WITHIN
    )
    assert same(CONSOLE[command], done.stdout.splitlines())


def test_the_invoke_command_prints_what_is_shown(tmp_path: Path) -> None:
    """`python -m service invoke` with the README's handler prints the README's result."""
    (tmp_path / "index.py").write_text(HANDLERS[0])
    command = next(line for line in CONSOLE if "invoke --event" in line)
    arguments = shlex.split(command)[1:]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
    )
    assert done.returncode == 0
    assert same(CONSOLE[command], done.stdout.splitlines())


def test_the_typed_handler_takes_a_sample_event(tmp_path: Path) -> None:
    """The handler with an annotation returns the object's key of the sample OSS event."""
    (tmp_path / "index.py").write_text(HANDLERS[1])
    done = subprocess.run(
        [sys.executable, "-m", "service", "invoke", "--event", "@oss.put"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('["')


@pytest.mark.parametrize("name", DOCS)
def test_each_make_command_that_a_document_names_exists(name: str) -> None:
    """Every `make` command of the documents is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", DOCS[name].read_text())) <= targets


@pytest.mark.parametrize("name", DOCS)
def test_each_link_of_a_document_leads_to_a_file(name: str) -> None:
    """Every relative link leads to a file of the repository."""
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", DOCS[name].read_text())
    assert [link for link in links if not (DOCS[name].parent / link).is_file()] == []


def test_the_readme_is_short() -> None:
    """The README stays under 150 lines."""
    assert len(README.splitlines()) < 150


def test_the_changelogs_newest_version_is_the_codes() -> None:
    """The newest version of the changelog is the one that the package and its metadata name."""
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
