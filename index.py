"""The sample function. Replace it with yours: a file with `handler(event, context)` is all that is
needed.
"""

import asyncio
import json


async def handler(event, context):
    """Answer with what came in. Other calls are served while this one waits."""
    context.logger.info("got %d bytes", len(event))
    try:
        name = json.loads(event)["name"]
    except (ValueError, TypeError, KeyError):
        name = "World"
    print("hello from a print")
    await asyncio.sleep(0.1)  # a database, another service, ...
    return {"message": f"Hello, {name}!", "requestId": context.request_id}
