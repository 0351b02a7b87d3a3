"""granian's own interface, RSGI: no framework in between."""

import asyncio
import hashlib

import orjson
from marks import ended, started


async def invoke(proto, request_id):
    event = orjson.loads(await proto())
    return {"count": len(event["items"]), "requestId": request_id}


async def wait(proto, request_id):
    event = orjson.loads(await proto())
    await asyncio.sleep(event.get("wait", 0.05))
    return {"count": len(event["items"]), "requestId": request_id}


async def stream(proto, request_id):
    digest = hashlib.sha256()
    async for chunk in proto:
        digest.update(chunk)
    return {"sha256": digest.hexdigest(), "requestId": request_id}


async def read(proto, request_id):
    return {"size": len(await proto()), "requestId": request_id}


ROUTES = {f"/{handler.__name__}": handler for handler in (invoke, wait, stream, read)}


class App:
    async def __rsgi__(self, scope, proto):
        request_id = scope.headers["x-fc-request-id"]
        started(request_id)
        body = orjson.dumps(await ROUTES[scope.path](proto, request_id))
        ended(request_id)
        headers = [("x-fc-request-id", request_id), ("content-type", "application/json")]
        proto.response_bytes(200, headers, body)


app = App()
