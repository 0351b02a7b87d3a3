"""functions-framework with `--asgi`: one async function is the whole application."""

import orjson
from marks import ended, started
from starlette.responses import Response


async def invoke(request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    event = orjson.loads(await request.body())
    body = orjson.dumps({"count": len(event["items"]), "requestId": request_id})
    ended(request_id)
    return Response(body, headers={"x-fc-request-id": request_id}, media_type="application/json")
