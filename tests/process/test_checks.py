"""What is safe to start on, and what is told of the rest."""

from __future__ import annotations

import asyncio
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service.errors import StartError
from service.http.connection import Backend, Connection
from service.http.receiver import Limits
from service.process.checks import OLDEST, check_leftovers, check_limits, check_version

INSTANCE = {"FC_INSTANCE_ID": "c-1"}


def connect() -> web.RequestHandler:
    """A connection that nobody uses."""

    async def nobody(_request: Any) -> Any: ...

    backend: Any = Backend(Limits(1, 1, 1), None, nobody, lambda then: then())  # type: ignore[arg-type] # nothing lives
    return Connection(web.Server(nobody), backend, asyncio.get_running_loop())


@pytest.mark.parametrize("version", ["3.14.3", "3.14.10", "3.15.0a1", "4.0"])
def test_an_aiohttp_of_the_floor_or_newer_is_served_with(version: str) -> None:
    """The oldest allowed aiohttp and every newer one pass."""
    check_version(version)


@pytest.mark.parametrize("version", ["3.14.2", "3.14.3rc1", "3.9.10", "2.99"])
def test_an_older_aiohttp_is_refused(version: str) -> None:
    """An older aiohttp is refused by its version, with what to install."""
    with pytest.raises(StartError, match=f"{re.escape(version)}.*3.14.3.*requirements.lock"):
        check_version(version)


def test_the_floor_is_the_projects() -> None:
    """What is refused at the start is what the package does not allow to be installed."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (needed,) = (each for each in project["dependencies"] if each.startswith("aiohttp"))
    assert needed.startswith(f"aiohttp>={'.'.join(map(str, OLDEST))},")


async def test_our_limits_are_kept() -> None:
    """With the aiohttp that is installed, every limit is."""
    check_limits(connect)


@pytest.mark.parametrize(
    ("keyword", "name"),
    [
        ("max_line_size", "the request line"),
        ("max_field_size", "a field"),
        ("max_headers", "the number of fields"),
    ],
)
@pytest.mark.parametrize("value", [100, 1 << 20], ids=["narrower", "wider"])
async def test_a_limit_that_is_another_one_is_named(
    monkeypatch: pytest.MonkeyPatch, keyword: str, name: str, value: int
) -> None:
    """An aiohttp that keeps another limit than the one it was given is refused."""
    given = RequestHandler.__init__

    def changed(*arguments: Any, **limits: Any) -> None:
        given(*arguments, **{**limits, keyword: value})

    monkeypatch.setattr(RequestHandler, "__init__", changed)
    with pytest.raises(StartError, match=f"does not keep the limit of {name}"):
        check_limits(connect)


async def test_a_limit_that_has_another_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """F9: an aiohttp that does not know one of our keywords is refused, with its name."""

    def changed(self: Any, manager: Any, *, loop: Any, max_size: int = 0) -> None: ...

    monkeypatch.setattr(RequestHandler, "__init__", changed)
    with pytest.raises(StartError, match=r"does not take our limits \(.*unexpected keyword"):
        check_limits(connect)


def test_a_desk_may_debug() -> None:
    """Where there is no instance of the platform, nothing is left over."""
    check_leftovers({"PYTHONASYNCIODEBUG": "1"}, "--reload")


def test_an_instance_without_leftovers_starts() -> None:
    """An instance whose Python is told nothing starts."""
    check_leftovers(INSTANCE)


def test_all_leftovers_are_named_at_once() -> None:
    """What has to be removed is told in one line."""
    with pytest.raises(StartError, match=r"^--reload, PYTHONASYNCIODEBUG is set on an instance"):
        check_leftovers({**INSTANCE, "PYTHONASYNCIODEBUG": "1"}, "--reload")
