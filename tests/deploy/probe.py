"""The function that is called while an instance ends, and that looks around in it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

PLACES = ("/", "/code", "/opt", "/packages", "/tmp", "/usr", "/var/tmp")
CHILD = "(exit 0) & (sleep 0 & exit 0) & exit 0"
"""A shell that leaves two processes behind, which end by themselves."""


async def handler(event: bytes, context: Any) -> Any:
    """Do what the event names: wait, leave orphans, try to write, or say who runs this."""
    said = json.loads(event)
    if "wait" in said:
        await asyncio.sleep(said["wait"])
        return {"requestId": context.request_id}
    for _ in range(said.get("orphans", 0)):
        await asyncio.to_thread(subprocess.run, ["sh", "-c", CHILD], check=True)
    return {"writable": [place for place in PLACES if may_write(Path(place))]}


def may_write(folder: Path) -> bool:
    """Whether a file can be made there."""
    if not folder.is_dir():
        return False
    try:
        (folder / "written").touch()
        (folder / "written").unlink()
    except OSError:
        return False
    return True
