"""The commands that pages show with what they print, typed in a folder as a reader's."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.bundling import archive
from service.checking.families import FunctionCheck
from service.checking.finding import CheckFinding
from service.checking.report import check_text
from service.commands.watch import text_table
from service.commands.watch_figures import WatchedRow
from service.emulator.spec.read import read
from tests.docs.blocks import Block, runs, runs_each
from tests.docs.screen import MADE_UP, NUMBERS, assert_shows, blurred
from tests.harness import run_service
from tests.site.pages import ROOT
from tests.site.test_pages import parsed

release: Any = importlib.import_module("bundling.release")

OURS = ("fc-event-service ", "python -m service ")
UNHURRIED = {"SERVICE_SLOW_AFTER": "1000", "SERVICE_STALL_AFTER": "0"}
"""Settings by which a busy machine adds no line."""

NOBODY = "http://127.0.0.1:1"
"""Where no server can listen."""


def typed(folder: Path, command: str, **environ: str) -> str:
    """Run a command of ours; return what a terminal shows of it: its log, then its result."""
    [arguments] = [command.removeprefix(ours) for ours in OURS if command.startswith(ours)]
    done = run_service(folder, *shlex.split(arguments), environ={**UNHURRIED, **environ})
    return (done.stderr + done.stdout).decode()


# --- `new`


@runs("docs/new.md#a-new-function", "README.md#begin")
def test_a_new_project_is_what_is_shown(shown: list[Block], tmp_path: Path) -> None:
    """As it is told, and with what the two lines of the README ask for."""
    page, begin = shown
    [command] = page.commands
    assert begin.commands[0] == f"{command} && cd my-function"
    assert_shows(page.output(command), typed(tmp_path, command))
    folder = tmp_path / "my-function"
    parsed("emulate", begin.commands[1].split()[2:])
    assert read(folder / "s.yaml", code=folder).warnings == ()


@runs_each(
    "docs/new.md#from-a-function-of-a-built-in-runtime",
    "examples/unzip/README.md#unzip-a-function-that-moved",
)
def test_what_is_found_in_an_old_project_is_what_is_shown(block: Block, tmp_path: Path) -> None:
    """Of the function that the page names; the page on the sample ends before what is next."""
    [command] = block.commands
    old = {"media": ROOT / "tests/cases/built_in/media", "before": ROOT / "examples/unzip/before"}
    name = command.split()[-1]
    shutil.copytree(old[name], tmp_path / name)
    assert_shows(f"{block.output(command)}...\n", typed(tmp_path, command))


# --- `invoke`


@runs("docs/events.md#a-handler-for-each", "docs/events.md#a-handler-for-each:2")
def test_each_type_has_its_handler(shown: list[Block], tmp_path: Path) -> None:
    """Two samples, and what is neither."""
    code, terminal = shown
    (tmp_path / "index.py").write_text(code.code)
    assert len(terminal.commands) == 3
    for command in terminal.commands:
        seen = typed(tmp_path, command).splitlines()
        result = [line for line in seen if not line.startswith("FC Invoke")]
        assert_shows(terminal.output(command), "\n".join(result))


@runs(
    "docs/observe.md#logs",
    "docs/observe.md#logs:2",
    "docs/observe.md#logs:3",
    "docs/observe.md#debug-lines-of-the-calls-that-need-them",
)
def test_the_lines_of_a_call_are_what_is_shown(shown: list[Block], tmp_path: Path) -> None:
    """As text, as JSON, and the DEBUG line of the one that fails."""
    code, text, as_json, debug = shown
    (tmp_path / "index.py").write_text(code.code)
    [command] = text.commands
    assert_shows(text.output(command), typed(tmp_path, command))
    seen = typed(tmp_path, "python -m service invoke --log-format json --event '\"bad\"'")
    lines = [json.loads(line) for line in seen.splitlines() if '"stack"' in line]
    assert plain(json.loads(as_json.code)) in map(plain, lines)
    [piped] = debug.commands
    whole = typed(tmp_path, piped.partition(" 2>&1")[0])
    seen = "".join(f"{line}\n" for line in whole.splitlines() if "DEBUG" in line)
    assert_shows(debug.output(piped), seen)


def plain(value: dict[str, Any]) -> str:
    """A line's fields, without what differs with each run."""
    return blurred(json.dumps(value), MADE_UP)


