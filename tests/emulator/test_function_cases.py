"""Functions as people write them for the built-in runtime, played from a file that names it: those
of tests/cases/functions that other tests of the emulator do not play.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.emulator import emulator
from service.emulator.log import Log

FUNCTIONS = Path(__file__).parents[1] / "cases" / "functions"


@dataclass(frozen=True)
class Case:
    """A function, how the file names it, and what it must answer."""

    folder: str
    answer: Any
    handler: str = "index.handler"
    initializer: str = ""


CASES = {
    "cvar": Case("cvar", "set by the initializer", initializer="index.initialize"),
    "local": Case("local", "made at import"),
    "sqlite": Case("sqlite", [1]),
    "pool": Case("pool", [1, 4]),
    "term": Case("term", -15),
    "child": Case("child", {"a": 1}),
    "detach": Case("detach", 1),
    "slash": Case("slash", "from code/", "src/index.handler"),
}


def resource(name: str, case: Case, folder: Path) -> dict[str, Any]:
    """A function of the built-in runtime."""
    props: dict[str, Any] = {
        "functionName": name,
        "region": "cn-hangzhou",
        "runtime": "python3.10",
        "handler": case.handler,
        "timeout": 60,
        "code": str(folder),
    }
    if case.initializer:
        props["instanceLifecycleConfig"] = {
            "initializer": {"handler": case.initializer, "timeout": 30}
        }
    return {"component": "fc3", "props": props}


def value_of(result: bytes) -> Any:
    """A result that is JSON, or else text."""
    try:
        return json.loads(result)
    except ValueError:
        return result.decode()


async def test_each_case_answers_as_on_the_platform(tmp_path: Path) -> None:
    """Twice each, and with what it prints as its own lines."""
    resources = {
        name: resource(name, case, Path(shutil.copytree(FUNCTIONS / case.folder, tmp_path / name)))
        for name, case in CASES.items()
    }
    spec = {"edition": "3.0.0", "name": "tests", "resources": resources}
    lines: list[bytes] = []
    async with emulator(spec, log=Log(lines.append), start_timeout=100) as fc:
        first = await asyncio.gather(*(fc.invoke(name, b"{}") for name in CASES))
        again = await asyncio.gather(*(fc.invoke(name, b"{}") for name in CASES))
    expected = {name: case.answer for name, case in CASES.items()}
    for answers in (first, again):
        found = {name: value_of(each.body) for name, each in zip(CASES, answers, strict=True)}
        assert found == expected
    log = b"".join(lines).decode()
    assert log.count("[STDOUT] hello") == 2
    assert log.count("from a child") == 2
