"""Calls that look at all tasks of the loop: they find their own, and harm no other call."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.conftest import Serve
from tests.harness import request

ALL = """
    import asyncio, pathlib

    async def own():
        await asyncio.sleep(60)

    async def handler(event, context):
        if event == b"hold":
            print("holds")
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.02)
            return b"held"
        mine = {asyncio.create_task(own(), name="mine") for _ in range(3)}
        await asyncio.sleep(0)
        found = asyncio.all_tasks()
        assert found == {*mine, asyncio.current_task()}, found
        if event == b"all":
            for task in found:
                task.cancel()
            await asyncio.sleep(1)
        others = found - {asyncio.current_task()}
        for task in others:
            task.cancel()
        done = await asyncio.gather(*others, return_exceptions=True)
        return [type(each).__name__ for each in done]
"""


async def test_a_call_finds_its_own_tasks(serve: Serve) -> None:
    """Who cancels all tasks but its own, and gathers them, ends those that it has made: calls
    beside it are answered, connections stay, and the log has each End line.
    """
    server = serve(ALL)
    async with server.client() as beside, server.client() as warm:
        await beside.send(request(b"hold", request_id="beside"))
        await asyncio.to_thread(server.wait_for, "holds")
        for _ in range(3):
            assert (await warm.ask(request())).json() == ["CancelledError"] * 3
        (server.folder / "go").touch()
        assert (await beside.answer()).body == b"held"
    assert await asyncio.to_thread(server.stop) == 0
    assert sum("FC Invoke End" in line for line in server.lines) == 4


async def test_a_call_that_cancels_itself_too_is_answered(serve: Serve, loop_kind: str) -> None:
    """Its caller gets an error, the log an End line, and the next call is served."""
    server = serve(ALL, "--loop", loop_kind)
    async with server.client() as client:
        answer = await client.ask(request(b"all", request_id="quits"))
        assert answer.json()["errorType"] == "CancelledError"
        assert (await client.ask(request())).json() == ["CancelledError"] * 3
    await asyncio.to_thread(server.wait_for, "FC Invoke End RequestId: quits, Error")


@pytest.mark.parametrize("event", ["own", "all"])
async def test_invoke_answers_a_call_that_cancels_all_tasks(serve: Serve, event: str) -> None:
    """The command prints the result, or the error, and no traceback of the service's."""
    command = [sys.executable, "-m", "service", "invoke", f'"{event}"']
    source = ALL.replace("event ==", "event.strip(b'\"') ==")
    server = serve(source, command=command)
    assert await server.ends() == (1 if event == "all" else 0)
    assert "CancelledError" in server.lines[-1]
    assert "service failed" not in server.log()
    assert "site-packages" not in server.log()


async def test_a_hook_finds_what_the_function_has_started(serve: Serve) -> None:
    """`pre_stop` can end what `initialize` has begun, and finds nothing of the service's."""
    source = """
        import asyncio

        async def poll():
            try:
                await asyncio.sleep(3600)
            finally:
                print("the poller ends")

        async def initialize(context):
            asyncio.create_task(poll(), name="poller")

        async def handler(event, context):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            return [task.get_name() for task in others]

        async def pre_stop(context):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            print("cancelled", [task.get_name() for task in others])
    """
    server = serve(source)
    assert (await server.ask(request())).json() == []
    assert await asyncio.to_thread(server.stop) == 0
    assert "the poller ends" in server.log()
    assert "cancelled ['poller']" in server.log()


async def test_loops_of_other_threads_are_left_alone(serve: Serve) -> None:
    """`asyncio.run` in a plain handler ends what it left running, as ever."""
    source = """
        import asyncio

        ended = []

        async def left():
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(True)

        async def main():
            task = asyncio.create_task(left())
            await asyncio.sleep(0)
            assert task in asyncio.all_tasks()

        def handler(event, context):
            asyncio.run(main())
            return len(ended)
    """
    server = serve(source)
    assert (await server.ask(request())).json() == 1
