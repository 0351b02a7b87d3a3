"""Functions that use threads, processes and streams as people do, run as they are, by `serve` and
`invoke`. They are in tests/cases/functions.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serve
from tests.harness import request, run_service

FUNCTIONS = Path(__file__).parents[1] / "cases" / "functions"
ONE = ("--concurrency", "1")
CASES: dict[str, tuple[tuple[str, ...], Any]] = {
    "cvar": ((), "set by the initializer"),
    "local": (ONE, "made at import"),
    "sqlite": (ONE, [1]),
    "pool": ((), [1, 4]),
    "term": ((), -15),
    "child": ((), {"a": 1}),
    "detach": ((), 1),
}
NAMED = [(name, flags, value) for name, (flags, value) in CASES.items()]


def value_of(result: bytes) -> Any:
    """A result that is JSON, or else text."""
    try:
        return json.loads(result)
    except ValueError:
        return result.decode()


@pytest.mark.parametrize(("name", "flags", "value"), NAMED, ids=list(CASES))
async def test_a_case_is_served(
    serve: Serve, tmp_path: Path, name: str, flags: tuple[str, ...], value: Any
) -> None:
    """Each call gives what the built-in runtime's would."""
    folder = Path(shutil.copytree(FUNCTIONS / name, tmp_path / name))
    server = serve("", *flags, folder=folder)
    for _ in range(5):
        assert value_of((await server.ask(request())).body) == value
    if name == "detach":
        assert any(line.endswith("[STDOUT] hello") for line in server.lines)


@pytest.mark.parametrize(
    ("name", "flags", "value"),
    [NAMED[0], *(pytest.param(*each, marks=pytest.mark.long) for each in NAMED[1:])],
    ids=list(CASES),
)
def test_a_case_is_invoked(tmp_path: Path, name: str, flags: tuple[str, ...], value: Any) -> None:
    """The result stands alone on stdout."""
    folder = Path(shutil.copytree(FUNCTIONS / name, tmp_path / name))
    done = run_service(folder, "invoke", *flags)
    assert done.returncode == 0, done.stderr
    assert value_of(done.stdout) == value
