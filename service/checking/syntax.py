"""The code's syntax and imports, against the Python that runs it."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from .checked import CheckedFunction
from .finding import CheckFinding
from .images import Interpreter

REMOVED = {
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), 12),
    **dict.fromkeys(
        ("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "mailcap", "msilib"), 13
    ),
    **dict.fromkeys(("nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau"), 13),
    **dict.fromkeys(("telnetlib", "uu", "xdrlib", "lib2to3"), 13),
}
"""Modules of Python that are gone, with the minor version that had none any more."""
NEW = {"tomllib": 11, "zoneinfo": 9, "graphlib": 9, "annotationlib": 14}
"""Modules of Python that are new, with the minor version that brought them."""


def syntax_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what of the code the function's Python cannot read or import."""
    python, files = function.python, function.code.python
    found = False
    for file in files if python.minor is not None else ():
        for line, text, wrong in _of_file(file, python):
            found = found or wrong
            where = f"{function.code.shown(file)}:{line}"
            say = function.fault if wrong else function.unknown
            yield say("syntax", (), text, where=where, remedy=_REMEDY if wrong else _ELSEWHERE)
    if files and python.minor is not None and not found:
        yield function.fits("syntax", (), f"{python} reads {_files(len(files))}", where="code")
    for file in files if python.minor is not None else ():
        yield from _imports(function, file, python.minor)


_REMEDY = "write it for that Python, or take a runtime with a newer one"
_ELSEWHERE = "check with the runtime's Python"


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"all {number} files"


def _of_file(file: Path, python: Interpreter) -> Iterator[tuple[int, str, bool]]:
    """Yield what is wrong in a file: its line, in words, and whether it is certain."""
    try:
        data = file.read_bytes()
        ast.parse(data)
    except OSError as reason:
        yield 1, f"cannot be read: {reason.strerror}", False
        return
    except (SyntaxError, ValueError, RecursionError, MemoryError) as reason:
        here = sys.version_info.minor
        certain = python.minor is not None and python.minor <= here
        told = f"syntax error: {getattr(reason, 'msg', reason)}"
        yield getattr(reason, "lineno", 1) or 1, f"{told} (read by Python 3.{here})", certain
        return
    yield from ((line, text, True) for line, text in newer_syntax(data, python))


def newer_syntax(data: bytes, python: Interpreter) -> Iterator[tuple[int, str]]:
    """Yield lines of sound source whose syntax is newer than a Python, each with what it is."""
    if python.minor is None or python.minor >= sys.version_info.minor:
        return
    try:
        ast.parse(data, feature_version=(3, max(python.minor, 7)))
    except SyntaxError as reason:
        yield reason.lineno or 1, f"{python} does not read this: {reason.msg}"
    if python.minor < 11:
        yield from ((line, f"{python} has no except*") for line in _except_stars(data))
    if python.minor < 12 <= sys.version_info.minor:
        for line in _newer_fstrings(data):
            yield line, f"{python} does not read this f-string: quotes, lines or \\ within its {{}}"


def _except_stars(data: bytes) -> Iterator[int]:
    """Yield lines with `except*`, of which some Pythons say nothing when they read for another."""
    yield from (node.lineno for node in ast.walk(ast.parse(data)) if isinstance(node, ast.TryStar))


def _newer_fstrings(data: bytes) -> Iterator[int]:
    """Yield the lines of f-strings that only Python 3.12 and newer ones read (PEP 701)."""
    begins, ends = (getattr(tokenize, f"FSTRING_{part}", -1) for part in ("START", "END"))
    quotes: list[str] = []
    for token in tokenize.tokenize(io.BytesIO(data).readline):
        quote = token.string.lstrip("rRfFbBuUtT")
        if token.type == begins:
            if quote in quotes:
                yield token.start[0]
            quotes.append(quote)
        elif token.type == ends and quotes:
            quotes.pop()
        elif quotes and token.type == tokenize.COMMENT:
            yield token.start[0]
        elif quotes and token.type == tokenize.STRING:
            opening = quote[:3] if quote[:3] in ('"""', "'''") else quote[:1]
            if "\\" in token.string or opening in quotes:
                yield token.start[0]


def _imports(function: CheckedFunction, file: Path, minor: int | None) -> Iterator[CheckFinding]:
    tree = function.code.tree(file)
    for node in tree.body if tree and minor is not None else ():
        for name in _imported_names(node):
            where = f"{function.code.shown(file)}:{node.lineno}"
            if function.code.module(name) is not None:
                continue
            if REMOVED.get(name, 99) <= (minor or 0):
                yield function.doubt(
                    "imports",
                    (),
                    f"{function.python} has no {name} any more",
                    where=where,
                    remedy="take a package in its place",
                )
            if NEW.get(name, 0) > (minor or 0):
                yield function.doubt(
                    "imports", (), f"{function.python} has no {name} yet", where=where
                )


def _imported_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (each.name.partition(".")[0] for each in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
        yield node.module.partition(".")[0]
