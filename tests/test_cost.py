"""What a start and a small event may cost, counted and not timed: a change that makes them dearer
shows here.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from contextvars import Context
from pathlib import Path
from types import FrameType
from typing import Any

import orjson

from service.calls.left_behind import task_factory
from service.calls.lifecycle import Lifecycle
from service.http.backend import Limits
from service.http.server import Server
from service.instance.assembly import SERVICE
from service.logs.gathering import GatheringPipe
from service.logs.log import Logs
from service.process.loop import new_loop
from service.settings.table import Settings
from tests.assembly import assembled
from tests.conftest import Serve
from tests.harness import request

MODULES = Path(__file__).parent / "modules.txt"
"""What is imported to serve, beyond the standard library; `WRITE_MODULES=1` writes it anew."""

CALLS = 52.0 if sys.version_info >= (3, 12) else 64.0
"""Python functions that a small event may call, from its bytes to its answer's. It calls 51.2, and
63.2 on Python 3.11, whose own code for tasks is Python in part.
"""

ROUNDS = 25

EVENT = request(
    b'{"items":[{"id":1,"name":"one"},{"id":2,"name":"two"}]}',
    request_id="1-6560a8d1-0123abcd-0123456789ab",
    x_fc_control_path="/invoke",
    x_fc_function_timeout="60",
    x_fc_access_key_id="key",
    x_fc_access_key_secret="secret",
    x_fc_security_token="token" * 200,
)


async def test_the_modules_for_serving_are_a_fixed_list(serve: Serve) -> None:
    """Import time is cold start: no module comes in by accident, the HTTP client least of all."""
    source = """
        def handler(event, context):
            import sys
            places = ("/site-packages/", "/service/", "/fc_event_service/")
            return sorted(
                name for name, module in list(sys.modules.items())
                if getattr(module, "__name__", "") == name
                and any(place in (getattr(module, "__file__", None) or "") for place in places)
                and not name.startswith(("__", "coverage", "_virtualenv", "distutils"))
            )
    """
    server = serve(source, is_warm=False)
    found = [
        name
        for name in (await server.ask(request(b"{}"))).json()
        if not name.startswith(("a1_coverage", "pytest_cov", "_distutils_hack"))
        and (name != "typing_extensions" or sys.version_info >= (3, 13))  # aiosignal's before
    ]
    if os.environ.get("WRITE_MODULES"):
        MODULES.write_text("\n".join(found) + "\n")
    listed = MODULES.read_text().split()
    if sys.version_info >= (3, 15):  # lazy imports: some of aiohttp's come when they are used
        assert set(found) <= set(listed)
    else:
        assert found == listed
    assert "aiohttp.client" not in found


class Wire(asyncio.Transport):
    """A transport that counts what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[bytes] = []

    def write(self, data: Any) -> None:
        """Keep an answer."""
        self.answers.append(bytes(data))

    def is_closing(self) -> bool:
        """Say no."""
        return False

    def pause_reading(self) -> None:
        """Nothing arrives."""

    def resume_reading(self) -> None:
        """Nothing arrives."""

    def close(self) -> None:
        """Nothing is open."""


async def count(pipe: GatheringPipe) -> Counter[str]:
    """The Python functions that 100 events at once call, each on its own connection: in the round
    in which they were fewest, since what takes long on a busy machine is counted apart by us, too.
    """

    async def handler(event: bytes, _context: Any) -> Any:
        return {"count": len(orjson.loads(event)["items"])}

    app = assembled(Logs(pipe), handler, Settings(slow_after=60.0))  # it looks which are slow
    lifecycle: Lifecycle = app[SERVICE].lifecycle
    server = Server(app, lifecycle, Limits(60, 60, 100), pipe.when_out)
    await server.setup()
    await lifecycle.initialized()
    wires = [Wire() for _ in range(100)]
    connections = []
    for wire in wires:
        connections.append(server())
        connections[-1].connection_made(wire)
    rounds: list[Counter[str]] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            rounds[-1][f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_qualname}"] += 1

    for round_of_calls in range(ROUNDS + 1):
        if round_of_calls:  # the first one warms up
            rounds.append(Counter())
            sys.setprofile(note)
        try:
            for connection in connections:
                asyncio.get_running_loop().call_soon(connection.data_received, EVENT)
            await asyncio.sleep(0)  # they arrive, in no task, as from sockets
            await asyncio.sleep(0)  # the End lines and the answers of the crowd
        finally:
            sys.setprofile(None)
    answers = [answer for wire in wires for answer in wire.answers]
    assert len(answers) == 100 * (ROUNDS + 1)
    assert all(b'\r\n\r\n{"count":2}' in answer for answer in answers)
    await server.cleanup()
    return min(rounds, key=Counter.total)


def test_a_small_event_calls_few_functions(tmp_path: Path) -> None:
    """From its bytes to its answer's, the calls of Python functions stay below their number."""
    with (tmp_path / "log").open("wb") as file:
        loop = new_loop("auto")
        loop.set_task_factory(task_factory)
        try:
            calls = Context().run(loop.run_until_complete, count(GatheringPipe(file.fileno())))
        finally:
            loop.close()
    each = sum(calls.values()) / 100
    most = "\n".join(f"{number / 100:6.2f} {name}" for name, number in calls.most_common(100))
    assert each <= CALLS, f"{each:.1f} calls for each event:\n{most}"
