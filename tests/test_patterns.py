"""Patterns that are compiled when they are first used."""

from __future__ import annotations

import re

import pytest

from service.patterns import LatePattern


def test_a_pattern_is_compiled_once_and_not_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many patterns a function has: nothing is left to what `re` keeps of them."""
    compiled: list[str] = []

    def compile_it(text: str, flags: int) -> re.Pattern[str]:
        compiled.append(text)
        return original(text, flags)

    original = re.compile
    monkeypatch.setattr(re, "compile", compile_it)
    pattern = LatePattern("a+", re.IGNORECASE)
    assert compiled == []
    assert pattern.compiled.fullmatch("aA")
    re.purge()
    assert pattern.compiled.fullmatch("b") is None
    assert compiled == ["a+"]


def test_a_pattern_of_bytes_reads_bytes() -> None:
    """As `re` does."""
    assert LatePattern(b"a+").compiled.fullmatch(b"aa")
