"""What lives as long as the instance, in real processes: workers, signals, one call."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.harness import ENDS_WITHIN, UNMOVED, request

SOURCE = """
    import asyncio, os, pathlib
    from aiohttp import web
    from service import spawn

    PID = os.getpid()

    async def lifespan(context):
        beating = asyncio.Event()
        spawn(lambda: beat(beating), name="beat", restart=True, before_freeze=flush)
        await beating.wait()
        print(f"opened {PID}")
        yield {"pid": PID}
        print(f"closed {PID}")

    async def beat(beating):
        beating.set()
        try:
            await asyncio.Event().wait()
        finally:
            print(f"ended {PID}")

    async def flush():
        print(f"flushed {PID}")

    async def around(call):
        yield
        print(f"audit {call.outcome} {call.context.state['pid']}")

    @web.middleware
    async def stamped(request, handler):
        response = await handler(request)
        response.headers["x-stamp"] = "yes"
        return response

    middlewares = [stamped]

    async def handler(event, context):
        if event == b"wait":
            print("running")
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.02)
            print(f"done {PID}")
        return context.state
"""


ROUTED = """
    import asyncio, os, pathlib
    import msgspec
    from service import Router, spawn

    PID = os.getpid()
    on = handler = Router()

    class Order(msgspec.Struct):
        order: int

    async def lifespan(context):
        spawn(watch, name="watch")
        print(f"opened {PID}")
        yield PID
        print(f"closed {PID}")

    async def watch():
        while not pathlib.Path("thawed").exists():
            await asyncio.sleep(0.01)
        print(f"thawed {PID}")

    @on(Order)
    async def ordered(event, context):
        return ["order", context.state]

    @on.default
    def other(event, context):
        return ["other", context.state]
"""


def save(code: Path, text: str) -> None:
    """Put another file in the place of the one there is, at once, as editors do."""
    new = code.with_name("new")
    new.write_text(text)
    new.replace(code)


def said(lines: list[str], what: str) -> list[tuple[int, str]]:
    """The place of each line that says so, and the process that it names."""
    found = [(place, re.search(rf" {what} (\d+)$", line)) for place, line in enumerate(lines)]
    return [(place, match[1]) for place, match in found if match]


async def test_each_worker_has_its_own_and_loses_no_call_at_the_stop(
    serve: Serve, loop_kind: str
) -> None:
    """Opened before `/initialize` answers, told of a freeze, and closed behind the last call, with
    its tasks ended first; each call has its middlewares and its audit line, like the last one or
    not.
    """
    server = serve(SOURCE, "--workers", "2", "--loop", loop_kind)
    assert (await server.ask(request(b"", path="/initialize"))).status == 200
    opened = {pid for _, pid in said(server.lines, "opened")}
    assert len(opened) == 2
    async with server.client() as client:
        answers = [await client.ask(request(b"{}", request_id=f"r{n}")) for n in range(5)]
    assert {answer.headers.get("x-stamp") for answer in answers} == {"yes"}
    assert {str(answer.json()["pid"]) for answer in answers} <= opened
    assert len(said(server.lines, "audit success")) == 5
    frozen = await server.ask(request(b"", path="/pre-freeze", method="GET"))
    assert frozen.status == 200
    assert {pid for _, pid in said(server.lines, "flushed")} == opened
    async with server.client() as client:
        await client.send(request(b"wait"))
        await asyncio.to_thread(server.wait_for, "running")
        server.signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait_for, "SIGTERM: stopping")
        (server.folder / "go").touch()
        assert (await client.answer()).status == 200
    assert await server.ends() == 0
    lines = server.lines
    ended, closed = dict(said(lines, "ended")[::-1]), said(lines, "closed")
    assert {pid for _, pid in closed} == opened
    ((done, of),) = said(lines, "done")
    for place, pid in closed:
        before = next(at for at, each in said(lines, "ended") if each == pid)
        assert before < place
        assert pid != of or done < before
    assert len(ended) == 2


async def test_a_worker_that_dies_is_replaced_by_one_with_a_lifespan_of_its_own(
    serve: Serve,
) -> None:
    """Its successor opens one before its first call, and each handler of a Router has its state.
    A freeze of the whole changes nothing: spawned tasks go on, and each worker closes at the stop.
    """
    server = serve(ROUTED, "--workers", "2")
    assert (await server.ask(request(b"", path="/initialize"))).status == 200
    dead, other = (int(pid) for _, pid in said(server.lines, "opened"))
    os.kill(dead, signal.SIGKILL)
    await asyncio.to_thread(server.wait_for, r"opened \d+$", count=3)
    assert (await server.ask(request(b"", path="/initialize"))).status == 200
    successor = int(said(server.lines, "opened")[-1][1])
    alive = {other, successor}
    for event, kind in ((b'{"order": 1}', "order"), (b'"text"', "other")):
        asked = await asyncio.gather(*(server.ask(request(event)) for _ in range(8)))
        answers = [answer.json() for answer in asked]
        assert {name for name, _ in answers} == {kind}
        assert {pid for _, pid in answers} <= alive
    everybody = [*alive, server.process.pid]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    (server.folder / "thawed").touch()
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    await asyncio.to_thread(server.wait_for, r"thawed \d+$", count=2)
    server.signal(signal.SIGTERM)
    assert await server.ends() == 0
    assert {int(pid) for _, pid in said(server.lines, "closed")} == alive


@pytest.mark.long
async def test_a_save_opens_the_lifespan_of_the_new_code_and_closes_the_old_one(
    serve: Serve,
) -> None:
    """With `--reload` the old code keeps its own until its last call is done. One that fails to
    open fails the calls, and the save that mends it is served.
    """
    server = serve(ROUTED, "--reload")
    code = server.folder / "index.py"
    first = (await server.ask(request(b"1"))).json()[1]
    good = code.read_text()
    save(code, good.replace("yield PID", 'raise ValueError("no pool")\n    yield'))
    await asyncio.to_thread(server.wait_for, f"closed {first}$")
    failed = (await server.ask(request(b"1"))).json()
    assert failed["errorType"] == "InitializationError"
    assert "no pool" in failed["errorMessage"]
    save(code, good.replace("opened", "mended"))
    async with asyncio.timeout(ENDS_WITHIN):
        while (await server.ask(request(b"1"))).status != 200:
            pass
    assert await asyncio.to_thread(server.stop) == 0
    (mended,) = said(server.lines, "mended")
    assert [pid for _, pid in said(server.lines, "closed")] == [str(first), mended[1]]


def test_one_call_in_this_process_has_all_but_the_middlewares(tmp_path: Path) -> None:
    """`invoke` opens the lifespan before the call and closes it behind it, and says that there is
    no request for middlewares to be around.
    """
    (tmp_path / "index.py").write_text(textwrap.dedent(SOURCE))
    run = subprocess.run(
        [sys.executable, "-m", "service", "invoke"],
        cwd=tmp_path,
        env={**UNMOVED, "PATH": ""},
        capture_output=True,
        timeout=60,
        text=True,
        check=False,
    )
    assert (run.returncode, bool(re.fullmatch(r'\{"pid":\d+\}\n?', run.stdout))) == (0, True)
    told = [match[1] for match in re.finditer(r"(opened|audit|closed|ended) ", run.stderr)]
    assert told == ["opened", "audit", "ended", "closed"]
    assert "there is no request here: the handler is called without its middlewares" in run.stderr