@runs("docs/observe.md#of-one-call", "docs/observe.md#of-one-call:2")
def test_a_profile_is_told(shown: list[Block], tmp_path: Path) -> None:
    """Behind the log."""
    pytest.importorskip("pyinstrument")
    command, told = shown
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return 1\n")
    seen = typed(tmp_path, *command.commands).splitlines()
    assert_shows(told.code, "\n".join(line for line in seen if "profile" in line))
    assert (tmp_path / "profile.svg").is_file()


RECORDS = '''
import logging

from fc_event_service import Drop, each

log = logging.getLogger(__name__)


async def keep(record, error, context):
    """It is somebody else's from here on."""


async def ship(record: dict, context):
    log.info("shipping")
    if record.get("is_test"):
        return Drop
    if record["amount"] < 0:
        raise ValueError("a negative amount")


kept = each(key="$.customer", retry=3, on_failure=keep)(ship)
failing = each(key="$.customer")(ship)
'''
FOUR = [
    {"customer": "anna", "amount": 5},
    {"customer": "ben", "amount": -1},
    {"customer": "anna", "is_test": True},
    {"amount": 7},
]


@runs(
    "docs/records.md#what-a-record-comes-to:2",
    "docs/records.md#what-a-record-comes-to:3",
    "docs/records.md#logs-and-metrics",
)
def test_what_becomes_of_records_is_what_is_shown(shown: list[Block], tmp_path: Path) -> None:
    """The counts with failures that are handed over; and the message and the lines without."""
    counts, message, lines = shown
    (tmp_path / "index.py").write_text(RECORDS)
    event = json.dumps(FOUR)
    command = f"python -m service invoke --event '{event}' --handler index."
    *_, result = typed(tmp_path, f"{command}kept").splitlines()
    assert json.loads(result) == json.loads(counts.code)
    failing = event.replace(', "is_test": true', "")
    *_, error = typed(tmp_path, f"{command}failing".replace(event, failing)).splitlines()
    assert message.code.strip() in error
    seen = typed(tmp_path, f"{command}failing")
    of_two = [line for line in seen.splitlines() if "index=0" in line or "index=1 " in line]
    blurs = {r"line \d+": "line N", r"in (handler|ship)\b": "in handler"}
    assert_shows(lines.code, "\n".join(of_two), blurs)


@runs(
    "examples/kafka-batch/README.md#a-kafka-batch-with-a-bad-record",
    "examples/kafka-batch/README.md#a-kafka-batch-with-a-bad-record:2",
)
def test_a_batch_without_a_shop_fails_as_shown(shown: list[Block]) -> None:
    """Nobody takes its records over."""
    commands, told = shown
    place, call = commands.code.splitlines()
    variable, _, command = call.partition(" ")
    name, _, address = variable.partition("=")
    *_, error = typed(ROOT / place.split()[1], command, **{name: NOBODY}).splitlines()
    assert_shows(
        told.code, error.replace("127.0.0.1:1", "127.0.0.1:8080").replace(", 1)", ", 8080)")
    )
    assert address.startswith("http://127.0.0.1:")


@runs(
    "examples/tablestore-feed/README.md#a-change-feed-of-tablestore",
    "examples/tablestore-feed/README.md#a-change-feed-of-tablestore:2",
)
def test_the_changes_of_the_sample_are_followed_as_shown(shown: list[Block]) -> None:
    """One line each, and the counts."""
    commands, told = shown
    place, command = commands.code.splitlines()
    seen = typed(ROOT / place.split()[1], command).splitlines()
    assert_shows(told.code, "\n".join(line for line in seen if not line.startswith("FC Invoke")))


# --- other commands


