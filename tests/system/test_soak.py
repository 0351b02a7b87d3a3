"""Nothing grows: a soak of a minute, and each path of a failure by itself (rows L of
docs/faults.md).

`make soak` is the long form. SOAK_SECONDS sets how long the short ones take.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import LOOPS
from tests.harness import ServerProcess, least, request
from tests.soak.course import table
from tests.soak.run import FUNCTION, soak
from tests.soak.traffic import BAD_CHUNK, MALFORMED, TOO_LARGE, chunked, hanging, released

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))


@pytest.mark.first
@pytest.mark.timeout(SECONDS + 240)
@pytest.mark.parametrize(
    "pause",
    [
        pytest.param(0.15, id="at leisure"),
        pytest.param(0.0, id="at full speed", marks=pytest.mark.long),
    ],
)
async def test_nothing_grows_in_a_soak(pause: float) -> None:
    """L: Under mixed calls with 5% errors, 5% clients that leave and some time-outs, async and
    plain: resident memory grows by less than 1 MB per 100,000 calls in the second half;
    descriptors, threads and tasks not at all; every answer is as it should be.

    What is counted is the same on a busy machine: 100 calls a second run beside other tests.
    """
    courses = await soak(SECONDS, rounds=10, pause=pause)
    print("\n".join(table(courses)))  # noqa: T201 - shown where it fails, or by -rP
    assert {course.name: course.faults() for course in courses} == {"async": [], "plain": []}


# --- each path by itself

CALLS = int(os.environ.get("LEAK_CALLS", "200"))
AT_ONCE = 50


@pytest.fixture(scope="module", params=LOOPS)
def loop_kind(request: pytest.FixtureRequest) -> str:
    """The event loop: an async handler is on one of them, a plain one on the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(loop_kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One service for all paths, whose function tells how many objects there are."""
    folder: Path = tmp_path_factory.mktemp(loop_kind)
    (folder / "index.py").write_text(FUNCTION.read_text())
    handler = "index.handler" if loop_kind == "uvloop" else "index.plain"
    flags = ("--handler", handler, "--loop", loop_kind, "--concurrency", str(AT_ONCE + 10))
    process = ServerProcess(folder, "", *flags)
    yield process
    process.kill()


Visit = Callable[[ServerProcess, int], Awaitable[object]]


def asked(make: Callable[[int], bytes]) -> Visit:
    """A visit that sends the request of a number and reads the answer."""

    async def visit(server: ServerProcess, number: int) -> object:
        return await server.ask(make(number))

    return visit


def left(make: Callable[[int], bytes]) -> Visit:
    """A visit that sends something and leaves without an answer."""

    async def visit(server: ServerProcess, number: int) -> object:
        async with server.client() as client:
            with suppress(ConnectionError):
                await client.send(make(number))
            client.writer.transport.abort() if number % 2 else client.writer.close()
        return None

    return visit


async def times_out(server: ServerProcess, number: int) -> None:
    """A visit whose call takes longer than its time, and then gives its thread back."""
    answer = await server.ask(hanging(f"hangs-{number}"))
    assert answer.json()["errorType"] == "FunctionTimeout"
    await server.ask(released(f"hangs-{number}"))


def call(what: str, body: bytes = b"{}", **fields: str) -> bytes:
    """A call that does what its name says."""
    return request(body, x_fc_function_name=what, **fields)


def with_field(name: str) -> bytes:
    """A call with a field that no other one has."""
    return call("whole").replace(b"\r\n\r\n", f"\r\n{name}: {name}\r\n\r\n".encode())


LARGE = bytes(100_000)
PATHS: dict[str, Visit] = {
    "good": asked(lambda _: call("whole")),
    "streamed": asked(lambda _: chunked("streamed", LARGE)),
    "raises": asked(lambda _: call("raises")),
    "cancelled": asked(lambda _: call("cancelled")),
    "times-out": times_out,
    "leaves-in-the-head": left(lambda _: call("whole")[:-9]),
    "leaves-in-the-body": left(lambda _: call("whole", LARGE)[:50_000]),
    "leaves-in-a-chunk": left(lambda _: chunked("streamed", LARGE)[:50_000]),
    "leaves-before-the-answer": left(lambda _: call("slow")),
    "too-large": asked(lambda _: TOO_LARGE),
    "bad-chunk": asked(lambda _: BAD_CHUNK),
    "malformed": asked(lambda _: MALFORMED),
    "half-a-chunk": left(lambda _: BAD_CHUNK.replace(b"z\r\n", b"3\r\n")[:-7]),
    "other-paths": asked(lambda number: request(path=f"/{number}/{os.urandom(8).hex()}")),
    "other-methods": asked(lambda number: request(method=f"M{number}{os.urandom(4).hex()}")),
    "other-fields": asked(lambda number: with_field(f"x-{number}-{os.urandom(8).hex()}")),
    "other-ids": asked(lambda number: call("whole", request_id=os.urandom(8).hex())),
    "other-limits": asked(
        lambda number: call(
            "whole", x_fc_function_timeout=f"{1000 + int.from_bytes(os.urandom(4))}"
        )
    ),
    "other-hosts": asked(lambda number: call("whole", Host=os.urandom(8).hex())),
    "other-events": asked(lambda number: call("prints", os.urandom(20))),
}


async def visits(server: ServerProcess, visit: Visit, count: int) -> None:
    """Make so many visits, some at once, and let the service come to rest."""
    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(visit(server, number) for number in range(first, first + AT_ONCE)))
    health = request(b"", path="/health", method="GET")
    async with asyncio.timeout(30), server.client() as client:
        state = {"inFlight": 1}
        while state["inFlight"] or state["lost"]:
            state = (await client.ask(health)).json()


async def held(server: ServerProcess) -> tuple[int, int]:
    """How many objects and blocks of memory the process has, garbage left out."""
    figures = (await server.ask(call("figures"))).json()
    assert figures["garbage"] == 0
    return figures["objects"], figures["blocks"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_leaves_nothing_behind(server: ServerProcess, path: str) -> None:
    """L: After 2 N visits the process has as many objects and blocks of memory as after N: each
    visit that left one behind would make one more.
    """
    await visits(server, PATHS[path], CALLS)  # fills every cache there is
    before = await held(server)

    async def growth() -> float:
        nonlocal before
        await visits(server, PATHS[path], CALLS)
        first, before = before, await held(server)
        return max(now - then for now, then in zip(before, first, strict=True))

    # A dictionary moves to a larger place, and a thread keeps what it has used: once, and not each
    # time as a leak does.
    assert await least(growth, below=CALLS / 2) < CALLS / 2
