"""fc-event-service: the marker lines and the header are its own work."""

import asyncio
import hashlib
import time

from service import Context, EventStream


async def handler(event: dict, context: Context):
    """Count the items."""
    return {"count": len(event["items"]), "requestId": context.request_id}


async def wait(event: dict, context: Context):
    """Count the items after 50 ms on the event loop, or as long as the event says."""
    await asyncio.sleep(event.get("wait", 0.05))
    return {"count": len(event["items"]), "requestId": context.request_id}


def sync(event: dict, context: Context):
    """Count the items after 50 ms in a thread."""
    time.sleep(0.05)
    return {"count": len(event["items"]), "requestId": context.request_id}


async def stream(event: EventStream, context: Context):
    """Hash the body while it arrives."""
    digest = hashlib.sha256()
    async for chunk in event:
        digest.update(chunk)
    return {"sha256": digest.hexdigest(), "requestId": context.request_id}


async def read(event: bytes, context: Context):
    """Take the body whole."""
    return {"size": len(event), "requestId": context.request_id}
