"""A function of this service, in the plainest form."""

import asyncio
import json
import time
from typing import Any


async def handler(event: bytes, context: Any) -> bytes:
    name, _, argument = event.decode("latin-1").partition(" ")
    if name == "sleep":
        await asyncio.sleep(float(argument))
    elif name == "print":
        print(argument)
    elif name == "clock":
        return json.dumps([time.time(), time.monotonic()]).encode()
    return event
