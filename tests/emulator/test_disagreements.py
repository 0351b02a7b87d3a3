"""What is said where a function's `s.yaml` and the service's settings disagree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.emulator.disagreements import disagreements
from service.emulator.spec.model import DeployedFunction
from service.emulator.spec.read import read
from service.emulator.spec.sessions import SessionAffinity

ROOT = Path(__file__).parents[2]
OURS = ("python3", "-m", "service")


def said(folder: Path, **changes: Any) -> list[str]:
    """What is said of a function that agrees with the service's defaults, but for these changes."""
    given: dict[str, Any] = {
        "name": "fn",
        "region": "cn-hangzhou",
        "runtime": "custom.debian12",
        "code": folder,
        "command": OURS,
        "concurrency": 100,
    }
    return list(disagreements(DeployedFunction(**(given | changes))))


def test_our_own_file_agrees() -> None:
    """What this repository deploys is played without a word."""
    (function,) = read(ROOT / "s.yaml", code=ROOT, environ={}).functions.values()
    assert list(disagreements(function)) == []


def test_the_defaults_agree(tmp_path: Path) -> None:
    """A function with the service's own concurrency and no hooks needs no setting."""
    assert said(tmp_path) == []


DISAGREEMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "fewer in the service": (
        {"environment": {"SERVICE_CONCURRENCY": "10"}},
        "instanceConcurrency is 100, SERVICE_CONCURRENCY is 10: further calls wait in the instance,"
        " and are refused (429) when its queue is full",
    ),
    "a session's header": (
        {
            "concurrency": 200,
            "environment": {"SERVICE_CONCURRENCY": "200"},
            "sessions": SessionAffinity("x-session"),
        },
        "sessions come in the header field x-session, the service's session_header is none"
        " (default): context.session_id does not have them",
    ),
    "workers that share sessions": (
        {
            "concurrency": 200,
            "environment": {
                "SERVICE_CONCURRENCY": "200",
                "SERVICE_SESSION_HEADER": "X-Session",
                "SERVICE_WORKERS": "2",
            },
            "sessions": SessionAffinity("x-session"),
        },
        "sessions come in the header field x-session, SERVICE_WORKERS is 2: a session's calls go to"
        " any of them",
    ),
    "more in the service": (
        {"concurrency": 20, "environment": {"SERVICE_CONCURRENCY": "30"}},
        "instanceConcurrency is 20, SERVICE_CONCURRENCY is 30: an instance is sent fewer calls than"
        " it could take",
    ),
    "nothing said": (
        {"concurrency": 150},
        "instanceConcurrency is 150, the service's concurrency is 100 (default): further",
    ),
    "a flag": (
        {"command": (*OURS, "--concurrency", "7")},
        "instanceConcurrency is 100, the service's concurrency is 7 (flag --concurrency): further",
    ),
    "port": (
        {"environment": {"SERVICE_PORT": "8080"}},
        "the port is 9000, SERVICE_PORT is 8080: the service does not listen where",
    ),
    "initializer": (
        {"initializer_timeout": 60.0, "environment": {"SERVICE_INITIALIZE_TIMEOUT": "60"}},
        "initializer.timeout is 60, SERVICE_INITIALIZE_TIMEOUT is 60: the platform gives up before",
    ),
    "pre-stop": (
        {"pre_stop_timeout": 30.0},
        "preStop.timeout is 30, the service's drain_timeout is 60 (default): the platform may end",
    ),
    "memory": (
        {"environment": {"SERVICE_BODY_BUDGET": "300MiB"}},
        "memorySize is 512 MB, SERVICE_BODY_BUDGET is 300MiB: events that are held together",
    ),
    "a hook of another name": (
        {"initializer": "code/index.my_init"},
        "initializer.handler is code/index.my_init, SERVICE_INITIALIZER is not set: the service"
        " runs initialize or initializer of the handler's module, if it is there, and not",
    ),
    "a last hook of another name": (
        {"pre_stop": "index.goodbye"},
        "preStop.handler is index.goodbye, SERVICE_PRE_STOP is not set: the service runs pre_stop",
    ),
    "a script": (
        {"command": ("/code/bootstrap",), "environment": {"SERVICE_CONCURRENCY": "10"}},
        "instanceConcurrency is 100, SERVICE_CONCURRENCY is 10: further",
    ),
}


@pytest.mark.parametrize(("changes", "told"), DISAGREEMENTS.values(), ids=DISAGREEMENTS)
def test_both_values_and_what_happens_are_said(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    """One sentence each, with the function's name."""
    (sentence,) = said(tmp_path, **changes)
    assert sentence.startswith(f"fn: {told}")


def test_the_files_of_the_code_count(tmp_path: Path) -> None:
    """What `config/service.toml` of the function's code says, the instance does."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "service.toml").write_text("concurrency = 50\n")
    assert said(tmp_path, concurrency=50) == []
    assert "concurrency is 50 (config/service.toml)" in said(tmp_path)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"initializer": "initialize", "pre_stop": "index.pre_stop"},
        {"initializer": "index.my_init", "environment": {"SERVICE_INITIALIZER": "index.my_init"}},
        {"initializer": "index.my_init", "environment": {"SERVICE_INITIALIZER": "none"}},
        {"initializer": "start", "command": ("node", "server.js")},
    ],
    ids=["found by name", "set", "turned off", "another server"],
)
def test_a_hook_that_is_run_needs_no_word(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Nor does one of another server."""
    assert said(tmp_path, **changes) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"command": ("node", "server.js"), "concurrency": 5},
        {"environment": {"SERVICE_CONCURRENCY": "many"}},
        {"command": (*OURS, "--concurrency")},
    ],
    ids=["another server", "a wrong setting", "a wrong flag"],
)
def test_of_what_is_not_known_nothing_is_said(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Another server has no such settings, and a wrong one ends the service with its own words."""
    assert said(tmp_path, **changes) == []
