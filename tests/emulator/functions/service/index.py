"""A function of this service, in the plainest form."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any


async def handler(event: bytes, context: Any) -> bytes:
    name, _, argument = event.decode("latin-1").partition(" ")
    if name == "sleep":
        await asyncio.sleep(float(argument))
    elif name == "until":
        while not Path(argument).exists():  # noqa: ASYNC110, ASYNC240 # as tests say so
            await asyncio.sleep(0.005)
    elif name == "print":
        print(argument)
    elif name == "clock":
        return json.dumps([time.time(), time.monotonic()]).encode()
    return event
