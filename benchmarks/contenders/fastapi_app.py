"""FastAPI, answering with bytes that orjson made, which is its quickest way; uvicorn serves it."""

import asyncio
import hashlib
import os
import time
from contextlib import asynccontextmanager

import orjson
from anyio.to_thread import current_default_thread_limiter
from fastapi import Body, FastAPI, Header, Request, Response
from marks import ended, started


@asynccontextmanager
async def lifespan(_app):
    """Give the plain handlers as many threads as asked for, in place of 40."""
    if "THREADS" in os.environ:
        current_default_thread_limiter().total_tokens = int(os.environ["THREADS"])
    yield


app = FastAPI(lifespan=lifespan, openapi_url=None)


def answer(value):
    request_id = value["requestId"]
    headers = {"x-fc-request-id": request_id}
    ended(request_id)
    return Response(orjson.dumps(value), headers=headers, media_type="application/json")


@app.post("/invoke")
async def invoke(request: Request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    event = orjson.loads(await request.body())
    return answer({"count": len(event["items"]), "requestId": request_id})


@app.post("/wait")
async def wait(request: Request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    event = orjson.loads(await request.body())
    await asyncio.sleep(0.05)
    return answer({"count": len(event["items"]), "requestId": request_id})


@app.post("/sync")
def sync(event: bytes = Body(), x_fc_request_id: str = Header()):
    started(x_fc_request_id)
    count = len(orjson.loads(event)["items"])
    time.sleep(0.05)
    return answer({"count": count, "requestId": x_fc_request_id})


@app.post("/stream")
async def stream(request: Request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    digest = hashlib.sha256()
    async for chunk in request.stream():
        digest.update(chunk)
    return answer({"sha256": digest.hexdigest(), "requestId": request_id})


@app.post("/read")
async def read(request: Request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    return answer({"size": len(await request.body()), "requestId": request_id})
