"""Events by the strategies for Hypothesis."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import events
from service.calls.decode import decoder
from service.events.sample import names, type_of
from service.testing.strategies import event_bodies

NO_EVENTS = {
    *("ApiGatewayAnswer", "HttpAnswer"),  # what a handler returns
    *("CdnRecord", "DtsRecord", "OssRecord", "TablestoreRecord"),  # what is within an event
    "schema",
}
TYPES = {name: getattr(events, name) for name in sorted({*events.__all__} - NO_EVENTS)}
TYPED = [name for name in names() if type_of(name) and name != "mns.stream"]


class Order(msgspec.Struct):
    """A type of which there is no sample."""


@settings(max_examples=50)
@given(st.data(), st.sampled_from(TYPED))
def test_each_event_is_one_of_its_type(data: st.DataObject, name: str) -> None:
    """Whatever is drawn, the handler that has that annotation gets it."""
    body = data.draw(event_bodies(name))
    assert decoder(getattr(events, type_of(name)))(body) is not None


@pytest.mark.parametrize("kind", TYPES.values(), ids=list(TYPES))
def test_each_event_type_has_a_strategy(kind: Any) -> None:
    """Whatever it makes is decoded as that type."""

    @settings(max_examples=5)
    @given(event_bodies(kind))
    def try_one(body: bytes) -> None:
        assert isinstance(decoder(kind)(body), kind)

    try_one()


def test_an_annotation_with_data_is_a_type_as_well() -> None:
    """`CloudEvent[Any]` is made like any CloudEvent."""

    @settings(max_examples=5)
    @given(event_bodies(events.CloudEvent[Any]))
    def try_one(body: bytes) -> None:
        assert "oss" in decoder(events.CloudEvent[Any])(body).data

    try_one()


def test_a_sample_without_fields_has_no_strategy() -> None:
    """It is told which it is, as is a type that no sample is of."""
    with pytest.raises(ValueError, match="the sample scalar is no JSON object"):
        event_bodies("scalar")
    with pytest.raises(ValueError, match=r"there is no sample of .*Order.* or a type of a whole"):
        event_bodies(Order)
    with pytest.raises(ValueError, match=r"there is no sample of .*OssRecord"):
        event_bodies(events.OssRecord)
