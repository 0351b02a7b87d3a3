"""What is told of the function and of a call."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from service.context.call import Context
from service.context.fields import Platform
from service.events import (
    ApiGatewayEvent,
    HttpEvent,
    KafkaEvents,
    MnsTopicEvent,
    OssEvent,
    TimerEvent,
)
from service.traces.attributes import call_attributes, resource_of, trigger_of


@pytest.mark.parametrize(
    ("annotation", "trigger"),
    [
        (OssEvent, "datasource"),
        (KafkaEvents, "pubsub"),
        (MnsTopicEvent, "pubsub"),
        (TimerEvent, "timer"),
        (HttpEvent, "http"),
        (ApiGatewayEvent | None, "http"),
        (Annotated[TimerEvent, "mine"], "timer"),
        (bytes, "other"),
        ("NoSuchName", "other"),
    ],
)
def test_the_trigger_is_that_of_the_events_type(annotation: Any, trigger: str) -> None:
    """The platform does not tell it; a type of `service.events` does."""

    def handler(event, context):  # type: ignore[no-untyped-def] # it is annotated below
        return event

    assert trigger_of(handler) == "other"
    handler.__annotations__ = {"event": annotation}
    assert trigger_of(handler) == trigger


def test_a_call_without_the_platforms_fields_tells_its_id() -> None:
    """At the desk there is no function's name, and nothing is made up."""
    assert call_attributes(Context({}, "r1"), "other") == {
        "faas.invocation_id": "r1",
        "faas.trigger": "other",
    }


def test_the_resource_is_the_function_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the platform's variables say; OpenTelemetry's own variables win over it."""
    platform = Platform(
        "c-1", function_name="shop", version="3", memory=512, region="r", account_id="12"
    )
    found = resource_of(platform).attributes
    assert found["service.name"] == found["faas.name"] == "shop"
    assert found["cloud.resource_id"] == "acs:fc:r:12:functions/shop"
    assert (found["faas.max_memory"], found["faas.instance"]) == (512 * 1024**2, "c-1")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "orders")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "faas.name=other,team=a")
    found = resource_of(platform).attributes
    assert (found["service.name"], found["faas.name"], found["team"]) == ("orders", "other", "a")
    assert found["service.instance.id"] != resource_of(platform).attributes["service.instance.id"]
