"""Hypothesis strategies for events: `hypothesis` is imported once one is asked for."""

from __future__ import annotations

import json
import re
from typing import Any

from ..events.sample import sample

FREE_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9_/.-]*")
"""A text of a sample in whose place any other may stand: no time, number, JSON or base64."""


def event_bodies(name: str) -> Any:
    """Return a strategy for events of a sample's form, as bytes: batches of one to five records,
    other names, numbers and flags.

    Raises LookupError for a sample that there is not, ValueError for one that is no JSON object or
    list.
    """
    from hypothesis import strategies as st

    try:
        value = json.loads(sample(name))
    except ValueError:
        value = None
    if not isinstance(value, dict | list):
        raise ValueError(f"the sample {name} is no JSON object or list: it has no fields to change")

    def like(part: Any) -> Any:
        if isinstance(part, dict):
            return st.fixed_dictionaries({key: like(each) for key, each in part.items()})
        if isinstance(part, list):
            return (
                st.lists(st.one_of(*map(like, part)), min_size=1, max_size=5)
                if part
                else st.just(part)
            )
        if isinstance(part, bool):
            return st.booleans()
        if isinstance(part, int):
            return st.integers(min(part, 0), max(part, 1))
        if isinstance(part, str) and FREE_TEXT.fullmatch(part) and len(part) < 40:
            return st.just(part) | st.text("abcxyz/é", min_size=1, max_size=20)
        return st.just(part)

    return like(value).map(lambda made: json.dumps(made, ensure_ascii=False).encode())
