"""Functions as people write them for the built-in runtime, run as they are: by `serve` and by
`invoke`. They are in tests/cases/functions.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.harness import ServerProcess, request, run_service

FUNCTIONS = Path(__file__).parents[1] / "cases" / "functions"


@dataclass(frozen=True)
class Case:
    """A function, how it is named, and what it must answer."""

    folder: str
    answer: Any
    environ: dict[str, str] = field(default_factory=dict)
    told: str = ""
    """A part of the log after `/initialize`."""
    renamed: tuple[str, str] = ("", "")


NAMED = {"SERVICE_HANDLER": "main.my_handler"}
CASES = {
    "slash": Case("slash", "from code/", {"SERVICE_HANDLER": "src/index.handler"}),
    "slash by the platform": Case(
        "slash", "from code/", {"FC_FUNCTION_HANDLER": "src/index.handler"}
    ),
    "code": Case(
        "slash",
        "from code/",
        {"FC_FUNCTION_HANDLER": "code.index.handler"},
        renamed=("src", "code"),
    ),
    "myinit": Case("myinit", True, {**NAMED, "SERVICE_INITIALIZER": "main.my_initializer"}),
    "myinit, not named": Case(
        "myinit",
        False,
        NAMED,
        told="set SERVICE_INITIALIZER=main.my_initializer",
    ),
    "myinit, none": Case("myinit", False, {**NAMED, "SERVICE_INITIALIZER": "none"}),
}
"""A row for each; others add theirs."""


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """Each case."""
    found: Case = request.param
    return found


@pytest.fixture
def folder(case: Case, tmp_path: Path) -> Path:
    """A copy of the case's function."""
    place = tmp_path / "function"
    shutil.copytree(FUNCTIONS / case.folder, place)
    before, after = case.renamed
    if before:
        (place / before).rename(place / after)
    return place


def value_of(result: bytes) -> Any:
    """What a function has returned: text stays as it is, all else is JSON."""
    try:
        return orjson.loads(result)
    except ValueError:
        return result.decode()


async def test_a_case_is_served(case: Case, folder: Path) -> None:
    """The platform initializes the instance, then calls it."""
    server = ServerProcess(folder, "", environ=case.environ)
    try:
        assert (await server.ask(request(b"", path="/initialize"))).status == 200
        answer = await server.ask(request(b"{}"))
        assert value_of(answer.body) == case.answer
        assert await asyncio.to_thread(server.stop) == 0
        assert case.told in server.log()
        assert ("SERVICE_INITIALIZER" in server.log()) == bool(case.told)
    finally:
        await asyncio.to_thread(server.kill)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=() if name == "myinit" else pytest.mark.long)
        for name, case in CASES.items()
    ],
    indirect=True,
)
def test_a_case_is_invoked(case: Case, folder: Path) -> None:
    """The result is alone on stdout."""
    done = run_service(folder, "invoke", environ=case.environ)
    assert done.returncode == 0, done.stderr
    assert value_of(done.stdout) == case.answer
