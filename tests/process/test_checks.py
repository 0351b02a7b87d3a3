"""What is safe to start on, and what is told of the rest."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yarl
from aiohttp.http import HttpRequestParser
from aiohttp.streams import StreamReader

from service.errors import StartError
from service.process.checks import (
    OLDEST,
    _misfit,
    check_connection,
    check_leftovers,
    check_version,
)

INSTANCE = {"FC_INSTANCE_ID": "c-1"}


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


async def test_the_installed_dependencies_fit() -> None:
    """With what is installed, requests are served and every limit is kept."""
    await check_connection()


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

    def changed(*arguments: Any, **limits: Any) -> Any:
        return HttpRequestParser(*arguments, **{**limits, keyword: value})

    monkeypatch.setattr("service.http.parser.HttpRequestParser", changed)
    with pytest.raises(StartError, match=rf"^aiohttp .* does not keep the limit of {name}"):
        await check_connection()


def no_keywords(protocol: Any, loop: Any, limit: int, *, max_size: int = 0) -> Any:
    """A parser that knows none of our keywords."""


class NoFlowControl(StreamReader):
    """A body that its protocol has to be told apart from."""

    def feed_data(self, data: bytes, size: int = 0, *, protocol: Any) -> bool:  # type: ignore[override]
        """Ask for more than there is."""
        raise AssertionError


def another_request(*_arguments: Any) -> Any:
    """A request that is made of other things."""
    raise AttributeError("'Connection' object has no attribute 'upgrade_waiter'")


@pytest.mark.parametrize(
    ("place", "other", "why"),
    [
        ("service.http.parser.HttpRequestParser", no_keywords, "TypeError: .*unexpected keyword"),
        ("service.http.arrivals.StreamReader", NoFlowControl, "TypeError: .*protocol"),
        ("service.http.answer_writer.StreamWriter", no_keywords, "TypeError: .*limit"),
        ("aiohttp.web_app.Application._make_request", another_request, "AttributeError: .*waiter"),
    ],
)
async def test_a_dependency_with_another_face_is_named(
    monkeypatch: pytest.MonkeyPatch, place: str, other: Any, why: str
) -> None:
    """F9: what does not take what it is given, or asks for more, is refused by its name."""
    monkeypatch.setattr(place, other)
    with pytest.raises(StartError, match=rf"^aiohttp {re.escape(aiohttp.__version__)} .*{why}"):
        await check_connection()


async def test_a_dependency_that_answers_otherwise_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An aiohttp that hides a body is refused, and what it does not do is told."""

    def hides(self: StreamReader, n: int = -1) -> Any:
        raise ValueError("no body")

    monkeypatch.setattr(StreamReader, "read", hides)
    with pytest.raises(StartError, match="does not serve a request: install the version"):
        await check_connection()


def test_the_package_that_failed_is_the_one_named() -> None:
    """The innermost of the dependencies among the frames of a failure is it."""
    with pytest.raises(TypeError) as failure:
        yarl.URL(17)  # type: ignore[arg-type] # it fails within yarl
    assert _misfit(failure.value) == f"yarl {yarl.__version__}"


def test_a_desk_may_debug() -> None:
    """Where there is no instance of the platform, nothing is left over."""
    check_leftovers({"PYTHONASYNCIODEBUG": "1"}, "--reload")


def test_an_instance_without_leftovers_starts() -> None:
    """An instance whose Python is told nothing starts."""
    check_leftovers(INSTANCE)


def test_an_instance_of_the_emulator_is_at_a_desk() -> None:
    """So `--reload` works there, too."""
    check_leftovers({**INSTANCE, "FC_EMULATOR_ENDPOINT": "127.0.0.1:8000"}, "--reload")


def test_all_leftovers_are_named_at_once() -> None:
    """What has to be removed is told in one line."""
    with pytest.raises(StartError, match=r"^--reload, PYTHONASYNCIODEBUG is set on an instance"):
        check_leftovers({**INSTANCE, "PYTHONASYNCIODEBUG": "1"}, "--reload")
