"""What a batch's function has returned, as what each of its calls gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..calls.threads import ThreadOutcome
from ..errors import BatchFailed, own_copy

ADVICE = "return a list with one result for each event, in their order; an exception fails one call"


def outcomes_of(returned: Any, count: int, function: str) -> Sequence[ThreadOutcome]:
    """Return what each of `count` calls gets: its place in what the function has returned, where an
    exception is that call's failure.

    Raises BatchFailed if that is no list, or has another length.
    """
    if not isinstance(returned, list | tuple):
        kind = "nothing" if returned is None else f"{type(returned).__name__}, not a list,"
        advice = ADVICE
        if hasattr(returned, "tolist"):
            advice = f"return its .tolist(): {ADVICE.removeprefix('return ')}"
        raise BatchFailed(f"{function} has returned {kind} for {count} calls: {advice}")
    if len(returned) != count:
        raise BatchFailed(
            f"{function} has returned {len(returned)} results for {count} calls: {ADVICE}"
        )
    return [
        ThreadOutcome(None, each) if isinstance(each, BaseException) else ThreadOutcome(each, None)
        for each in returned
    ]


def failed_outcomes(failure: BaseException, count: int) -> Sequence[ThreadOutcome]:
    """Return the failure of a whole batch as that of each of its calls: an exception of its own."""
    others = (own_copy(failure) for _ in range(count - 1))
    return [ThreadOutcome(None, each) for each in (failure, *others)]
