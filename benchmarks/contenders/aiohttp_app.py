"""Plain aiohttp with one middleware, on uvloop, without an access log."""

import asyncio
import hashlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import orjson
import uvloop
from aiohttp import web
from marks import ended, started

REQUEST_ID = web.RequestKey("request_id", str)


@web.middleware
async def marked(request, handler):
    request_id = request.headers["x-fc-request-id"]
    request[REQUEST_ID] = request_id
    started(request_id)
    response = await handler(request)
    response.headers["x-fc-request-id"] = request_id
    ended(request_id)
    return response


def answer(value):
    return web.Response(body=orjson.dumps(value), content_type="application/json")


async def invoke(request):
    event = orjson.loads(await request.read())
    return answer({"count": len(event["items"]), "requestId": request[REQUEST_ID]})


async def wait(request):
    event = orjson.loads(await request.read())
    await asyncio.sleep(event.get("wait", 0.05))
    return answer({"count": len(event["items"]), "requestId": request[REQUEST_ID]})


async def sync(request):
    event = orjson.loads(await request.read())
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.05)
    return answer({"count": len(event["items"]), "requestId": request[REQUEST_ID]})


async def stream(request):
    digest = hashlib.sha256()
    async for chunk in request.content.iter_any():
        digest.update(chunk)
    return answer({"sha256": digest.hexdigest(), "requestId": request[REQUEST_ID]})


async def read(request):
    return answer({"size": len(await request.read()), "requestId": request[REQUEST_ID]})


async def with_threads(_app):
    """Give the loop's executor as many threads as asked for, in place of cores + 4."""
    if "THREADS" in os.environ:
        pool = ThreadPoolExecutor(int(os.environ["THREADS"]))
        asyncio.get_running_loop().set_default_executor(pool)


app = web.Application(middlewares=[marked], client_max_size=64 * 1024 * 1024)
app.on_startup.append(with_threads)
for handler in (invoke, wait, sync, stream, read):
    app.router.add_post(f"/{handler.__name__}", handler)

if __name__ == "__main__":
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )
