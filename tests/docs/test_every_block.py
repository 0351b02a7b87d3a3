"""Each block of each page is run by a test, or it is said why it is not."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.docs.blocks import ALL, RUN
from tests.docs.tables import ELSEWHERE, NOT_RUN, TRANSLATED, WRITTEN_BY_A_COMMAND
from tests.site.pages import ROOT


def test_each_block_is_run_or_it_is_said_why_not() -> None:
    """A new block needs a test, which names its place in `runs`; or a reason in `NOT_RUN`."""
    for file in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.docs.{file.stem}")
    by_rule = {place for place in ALL if place.startswith((*WRITTEN_BY_A_COMMAND, TRANSLATED))}
    held = (*RUN, *ELSEWHERE, *NOT_RUN, *by_rule)
    assert [place for place in ALL if place not in held] == []
    assert [place for place in held if place not in ALL] == []
    assert [place for place in NOT_RUN if place in (*RUN, *ELSEWHERE)] == []


def test_each_block_is_of_a_language_that_is_known() -> None:
    """One that is misspelt, or whose first line stands beside its fence, is shown plain."""
    known = {"", "bash", "console", "json", "python", "shell", "text", "toml", "yaml"}
    assert [block.place for block in ALL.values() if block.kind not in known] == []


def test_what_is_run_elsewhere_is_read_there() -> None:
    """The file that is named reads the page."""
    for place, file in ELSEWHERE.items():
        name = Path(place.partition("#")[0]).name
        text = (ROOT / file).read_text(encoding="utf-8")
        assert name in text, place
