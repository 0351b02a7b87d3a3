"""Session affinity as the file says it."""

from __future__ import annotations

from typing import Any

import pytest

from service.emulator.spec.sessions import (
    SessionAffinity,
    affinity,
    affinity_doubts,
    affinity_faults,
)


def props(kind: str = "HEADER_FIELD", config: Any = None, **more: Any) -> dict[str, Any]:
    header = {"affinityHeaderFieldName": "x-session"} if kind == "HEADER_FIELD" else {}
    said = header | (config or {}) if not isinstance(config, str) else config
    return {"sessionAffinity": kind, "sessionAffinityConfig": said, **more}


def found(*args: Any, **more: Any) -> list[str]:
    return [f"{place[-1]} {text}" for place, text in affinity_faults(props(*args, **more))]


def test_the_least_has_the_platforms_defaults() -> None:
    """20 sessions an instance, for six hours, half an hour without a call."""
    assert affinity(props()) == SessionAffinity("x-session", 20, 21_600.0, 1800.0, True)
    cookie = affinity(props("GENERATED_COOKIE"))
    assert cookie is not None
    assert (cookie.header, cookie.field) == ("", "cookie x-fc-cookie-session-id")


def test_everything_is_read() -> None:
    """Text of JSON is a configuration, too; an instance of its own is one session's."""
    config = '{"affinityHeaderFieldName":"abcde","sessionConcurrencyPerInstance":3,'
    config += (
        '"sessionTTLInSeconds":60,"sessionIdleTimeoutInSeconds":0,"disableSessionIdReuse":true}'
    )
    assert found(config=config) == []
    assert affinity(props(config=config)) == SessionAffinity("abcde", 3, 60.0, 0.0, False)
    alone = affinity(props(instanceIsolationMode="SESSION_EXCLUSIVE"))
    assert alone is not None
    assert alone.per_instance == 1


@pytest.mark.parametrize("kind", ["", "NONE", "MCP_SSE", "MCP_STREAMABLE"])
def test_what_is_not_played_is_none(kind: str) -> None:
    """Calls go to any instance then, and what is meant otherwise is warned of."""
    assert affinity(props(kind)) is None
    assert found(kind) == []
    told = [text for _, text in affinity_doubts(props(kind))]
    assert len(told) == kind.startswith("MCP")
    assert all("a session's calls go to any instance" in text for text in told)


FAULTS: dict[str, tuple[Any, str]] = {
    "no-json": ("x-session", "sessionAffinityConfig is text that is no JSON object"),
    "no-object": ("[]", "sessionAffinityConfig is text that is no JSON object"),
    "no-name": ({"affinityHeaderFieldName": None}, "affinityHeaderFieldName is missing: HEADER_"),
    "a-short-name": ({"affinityHeaderFieldName": "abcd"}, "'abcd' is not 5-40 letters, digits"),
    "the-platforms": ({"affinityHeaderFieldName": "x-fc-session"}, "'x-fc-session' is not 5-40"),
    "a-number": ({"affinityHeaderFieldName": 12345}, "12345 is not 5-40 letters"),
    "none": ({"sessionConcurrencyPerInstance": 0}, "0 is not a whole number from 1 to 200"),
    "many": ({"sessionConcurrencyPerInstance": 201}, "201 is not a whole number from 1 to 200"),
    "a-half": ({"sessionTTLInSeconds": 1.5}, "1.5 is not a whole number from 1 to 21600"),
    "a-switch": ({"sessionTTLInSeconds": True}, "True is not a whole number from 1 to 21600"),
    "below": ({"sessionIdleTimeoutInSeconds": -1}, "-1 is not a whole number from 0 to 21600"),
    "longer-than-it-lives": (
        {"sessionTTLInSeconds": 60, "sessionIdleTimeoutInSeconds": 61},
        "sessionIdleTimeoutInSeconds 61 is more than sessionTTLInSeconds, which is 60",
    ),
}


@pytest.mark.parametrize(("config", "told"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_is_told(config: Any, told: str) -> None:
    """With its place, and what is allowed."""
    (text,) = found(config=config)
    assert told in text


def test_another_concurrency_is_told() -> None:
    """Session affinity sets it, whatever the file says."""
    told = [text for _, text in affinity_doubts(props(instanceConcurrency=20))]
    assert told == [
        "20 is not played: session affinity sets it to 200, and it cannot be changed then"
    ]
    assert list(affinity_doubts(props(instanceConcurrency=200))) == []
    assert [text for _, text in affinity_doubts({"sessionAffinityConfig": {"a": 1}})] == [
        "is not played without sessionAffinity"
    ]
