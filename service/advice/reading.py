"""Reads a function's folder and tells what many calls at once would meet in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from .clients import client_findings
from .finding import WILL_BREAK, Finding
from .left_running import left_findings
from .process_wide import process_findings
from .project import Project
from .shared_state import shared_findings
from .sources import CodeFile, read_sources
from .temporary_files import temporary_findings
from .waiting import waiting_findings

_RULES = (
    client_findings,
    shared_findings,
    process_findings,
    temporary_findings,
    waiting_findings,
    left_findings,
)
_ACCEPTED = re.compile(r"#.*\bat-once:\s*ok\b")
"""A comment at a line's end: its author knows, and no finding is told of it."""


def findings(
    folder: Path, handlers: Sequence[str] = (), hooks: Sequence[str] = ()
) -> list[Finding]:
    """Return what is to be said of the Python files of a folder, by file and line; nothing of it is
    run or imported.

    `handlers` are names like `index.handler`, by default all functions whose names end so; `hooks`
    what runs once, by default `initialize` and the like: there, little is wrong. Installed packages
    and tests in the folder are left out.
    """
    files, broken = read_sources(folder)
    project = Project(files, handlers, hooks)
    found = [*broken, *_http_handlers(project)]
    for rule in _RULES:
        found += rule(project)
    lines = {file.name: file for file in files}
    first: dict[tuple[str, int, str], Finding] = {}
    for each in sorted(found):
        if not _is_accepted(lines.get(each.file), each.line):
            first.setdefault((each.file, each.line, each.rule), each)
    return list(first.values())


def _is_accepted(file: CodeFile | None, line: int) -> bool:
    if file is None or not 0 < line <= len(file.lines):
        return False
    return _ACCEPTED.search(file.lines[line - 1]) is not None


def _http_handlers(project: Project) -> Iterator[Finding]:
    """Yield the handlers that take an HTTP request, which an event function does not get."""
    for function in project.handlers:
        arguments = [each.arg for each in function.node.args.args]
        if arguments[:2] == ["environ", "start_response"]:
            yield Finding(
                function.home.file.name,
                function.node.lineno,
                "http",
                WILL_BREAK,
                "it is the handler of an HTTP trigger: the service serves events, and refuses it",
                "Keep it in its runtime, or run it behind a WSGI server in a custom runtime.",
            )
