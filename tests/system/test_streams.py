"""What functions do to their standard streams: each line still has its call's id."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import Serve
from tests.harness import request

WRAPPED = """
    import asyncio, codecs, io, pathlib, sys

    async def handler(event, context):
        if event == b"wrap":
            {wrap}
        print("begin", context.request_id)
        print("inside", context.request_id, file=sys.stderr)
        while event == b"hold" and not pathlib.Path("go").exists():
            await asyncio.sleep(0.02)
        print("end", context.request_id)
"""
WRAPS = {
    "TextIOWrapper": "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')",
    "detached": "sys.stdout = io.TextIOWrapper(sys.stdout.detach(), line_buffering=True)",
    "stderr": "sys.stderr = io.TextIOWrapper(sys.stderr.buffer, encoding='utf-8')",
    "codecs": "sys.stdout = codecs.getwriter('utf8')(sys.stdout.detach())",
}


def told(lines: list[str], ids: list[str]) -> list[str]:
    """The lines of the calls with these ids, in order, without time."""
    texts = [line.partition("Z ")[2] for line in lines if "Z " in line]
    return [line for line in texts if line.split()[-1] in ids]


@pytest.mark.parametrize("when", ["import", "call"])
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
async def test_a_stream_that_is_wrapped_keeps_nothing_back(
    serve: Serve, wrap: str, when: str
) -> None:
    """Python 2's way to set an encoding, at import or in a call: each line is its call's, and out
    by its end.
    """
    source = WRAPPED.format(wrap=wrap)
    if when == "import":
        source += f"    {wrap}\n"
    server = serve(source)
    async with server.client() as held:
        if when == "call":
            await server.ask(request(b"wrap", request_id="wraps"))
        await held.send(request(b"hold", request_id="held"))
        await asyncio.to_thread(server.wait_for, "inside held")
        await server.ask(request(request_id="beside"))
        await asyncio.to_thread(server.wait_for, "FC Invoke End RequestId: beside")
        (server.folder / "go").touch()
        await held.answer()
    await asyncio.to_thread(server.wait_for, "FC Invoke End RequestId: held")
    for each in ("held", "beside"):
        assert told(server.lines, [each]) == [
            f"{each} [STDOUT] begin {each}",
            f"{each} [STDERR] inside {each}",
            f"{each} [STDOUT] end {each}",
        ]


async def test_output_that_is_redirected_is_the_calls_own(serve: Serve) -> None:
    """Two calls that redirect stdout and overlap get their own text each, and what a third one
    prints meanwhile is logged.
    """
    source = """
        import asyncio, contextlib, io, pathlib

        async def handler(event, context):
            if event == b"print":
                print("of the third")
                return
            with contextlib.redirect_stdout(io.StringIO()) as text:
                print("of", context.request_id)
                context.logger.info("holds")
                while not pathlib.Path(event.decode()).exists():
                    await asyncio.sleep(0.02)
                await asyncio.to_thread(print, "thread")
            print("after")
            return text.getvalue()
    """
    server = serve(source)
    async with server.client() as first, server.client() as second:
        await first.send(request(b"a", request_id="first"))
        await second.send(request(b"b", request_id="second"))
        await asyncio.to_thread(server.wait_for, "holds", 60, 2)
        await server.ask(request(b"print", request_id="third"))
        for client, name, each in ((first, "a", "first"), (second, "b", "second")):
            (server.folder / name).touch()
            assert (await client.answer()).body.decode() == f"of {each}\nthread\n"
    await asyncio.to_thread(server.wait_for, "third .STDOUT. of the third")
    for each in ("first", "second"):
        await asyncio.to_thread(server.wait_for, f"{each} .STDOUT. after")
