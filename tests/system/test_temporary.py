"""A function that empties the folder for temporary files: the service keeps nothing there."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from service.emulator import emulator
from service.emulator.instances.private import base
from tests.conftest import Serve
from tests.emulator.test_testing import quiet, spec
from tests.harness import request

SOURCE = """
    import asyncio, os, pathlib, shutil

    folder = pathlib.Path(os.environ["TMPDIR"])

    async def handler(event, context):
        if event == b"wait":
            print("waits")
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.02)
        if event == b"empty":
            for each in folder.iterdir():
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        return {"left": len([*folder.iterdir()])}

    def pre_stop(context):
        print("pre_stop has run")
"""


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--reload",)], ids=str)
async def test_a_call_that_empties_it_hurts_no_other(
    serve: Serve, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """The call that runs beside it, those that follow, `/health` and the stop work on."""
    temporary = tmp_path / "temporary"
    (temporary / "own").mkdir(parents=True)
    server = serve(SOURCE, *flags, environ={"TMPDIR": str(temporary)})
    waiting = asyncio.create_task(server.ask(request(b"wait")))
    await asyncio.to_thread(server.wait_for, "waits")
    emptied = await server.ask(request(b"empty"))
    (server.folder / "go").touch()
    answers = [emptied, await waiting, *[await server.ask(request(b"x")) for _ in range(4)]]
    assert [answer.json() for answer in answers] == [{"left": 0}] * 6
    assert (await server.ask(request(path="/health", method="GET"))).status == 200
    assert server.stop() == 0
    assert "pre_stop has run" in server.log()


def test_the_emulator_of_a_test_keeps_its_queue_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance that empties the desk's folder takes no asynchronous call with it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    if base() == str(temporary):
        pytest.skip("there is no other folder for temporary files here")
    with emulator(spec(), log=quiet()) as fc:
        assert [*temporary.iterdir()] == []
        shutil.rmtree(temporary)
        task = fc.submit("fn", "queued")
        fc.idle("fn")
        assert fc.task("fn", task.id) is not None
