"""Functions with files that are named as ours, as Python's or as a library's are, by every
command.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import yaml

from tests.conftest import Serve
from tests.emulator.play import free_port
from tests.emulator.test_command import emulate
from tests.harness import RUNS_WITHIN, request

START = (sys.executable, "-P", "-m", "fc_event_service")
SCRIPT = (str(Path(sys.executable).with_name("fc-event-service")),)
PRICE = "PRICE = 7\n"

INDEX = """
import pickle
import fc_event_service
{use}
from fc_event_service import Context
from fc_event_service.events import OssEvent


def handler(event: bytes, context: Context):
    ours = type(context) is Context is fc_event_service.Context
    return {{"price": PRICE, "ours": ours, "event": OssEvent.__module__}}
"""
EXPECTED = {"price": 7, "ours": True, "event": "fc_event_service.events.oss"}
SHAPES = {
    "service.py": "from service import PRICE",
    "service/__init__.py": "import service\nPRICE = service.PRICE",
    "service/orders.py": "from service.orders import PRICE",
}


FIRST, *OTHERS = SHAPES


@pytest.fixture(params=[FIRST, *(pytest.param(each, marks=pytest.mark.long) for each in OTHERS)])
def function(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of a function that has a `service` of its own: a file, a package, a bare folder
    with a module.
    """
    folder = tmp_path / "shop"
    file = folder / request.param
    file.parent.mkdir(parents=True)
    file.write_text(PRICE)
    (folder / "index.py").write_text(INDEX.format(use=SHAPES[request.param]))
    return folder


@pytest.mark.parametrize("start", [START, SCRIPT], ids=["-P -m", "command"])
def test_invoke_runs_a_function_with_a_service_of_its_own(
    function: Path, start: tuple[str, ...]
) -> None:
    """The function's `import service` gets its own, `import fc_event_service` ours."""
    done = subprocess.run(
        [*start, "invoke"], cwd=function, capture_output=True, timeout=RUNS_WITHIN, check=False
    )
    assert orjson.loads(done.stdout) == EXPECTED, done.stderr


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--reload",)], ids=repr)
async def test_serve_runs_a_function_with_a_service_of_its_own(
    serve: Serve, function: Path, flags: tuple[str, ...]
) -> None:
    """In one process, in two workers, and anew after each change."""
    server = serve("", folder=function, command=(*START, "--port", "0", *flags))
    server.wait_for(r" serves index.handler on ")
    assert (await server.ask(request(b"{}"))).json() == EXPECTED
    assert server.stop() == 0
    assert not server.errors


def test_emulate_runs_a_function_with_a_service_of_its_own(function: Path) -> None:
    """The emulator in the function's folder plays it, started as s.yaml says."""
    props = {
        "functionName": "shop",
        "runtime": "custom.debian12",
        "code": ".",
        "handler": "index.handler",
        "customRuntimeConfig": {
            "command": ["python3"],
            "args": ["-P", "-m", "fc_event_service"],
            "port": free_port(),
        },
    }
    spec = {"edition": "3.0.0", "name": "shop", "vars": {"region": "cn-hangzhou"}}
    spec["resources"] = {"shop": {"component": "fc3", "props": {**props, "region": "cn-hangzhou"}}}
    (function / "s.yaml").write_text(yaml.safe_dump(spec))
    with emulate(function, start=START) as emulator:
        called = subprocess.run(
            [*START, "invoke", "{}", "--function", "shop", "--url", emulator.url()],
            cwd=function,
            capture_output=True,
            timeout=RUNS_WITHIN,
            check=False,
        )
        assert orjson.loads(called.stdout) == EXPECTED, called.stderr
        assert emulator.stop() == 0


# --- other files

HIDING = (
    "email",
    "queue",
    "types",
    "uuid",
    "json",
    "aiohttp",
    "orjson",
    "calendar",
    "profile",
    "uvloop",
)


@pytest.mark.parametrize("start", [START, (sys.executable, "-m", "service"), SCRIPT])
async def test_no_file_of_the_function_takes_the_place_of_a_module_of_ours(
    serve: Serve, tmp_path: Path, start: tuple[str, ...]
) -> None:
    """With files beside `index.py` that are named like the standard library's or a library's
    modules the service serves; one line for each says which one hides which.
    """
    safe = start[1:2] == ("-P",) or len(start) == 1
    # Python itself imports some names before the service has a say, without -P.
    names = [name for name in HIDING if safe or name not in ("types",)]
    for name in names:
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')\n")
    source = """
        import email, queue, json
        def handler(event, context):
            return sorted(module.__name__ for module in (email, queue, json))
    """
    server = serve(source, folder=tmp_path, command=(*start, "--port", "0"))
    server.wait_for(r" serves index.handler on ")
    assert (await server.ask(request(b"{}"))).json() == ["email", "json", "queue"]
    log = "\n".join(server.lines)
    for name in names:
        found = f"`import {name}` gets " in log or f"{tmp_path}/{name}.py hides " in log
        assert found, name
    assert server.stop() == 0


async def test_a_file_that_hides_a_module_that_is_not_loaded_is_the_functions(
    serve: Serve, tmp_path: Path
) -> None:
    """A `profile.py` of users' profiles is what the function's import gets; a line says whom it is
    in the way of.
    """
    (tmp_path / "profile.py").write_text("NAME = 'a user'\n")
    source = """
        import profile
        def handler(event, context):
            return profile.NAME
    """
    server = serve(source, folder=tmp_path)
    assert (await server.ask(request(b"{}"))).body == b"a user"
    (line,) = [line for line in server.lines if "hides" in line]
    assert line.endswith(
        f"[WARNING] {tmp_path}/profile.py hides Python's own module 'profile' from all that imports"
        " it: give the file another name"
    )
