"""What is said of a setting that is wrong: its source, its name, and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import UsageError
from .kinds import plain
from .rows import PREFIX

SECRET = "(?i)secret|token|passw|pwd|key|credential"
LOGIN = r"://\S*@"
"""In an address that brings a user's name and password along."""


def refused(source: str, name: str, value: str, allowed: str) -> UsageError:
    """Return the refusal of a value that is not allowed."""
    return UsageError(f"{source}: {name} = {value} is not allowed; allowed: {allowed}")


def unknown(source: str, name: str, value: object, known: Iterable[str]) -> UsageError:
    """Return the refusal of a name that is no setting. Its value is not shown: it may be secret."""
    secret = re.search(SECRET, name) or re.search(LOGIN, str(value))
    said = "***" if secret else shown(value)
    hint = question(name, known) or "; `python -m service --help` lists them all"
    # Without its quotes, and yet with nothing in it that could begin a second line.
    return UsageError(f"{source}: {shown(name)[1:-1]} = {said}: there is no such setting{hint}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that `name` is a slip of the fingers away from, or ""."""
    name = name.casefold()
    slips = {each: _slips(name, each.casefold()) for each in known}
    near = min(slips, key=lambda each: slips[each])
    return near if slips[near] <= (1 if len(near.removeprefix(PREFIX)) < 6 else 2) else ""


def _slips(mine: str, yours: str) -> int:
    """Count the letters that are left out, added, changed or exchanged with the next one."""
    before: list[int] = []
    row = list(range(len(yours) + 1))
    for i, letter in enumerate(mine, 1):
        earlier, before, row = before, row, [i]
        for j, other in enumerate(yours, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 < j and (letter, mine[i - 2]) == (yours[j - 2], other):
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]


def question(word: str, known: Iterable[str]) -> str:
    """Did you mean the known word that is nearest? Empty when none is near."""
    import difflib  # after a mistake only

    folded = {each.removeprefix(PREFIX).casefold(): each for each in known}
    near = difflib.get_close_matches(word.removeprefix(PREFIX).casefold(), folded, n=1)
    return f"; did you mean {folded[near[0]]}?" if near else ""


def shown(value: object) -> str:
    """Return a value for a message of one line. What is inside of a table or a list stays there."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else plain(value)
    return text if len(text) <= 80 else text[:77] + "..."


def displayed(path: Path, cwd: Path) -> str:
    """Return the path as a person at `cwd` would type it."""
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)
