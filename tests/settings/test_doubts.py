"""What the settings say that is not likely to be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import UsageError
from service.settings.doubts import session_doubts
from service.settings.load import Loaded, load_settings


def loaded(**variables: str) -> Loaded:
    environ = {f"SERVICE_{name.upper()}": value for name, value in variables.items()}
    return load_settings({}, environ, Path("/nowhere"))


def test_sessions_want_all_calls_of_the_platform() -> None:
    """Session affinity sends 200 calls at once: a smaller concurrency is told, with the remedy."""
    (told,) = session_doubts(loaded(session_header="x-session", concurrency="50").settings)
    assert "concurrency is 50" in told
    assert told.endswith("set SERVICE_CONCURRENCY=200")


@pytest.mark.parametrize("workers", ["2", "auto"])
def test_sessions_want_one_process(workers: str) -> None:
    """A session's calls would go to any worker."""
    settings = loaded(session_header="x-session", concurrency="200", workers=workers).settings
    (told,) = session_doubts(settings)
    assert f"workers is {workers}: a session's calls come to one instance" in told


def test_without_sessions_nothing_is_told() -> None:
    """Nor is anything if all fits."""
    assert list(session_doubts(loaded(workers="2").settings)) == []
    assert list(session_doubts(loaded(session_header="none").settings)) == []
    fits = loaded(session_header="x-session", concurrency="200")
    assert list(session_doubts(fits.settings)) == []
    assert fits.platform.session_header == "x-session"


@pytest.mark.parametrize(
    "name", ["x-fc-session", "X-FC-Session", "four", "1session", "a b-c-d", "s" * 41]
)
def test_a_field_that_the_platform_does_not_take(name: str) -> None:
    """It ends the start, with what is allowed."""
    with pytest.raises(UsageError, match="5-40 letters, digits, - and _, beginning with a letter"):
        loaded(session_header=name)
