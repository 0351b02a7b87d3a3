"""Files of Serverless Devs that ask for more than a custom runtime, played as they are."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from service.emulator import emulator
from service.emulator.log import Log
from tests.parse_spec import copied

ROOT = Path(__file__).parents[2]
ECHO = """\
def handler(event, context):
    return {"event": event.decode(), "handler": context.function.handler}
"""


async def answer(file: Path, function: str, event: bytes = b'"x"') -> Any:
    """What a function of the file answers to an event."""
    async with emulator(file, log=Log(lambda _lines: None)) as fc:
        outcome = await fc.invoke(function, event)
        assert not outcome.error_type, outcome.body
        return json.loads(outcome.body)


async def test_a_function_of_the_built_in_runtime_runs_as_it_is(tmp_path: Path) -> None:
    """This service takes the place of the platform's server, with the function's handler."""
    file = copied("37-python-builtin", tmp_path)
    (file.parent / "code" / "index.py").write_text(ECHO)
    assert await answer(file, "fn") == {"event": '"x"', "handler": "index.handler"}


async def test_a_service_of_the_functions_own_does_not_run_in_place_of_ours(
    tmp_path: Path,
) -> None:
    """A file beside the handler may be called as our package is."""
    file = copied("37-python-builtin", tmp_path)
    (file.parent / "code" / "index.py").write_text(ECHO)
    (file.parent / "code" / "service.py").write_text("raise SystemExit('not this one')")
    assert await answer(file, "fn") == {"event": '"x"', "handler": "index.handler"}


async def test_the_initializer_that_is_named_runs_and_no_other(tmp_path: Path) -> None:
    """The configuration names the function to run, as it does on the platform."""
    assert await answer(copied("73-hooks-of-python", tmp_path), "fn") == ["ran"]


async def test_an_initializer_that_is_not_named_does_not_run(tmp_path: Path) -> None:
    """A function called `initialize` is one like others if the configuration has no initializer."""
    file = copied("73-hooks-of-python", tmp_path)
    text = re.sub(r" +instanceLifecycleConfig:\n.*\n", "", file.read_text())
    file.write_text(text)
    assert await answer(file, "fn") == []


async def test_functions_beside_one_of_another_language_run(tmp_path: Path) -> None:
    """What cannot be played is left out, and the rest of the file is played."""
    file = copied("38-mixed", tmp_path)
    server = ROOT / "tests" / "emulator" / "functions" / "bare.py"
    shutil.copy(server, file.parent / "code" / "server.py")
    async with emulator(file, log=Log(lambda _lines: None)) as fc:
        assert [*fc.spec.functions] == ["fn"]


async def test_an_image_of_which_nothing_is_known_is_played_by_this_service(
    tmp_path: Path,
) -> None:
    """What an image runs by itself is not in the file: the handler beside the file is served."""
    file = copied("39-container-noentry", tmp_path)
    (file.parent / "index.py").write_text(ECHO.replace("context.function.handler", "1"))
    text = file.read_text().replace("memorySize", "handler: index.handler\n      memorySize")
    file.write_text(text)
    assert await answer(file, "fn") == {"event": '"x"', "handler": 1}


async def test_our_own_image_is_played(tmp_path: Path) -> None:
    """`s.image.yaml` runs what our Dockerfile runs."""
    for name in ("Dockerfile", "index.py", "s.image.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    assert await answer(tmp_path / "s.image.yaml", "fc-event-service", b'{"name": "x"}')
