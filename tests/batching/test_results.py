"""What each call of a batch gets."""

from __future__ import annotations

from typing import Any

import pytest

from service.batching.results import failed_outcomes, outcomes_of
from service.errors import BatchFailed


class Array:
    """Looks as an array of numpy's does."""

    def tolist(self) -> list[int]:
        """Return a list."""
        return [1, 2]


def test_a_place_that_has_an_exception_fails_its_call() -> None:
    """All other places are results, whatever they are."""
    wrong = KeyError("no")
    outcomes = outcomes_of([1, wrong, None], 3, "index.predict")
    assert [each.result for each in outcomes] == [1, None, None]
    assert [each.failure for each in outcomes] == [None, wrong, None]


def test_an_array_is_told_how_it_becomes_a_list() -> None:
    """A model's predictions are most often one."""
    with pytest.raises(
        BatchFailed, match=r"returned Array, not a list, .*: return its .tolist\(\)"
    ):
        outcomes_of(Array(), 2, "index.predict")


def raised(failure: BaseException) -> BaseException:
    """The failure with a traceback and a cause."""
    try:
        raise failure from KeyError("cause")
    except BaseException as found:
        return found


def test_each_call_gets_a_failure_of_its_own() -> None:
    """It is equal in all that is told of it, and its frames are its own."""
    failure = raised(ValueError("no model"))
    failure.add_note("try again")
    first, second = (each.failure for each in failed_outcomes(failure, 2))
    assert first is failure
    assert second is not None
    assert second is not failure
    assert (type(second), second.args) == (ValueError, ("no model",))
    assert (second.__cause__, second.__notes__) == (failure.__cause__, ["try again"])
    assert second.__traceback__ is failure.__traceback__
    second.__traceback__ = None
    assert failure.__traceback__ is not None


class TakesTwo(Exception):
    """An exception that keeps other arguments than it takes."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"{name} {number}")


class Changed(Exception):
    """An exception that keeps other arguments than it takes, and takes those, too."""

    def __init__(self, name: str) -> None:
        super().__init__(f"<{name}>")


@pytest.mark.parametrize("failure", [TakesTwo("a", 1), Changed("b")])
def test_what_cannot_be_copied_is_shared(failure: Any) -> None:
    """All calls fail all the same."""
    assert [each.failure for each in failed_outcomes(failure, 3)] == [failure] * 3
