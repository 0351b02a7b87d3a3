"""Patterns that few calls need: none of them is compiled at the start."""

from __future__ import annotations

import re
from functools import cached_property
from typing import AnyStr, Generic


class LatePattern(Generic[AnyStr]):
    """A regular expression that is compiled when it is first used, and kept.

    What `re` itself keeps of a pattern's text is dropped when a function has some hundreds of its
    own; to compile one with surrogates takes a millisecond.
    """

    def __init__(self, text: AnyStr, flags: int = 0) -> None:
        self._text: AnyStr = text
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[AnyStr]:
        """The pattern."""
        return re.compile(self._text, self._flags)
