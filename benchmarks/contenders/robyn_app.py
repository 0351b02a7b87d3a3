"""Robyn with one process and one worker, which its command line says."""

import os

import orjson
from marks import ended, started
from robyn import Request, Response, Robyn

app = Robyn(__file__)


@app.post("/invoke")
async def invoke(request: Request):
    request_id = request.headers.get("x-fc-request-id")
    started(request_id)
    event = orjson.loads(request.body)
    body = orjson.dumps({"count": len(event["items"]), "requestId": request_id})
    ended(request_id)
    headers = {"x-fc-request-id": request_id, "content-type": "application/json"}
    return Response(200, headers, body)


if __name__ == "__main__":
    app.start(host="127.0.0.1", port=int(os.environ["PORT"]))
