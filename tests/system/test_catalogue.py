"""The catalogue of faults: each of its rows has a test, which names it in its docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROWS = {
    "A1": "SIGTERM while calls are in their handlers",
    "A2": "SIGTERM while bodies are half sent",
    "A3": "a request on a warm connection that races SIGTERM",
    "A4": "calls that outlast the drain",
    "A5": "signals twice, while idle, while importing, while initializing",
    "A6": "/pre-stop, with calls in flight; its hook raises, hangs or is absent",
    "A7": "/pre-freeze, with calls in flight; its hook fails",
    "A8": "an initializer that raises, hangs, exits, is asked for twice, or comes back too late",
    "A9": "a handler's file that cannot be served",
    "A10": "a port in use, a wrong option",
    "A11": "the port before the function is there",
    "B1": "warm connections that are written to during a freeze",
    "B2": "a freeze past a call's deadline",
    "B3": "a freeze in the middle of a body and of an answer",
    "B4": "clients that leave during a freeze",
    "B5": "rapid freezes under load",
    "B6": "timers that are due during a freeze",
    "B7": "connections of the service's own: it has none",
    "B8": "credentials after a freeze",
    "C": "requests that are not HTTP, not whole, or made to be read in two ways",
    "D1": "bodies at the edge of their limit",
    "D2": "a body that is announced too large",
    "D3": "a sender that writes all before it reads its refusal",
    "D4": "large bodies at once",
    "D5": "bodies in the smallest chunks",
    "D6": "an answer that is read slowly, or not at all",
    "D7": "a compressed body",
    "D8": "JSON that is deep, cut, or no JSON",
    "D9": "results that cannot become bytes",
    "E1": "a thousand heads that never end beside good calls",
    "E2": "heads and bodies that drip",
    "E3": "clients that vanish at any moment",
    "E4": "a disconnect cancels no call",
    "E5": "a client that closes its sending side",
    "E6": "an answer before the body is read",
    "E7": "a network with latency, slices, little bandwidth, cuts and resets",
    "E8": "an idle connection that stays silent",
    "F-1": "whatever a handler raises",
    "F-2": "an async handler that hangs",
    "F-3": "a handler that swallows its cancellation",
    "F-4": "a thread that hangs",
    "F-5": "a handler that blocks the loop",
    "F-6": "200 plain handlers at once",
    "F-7": "a default executor that is full",
    "F-8": "faults that end the process",
    "F-9": "tasks, threads and processes that a call leaves behind",
    "F-10": "what a call does to its process",
    "G1": "200 calls at once, each with its own id, credentials and lines",
    "G2": "the same in threads",
    "G3": "more calls than slots",
    "G4": "a slow, large or failing neighbour",
    "G5": "all of this in random order",
    "H1": "workers that are killed under load",
    "H2": "workers that crash at their start",
    "H3": "a parent that is killed",
    "H4": "a worker that stands still",
    "H5": "a signal to the whole group",
    "H6": "/initialize with several workers",
    "H7": "a fork without threads or a loop",
    "I": "descriptors, threads, memory, the log's pipe or disk, the user, read-only places",
    "J": "clocks that jump",
    "K1": "secrets in every place of a request and of the environment",
    "K2": "request ids that would break a line",
    "K3": "paths, fields, names and texts that would",
    "K4": "lines that are long, or many",
    "K5": "whatever shows an object",
    "K6": "a flood of requests that cannot be read",
    "L": "a long time, and each path of a failure many times",
}
"""What is provoked, by the id of its row."""

ID = r"[A-LS](?:-?\d+)?"
CLAIM = re.compile(rf"({ID}(?:, {ID})*)(?: over two workers)?: ")


def claims() -> Iterator[str]:
    """Yield each row that a test says it is for."""
    for path in sorted(Path(__file__).parent.parent.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                claim = CLAIM.match(ast.get_docstring(node) or "")
                yield from claim[1].split(", ") if claim else ()


def test_each_row_of_the_catalogue_has_its_test() -> None:
    """What the catalogue provokes, a test provokes."""
    claimed = set(claims())
    assert {row: what for row, what in ROWS.items() if row not in claimed} == {}


def test_the_page_on_faults_lists_the_catalogue() -> None:
    """docs/faults.md has each row with its words."""
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text()
    assert [row for row, what in ROWS.items() if f"| {row} | {what} |\n" not in page] == []
