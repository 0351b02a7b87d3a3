"""What the documents show: the README's code blocks as a reader runs them, commands, links."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import service.events
from service import __version__
from service.events.sample import names, type_of
from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, RUNS_WITHIN

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCS = {
    str(path.relative_to(ROOT)): path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
}
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
    """The first handler, served, prints what is shown, and answers the curl as shown."""
    server = serve(HANDLERS[0])
    port = server.port
    printed = CONSOLE["fc-event-service"]
    server.wait_for("^  stop ")
    assert same(printed, server.lines[: len(printed)])
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
        timeout=RUNS_WITHIN,
    )
    assert done.returncode == 0
    assert same(CONSOLE[command], done.stdout.splitlines())


def test_the_log_of_a_call_of_the_sample_is_what_is_shown(serve: Serve) -> None:
    """The sample, served and called with the curl of the first lines, writes the README's lines."""
    (shown,) = re.findall(r"```\n(FC Invoke Start.*?)```", README, re.DOTALL)
    server = serve((ROOT / "index.py").read_text())
    command = next(line for line in CONSOLE if line.startswith("curl"))
    arguments = shlex.split(command.replace(":9000", f":{server.port}"))
    subprocess.run([*arguments, "-s"], capture_output=True, check=True, timeout=ANSWERS_WITHIN)
    server.wait_for("^FC Invoke End")
    first = next(n for n, line in enumerate(server.lines) if line.startswith("FC Invoke Start"))
    time = re.compile(r"^\d{4}-\d\d-\d\dT\S+Z ")
    written, promised = (
        [time.sub("TIME ", line) for line in lines]
        for lines in (server.lines[first:], shown.splitlines())
    )
    assert same(promised, written)


def test_the_typed_handler_takes_a_sample_event(tmp_path: Path) -> None:
    """The handler with an annotation returns the object's key of the sample OSS event."""
    (tmp_path / "index.py").write_text(HANDLERS[1])
    done = subprocess.run(
        [sys.executable, "-m", "service", "invoke", "--event", "@oss.put"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN,
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


def test_the_table_of_event_types_has_each_type_and_each_sample() -> None:
    """Beside each sample stands the type that decodes it, and every type that is named exists."""
    page = DOCS["docs/events.md"].read_text().partition("\n## ")[0]
    listed: dict[str, str] = {}
    for types, samples in re.findall(r"^\| .* \| (`.*) \| (.*) ?\|$", page, re.MULTILINE):
        kinds = re.findall("`([A-Z]\\w+)`", types)
        assert set(kinds) <= set(service.events.__all__)
        listed |= dict.fromkeys(re.findall("`(.+?)`", samples), kinds[0])
    assert listed == {name: type_of(name) for name in names() if type_of(name)}


def test_what_is_copied_beside_a_function_is_enough_for_make(tmp_path: Path) -> None:
    """With the files that the page on moving lists, and an index.py, every command that it names
    has what it needs.
    """
    page = DOCS["docs/from-the-built-in-runtime.md"].read_text()
    rows = re.findall(r"^\| (`.*`) \| (.*`make .*) \|$", page, re.MULTILINE)
    for name in re.findall("`([^`]+)`", " ".join(copied for copied, _commands in rows)):
        copy = shutil.copytree if name.endswith("/") else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "index.py").write_text(HANDLERS[0])
    named = re.findall("`make ([^`]+)`", " ".join(commands for _copied, commands in rows))
    assert {"run", "emulate", "check", "bundle", "lock", "run ARGS=--reload"} == set(named)
    for command in named:
        done = subprocess.run(
            ["make", "-n", f"PYTHON={sys.executable}", *command.split()],
            cwd=tmp_path,
            env={**os.environ, "MAKEFLAGS": ""},
            capture_output=True,
            text=True,
            timeout=RUNS_WITHIN,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in DOCS if "/zh/" not in name])
def test_no_line_of_prose_is_over_120_characters(name: str) -> None:
    """Paragraphs are wrapped, but Chinese ones, in which an end of line is shown as a space; a
    table's rows and what a terminal shows are as long as they are.
    """
    prose = re.sub(r"^ *```.*?^ *```$", "", DOCS[name].read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in prose.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > 120] == []


def test_the_readme_is_short() -> None:
    """The README stays under 150 lines."""
    assert len(README.splitlines()) < 150


def test_the_readme_has_the_figures_of_the_page_on_reliability() -> None:
    """What is counted of the others is what the last run counted."""
    page = DOCS["docs/reliability.md"].read_text()
    for row in ("requests without a whole answer", "requests whose secrets showed up"):
        (shown,) = re.findall(rf"^\| {row} \| (.*) \|$", README, re.MULTILINE)
        (counted,) = re.findall(rf"^\| \*\*\w+\*\* \| {row}, in all \| (.*) \|$", page, re.M)
        assert shown == counted.replace("**", "")


def test_the_changelogs_newest_version_is_the_codes() -> None:
    """The newest version of the changelog is the one that the package and its metadata name."""
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_every_fault_that_is_cited_is_listed() -> None:
    """A module that cites F4 names docs/faults.md, which has a row for it; sections exist, too."""
    faults, platform = (DOCS[f"docs/{name}.md"].read_text() for name in ("faults", "platform"))
    for file in sorted((ROOT / "service").rglob("*.py")):
        text = file.read_text()
        cited = set(re.findall(r"\bF\d{1,2}\b", text))
        assert not cited or "docs/faults.md" in text, file
        assert [each for each in cited if f"| {each} |" not in faults] == []
        for page, whole in (("faults", faults), ("platform", platform)):
            found = re.findall(rf"docs/{page}\.md\s+sections? ([\d.]*\d)", text)
            assert [each for each in found if not re.search(rf"^##+ {each}\.? ", whole, re.M)] == []
