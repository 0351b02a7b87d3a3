"""The blocks of code of all pages, each by its place, and which test runs which.

A place is a page and the heading under which the block stands, `docs/once.md#stores`; further
blocks under one heading are counted, `docs/once.md#metrics:2`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from tests.site.pages import ROOT, pages
from tests.site.test_pages import slug

Test = TypeVar("Test", bound=Callable[..., Any])

_FENCE = re.compile(r" *(```+|~~~+)(.*)")


@dataclass(frozen=True)
class Block:
    """A block: its place, its language as the page names it, and its text without indent."""

    place: str
    kind: str
    code: str

    @property
    def page(self) -> str:
        """The page on which it stands."""
        return self.place.partition("#")[0]

    @property
    def commands(self) -> list[str]:
        """What is typed at the prompts of a terminal."""
        return [line[2:] for line in self.code.splitlines() if line.startswith("$ ")]

    def output(self, command: str) -> str:
        """Return what stands below a command, up to the next one."""
        lines = self.code.splitlines()
        below = lines[lines.index(f"$ {command}") + 1 :]
        ends = [n for n, line in enumerate(below) if line.startswith("$ ")]
        return "".join(f"{line}\n" for line in below[: ends[0] if ends else None])


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    heading, seen, lines = "", dict[str, int](), iter(text.splitlines())
    for line in lines:
        if title := re.match(r"#+ (.*)", line):
            heading = slug(title[1])
        elif fence := _FENCE.match(line):
            place = f"{page}#{heading}"
            seen[place] = seen.get(place, 0) + 1
            code = textwrap.dedent("".join(f"{each}\n" for each in _until(lines, fence[1])))
            number = f":{seen[place]}" if seen[place] > 1 else ""
            yield Block(place + number, fence[2], code)


def _until(lines: Iterator[str], fence: str) -> Iterator[str]:
    """Yield the lines before the closing fence. Raises ValueError if there is none."""
    for line in lines:
        if line.strip() == fence:
            return
        yield line
    raise ValueError("a block has no end")


_PAGES = {*pages(), ROOT / "AGENTS.md"}
ALL = {
    block.place: block
    for name in sorted(str(path.relative_to(ROOT)) for path in _PAGES)
    for block in blocks_of(name, (ROOT / name).read_text(encoding="utf-8"))
}

RUN: dict[str, list[str]] = {}
"""By which tests a block is run."""


def runs(*places: str) -> Callable[[Test], Test]:
    """Give a test these blocks at once, as its argument `shown`."""
    return _given("shown", [[ALL[place] for place in places]], [places[0]], places)


def runs_each(*places: str) -> Callable[[Test], Test]:
    """Run a test once for each of these blocks, which is its argument `block`."""
    return _given("block", [ALL[place] for place in places], places, places)


def _given(
    name: str, values: list[Any], ids: Any, places: tuple[str, ...]
) -> Callable[[Test], Test]:
    def claimed(test: Test) -> Test:
        for place in places:
            RUN.setdefault(place, []).append(test.__qualname__)
        marked: Test = pytest.mark.parametrize(name, values, ids=ids)(test)
        return marked

    return claimed
