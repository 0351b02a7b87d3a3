"""Starlette with plain routes and no middleware; uvicorn serves it."""

import asyncio
import hashlib

import orjson
from marks import ended, started
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route


def answer(value):
    request_id = value["requestId"]
    headers = {"x-fc-request-id": request_id}
    ended(request_id)
    return Response(orjson.dumps(value), headers=headers, media_type="application/json")


async def invoke(request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    event = orjson.loads(await request.body())
    return answer({"count": len(event["items"]), "requestId": request_id})


async def wait(request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    event = orjson.loads(await request.body())
    await asyncio.sleep(0.05)
    return answer({"count": len(event["items"]), "requestId": request_id})


async def stream(request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    digest = hashlib.sha256()
    async for chunk in request.stream():
        digest.update(chunk)
    return answer({"sha256": digest.hexdigest(), "requestId": request_id})


async def read(request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    return answer({"size": len(await request.body()), "requestId": request_id})


app = Starlette(
    routes=[
        Route(f"/{endpoint.__name__}", endpoint, methods=["POST"])
        for endpoint in (invoke, wait, stream, read)
    ]
)
