"""Events by the strategies for Hypothesis."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import events
from service.calls.decode import decoder
from service.events.sample import names, sample, type_of
from service.testing.strategies import event_bodies


def has_fields(name: str) -> bool:
    """Whether a sample is a JSON object or list, of an event with a type."""
    try:
        return bool(type_of(name)) and isinstance(json.loads(sample(name)), dict | list)
    except ValueError:
        return False


TYPED = [name for name in names() if has_fields(name)]


@settings(max_examples=30)
@given(st.data(), st.sampled_from(TYPED))
def test_each_event_is_one_of_its_type(data: st.DataObject, name: str) -> None:
    """Whatever is drawn, the handler that has that annotation gets it."""
    body = data.draw(event_bodies(name))
    assert decoder(getattr(events, type_of(name)))(body) is not None


def test_a_sample_without_fields_has_no_strategy() -> None:
    """It is told which it is."""
    with pytest.raises(ValueError, match="the sample scalar is no JSON object"):
        event_bodies("scalar")
