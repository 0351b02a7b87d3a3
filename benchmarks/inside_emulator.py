"""The emulator inside one process: `python -m benchmarks.inside_emulator` prints how many
instructions a call takes that goes through it.

Calls go from the bytes of their requests to those of their answers, 100 at once, on transports to
nowhere. The instance is a stand-in that answers in the next turn of the loop, with two lines a
call; what it takes itself is in the number. The pipe of its lines is a real one.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import instructions, loads
from benchmarks.inside import Nowhere
from service.emulator.api.serving import ApiServer
from service.emulator.console.recorder import RecordedLog, Recorder
from service.emulator.instances.client import ClientConnection
from service.emulator.instances.conditions import Options
from service.emulator.instances.instance import Instance
from service.emulator.instances.output import Output
from service.emulator.local import FunctionCompute
from service.emulator.log import Log
from service.emulator.spec.model import Spec
from service.emulator.spec.read import read_mapping
from service.logs.gathering import GatheringPipe
from service.logs.lines import text_lines

FEW, MANY = 500, 2500
"""Calls in the two runs, of which the second one's are counted that it has more."""

BETWEEN = 100
"""Calls that are in flight together."""

AT_ONCE = 10
"""Calls whose lines an instance writes together."""

CALL = loads.head("/2023-03-30/functions/fn/invocations", loads.request_id(1), len(loads.BODY))
RUN = "import sys; from benchmarks.inside_emulator import run; run(*sys.argv[1:])"


class StandIn:
    """Answers what an instance is sent."""

    def __init__(self, writer: int) -> None:
        self._writer = writer
        self._sent: list[tuple[ClientConnection, bytes]] = []

    def take(self, connection: ClientConnection, request: bytes) -> None:
        """Take a request."""
        if not self._sent:
            asyncio.get_running_loop().call_soon(self._answer_all)
        self._sent.append((connection, request))

    def _answer_all(self) -> None:
        sent, self._sent = self._sent, []
        for first in range(0, len(sent), AT_ONCE):
            together = [(each, _request_id(data)) for each, data in sent[first : first + AT_ONCE]]
            os.write(self._writer, b"".join([_lines(request_id) for _, request_id in together]))
            for connection, request_id in together:
                connection.data_received(_answer(request_id))


def _request_id(request: bytes) -> str:
    at = request.index(b"x-fc-request-id: ") + 17
    return request[at : request.index(b"\r", at)].decode()


def _lines(request_id: str) -> bytes:
    begun, ended = (f"FC Invoke {each} RequestId: {request_id}" for each in ("Start", "End"))
    return text_lines(request_id, "INFO", begun) + text_lines(request_id, "INFO", ended)


def _answer(request_id: str) -> bytes:
    return (
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        f"x-fc-request-id: {request_id}\r\nServer: fc-event-service\r\n"
        "Content-Length: 2\r\nDate: Sun, 29 Nov 2026 01:30:00 GMT\r\n\r\n{}"
    ).encode()


class ToStandIn(Nowhere):
    """The way to a stand-in."""

    def __init__(self, stand_in: StandIn, connection: ClientConnection) -> None:
        super().__init__()
        self._stand_in = stand_in
        self._connection = connection

    def write(self, data: Any) -> None:
        """Send a whole request."""
        self._stand_in.take(self._connection, data)


class FromClient(Nowhere):
    """A caller's transport."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Know the API's address."""
        return ("127.0.0.1", 9000) if name == "sockname" else default


async def _start(instance: Any) -> None:
    """Start a stand-in in the place of an instance's process, with connections that are open."""
    instance.calls.output = output = Output(instance._write_lines)
    instance._end.then(output.close)
    stand_in, connections = StandIn(output.writer), instance.calls.connections
    for _ in range(BETWEEN):
        connection = ClientConnection(connections, asyncio.get_running_loop())
        connection.connection_made(ToStandIn(stand_in, connection))
        connections.keep(connection)


def _spec(folder: Path) -> Spec:
    props = {
        "region": "cn-hangzhou",
        "functionName": "fn",
        "runtime": "custom.debian12",
        "code": str(folder),
        "handler": "index.small",
        "instanceConcurrency": 2 * BETWEEN,
        "customRuntimeConfig": {"command": ["none"], "port": 9000},
    }
    resources = {"fn": {"component": "fc3", "props": props}}
    return read_mapping(
        {"edition": "3.0.0", "name": "bench", "resources": resources}, folder=folder
    )


async def serve(count: int, *, console: bool) -> None:
    """Serve so many calls."""
    Instance._start = _start  # type: ignore[assignment, method-assign]
    pipe = GatheringPipe(os.open(os.devnull, os.O_WRONLY))
    pipe.attach()
    recorder = Recorder() if console else None
    log = Log(pipe.gather) if recorder is None else RecordedLog(pipe.gather, recorder)
    with tempfile.TemporaryDirectory() as name:
        played = FunctionCompute(
            _spec(Path(name)),
            log=log,
            options=Options(private_tmp=False),
            state=Path(name) / "tasks.db",
            hosts=[loads.headers("", 0)["Host"]],
            watching=recorder,
        )
        await played.start()
        api = ApiServer(played._platform())
        await api.start()
        await _call([api._server() for _ in range(BETWEEN)], count)


async def _call(connections: list[Any], count: int) -> None:
    for connection in connections:
        connection.connection_made(FromClient())
    gc.freeze()
    answered = Nowhere.answers
    for _ in range(count // BETWEEN):
        for connection in connections:
            connection.data_received(CALL + loads.BODY)
        answered += BETWEEN
        while Nowhere.answers < answered:  # noqa: ASYNC110 - an event would be part of the count
            await asyncio.sleep(0)


def run(console: str, _work: str, loop: str, count: str) -> None:
    """Serve so many calls: what the child process does."""
    time.time = itertools.repeat(instructions.NOW).__next__
    steps = itertools.cycle(instructions.STEPS)
    time.monotonic = itertools.accumulate(steps, initial=1000.0).__next__
    asyncio.set_event_loop(made := instructions.new_loop(loop))
    made.run_until_complete(serve(int(count), console=console == "console"))
    os._exit(0)  # without the interpreter's clean-up, which depends on what is left


def main() -> None:
    """Count with a console and without one."""
    instructions.RUN = RUN
    asked = [("", "uvloop", console) for console in ("console", "none")]
    instructions.compile_all(sys.executable, asked)
    for work, loop, console in asked:
        few, many = (
            instructions.collected(sys.executable, console, work, loop, count)
            for count in (FEW, MANY)
        )
        print(f"{console}: {(many - few) / (MANY - FEW):,.0f} instructions a call", flush=True)


if __name__ == "__main__":
    main()
