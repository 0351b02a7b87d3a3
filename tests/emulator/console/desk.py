"""An emulator with its console, and a browser that has it open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from service.console.places import ConsoleFlags
from service.emulator.console.emulator_source import EmulatorSource
from service.emulator.console.opening import opened_console
from service.emulator.console.recorder import RecordedLog, Recorder
from service.emulator.instances.conditions import Options
from service.emulator.local import FunctionCompute
from service.emulator.spec.read import read_mapping
from tests.console.desk import TOKEN, Page, Stream, opened
from tests.emulator.play import FUNCTIONS, Entries, free_port


def ours(name: str = "ours", **changes: Any) -> dict[str, Any]:
    """The `props` of a function that this service runs."""
    flags = ["--concurrency", str(changes.get("instanceConcurrency", 1))]
    command = {"command": ["python3"], "args": ["-m", "service", *flags], "port": free_port()}
    return _props(name, FUNCTIONS / "service", command, **{"handler": "index.handler"} | changes)


def bare(name: str = "bare", **changes: Any) -> dict[str, Any]:
    """The `props` of a function that is nothing but a small server."""
    command = {"command": ["python3", "bare.py"], "port": free_port()}
    return _props(name, FUNCTIONS, command, **changes)


def _props(name: str, code: Path, config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    common = {"functionName": name, "region": "cn-hangzhou", "runtime": "custom.debian12"}
    return {**common, "code": str(code), "customRuntimeConfig": config, "timeout": 30, **changes}


class Desk:
    """What a test works with: the emulator, its log, a page and its stream of changes."""

    def __init__(
        self, played: FunctionCompute, log: Entries, recorder: Recorder, page: Page, stream: Stream
    ) -> None:
        self.played = played
        self.log = log
        self.recorder = recorder
        self.page = page
        self.stream = stream

    async def send(self, function: str, text: str, **fields: Any) -> dict[str, Any]:
        """Send an event by the page, and return the row of its call once it has ended."""
        sent = await self.page.post("/api/send", function=function, event={"text": text}, **fields)
        return await self.ended(sent["ids"][0])

    async def ended(self, call_id: str) -> dict[str, Any]:
        """Return the row of a call once it has ended."""
        while True:
            row: dict[str, Any] = await self.stream.until("calls", id=call_id)
            if row["status"] != "running":
                return row


@asynccontextmanager
async def desk(folder: Path, *functions: dict[str, Any], **options: Any) -> AsyncIterator[Desk]:
    """An emulator that runs, with its console open in a browser."""
    recorder, log = Recorder(), Entries()
    resources = {each["functionName"]: {"component": "fc3", "props": each} for each in functions}
    mapping = {"edition": "3.0.0", "name": "tests", "resources": resources}
    played = FunctionCompute(
        read_mapping(mapping, folder=folder, code=None),
        log=RecordedLog(log.write, recorder, as_json=True),
        state=folder / "state" / "tasks.db",
        options=Options(**{"private_tmp": False, "stop_grace": 20.0} | options),
        watching=recorder,
    )
    source = EmulatorSource(played, recorder, "s.yaml", None)
    flags = ConsoleFlags("127.0.0.1", 0, False, TOKEN, ())
    async with (
        opened_console(source, recorder, flags, folder / "state" / "tasks.db") as address,
        opened(address.partition("/?")[0]) as page,
        page.stream() as stream,
    ):
        try:
            await played.start()
            yield Desk(played, log, recorder, page, stream)
        finally:
            await played.stop()