@runs_each(
    "docs/how-to.md#find-out-which-concurrency-to-set",
    "docs/how-to.md#know-before-a-deployment-what-would-not-work",
)
def test_a_command_without_output_can_be_typed(block: Block) -> None:
    """Its parser takes its flags; what it prints stands on a page of its own."""
    for command in block.commands:
        _, _, _, name, *flags = shlex.split(command)
        parsed(name, flags)
        assert block.output(command) == ""


@runs("docs/observe.md#a-table-in-the-terminal")
def test_the_table_of_a_running_service_looks_as_shown(shown: list[Block]) -> None:
    """With these figures of two workers and of both."""
    [command] = shown[0].commands
    rows = [
        WatchedRow("1", True, 93.5, 0.0169, 0.0971, 2, 0, 532, 45),
        WatchedRow("2", True, 93.0, 0.0166, 0.0965, 6, 0, 527, 0),
        WatchedRow("all", True, 186.4, 0.0167, 0.0968, 8, 0, 1059, 45),
    ]
    assert text_table(rows) == shown[0].output(command)
    parsed("watch", command.split()[4:])


@runs("docs/deployment.md#what-make-bundle-makes", "docs/new.md#what-is-deployed")
def test_what_a_zip_came_to_is_told_as_shown(shown: list[Block], tmp_path: Path) -> None:
    """Its sizes, how many files, and their digest; what is told before it is what takes time."""
    (file := tmp_path / "code.zip").write_bytes(b"zip")
    seen = archive.told_zip(tmp_path, file, "build/code.zip")
    for block in shown:
        begun, told = block.output(*block.commands).splitlines()
        assert_shows(told, seen, {r"sha256 \S+": "sha256"} | NUMBERS)
        assert re.fullmatch(r"bundle: installing requirements[.]\w+ for Python 3.11", begun)


@runs("docs/versions.md#how-a-version-is-made")
def test_a_release_is_told_as_shown(
    shown: list[Block],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the files that it has made."""
    [command] = shown[0].commands
    output = shown[0].output(command)
    files = [
        line.strip() for line in output.splitlines() if line.startswith("  ") and "/" not in line
    ]
    for name in files:
        (tmp_path / name).touch()
    monkeypatch.setattr(release, "DIST", tmp_path)
    monkeypatch.setattr(release, "PLACE", tmp_path / "none")
    monkeypatch.setattr(release, "check", lambda _version: None)
    monkeypatch.setattr(release, "make", lambda _version: None)
    monkeypatch.setenv("PROJECT_URL", "https://code.example/fc-event-service")
    assert release.main(command.partition("VERSION=")[2]) == 0
    assert capsys.readouterr().out == output
    assert len(files) == 4


HEAD = 48
"""Columns of level, rule and place."""


@runs("docs/check.md#will-it-start-there-check")
def test_the_table_of_a_check_looks_as_shown(shown: list[Block]) -> None:
    """With these findings, whose rules the page lists; tests/checking has what finds them."""
    [command] = shown[0].commands
    parsed("check", command.split()[4:])
    output = shown[0].output(command)
    head, *lines = output.splitlines()
    findings: list[list[str]] = []
    for line in lines[1 : lines.index("", 1)]:
        if line[:HEAD].strip():
            findings.append([*re.split("  +", line[:HEAD].strip()), line[HEAD:], ""])
        elif line[HEAD:].startswith("-> ") or findings[-1][-1]:
            findings[-1][-1] += f" {line[HEAD + 3 :]}"
        else:
            findings[-1][-2] += f" {line[HEAD:]}"
    found = tuple(
        CheckFinding(level, rule, text, "", where, *told.strip().split("; see "))
        for level, rule, where, text, told in findings
    )
    name, runtime, spec = re.split(" on |, ", head)
    assert check_text(spec, [FunctionCheck(name, runtime, found)]) == output
    page = (ROOT / "docs/check.md").read_text()
    listed = ", ".join(re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)).split(", ")
    assert [each.rule for each in found if each.rule not in listed] == []
