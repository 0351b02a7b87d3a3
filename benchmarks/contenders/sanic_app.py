"""Sanic in one process, without its access log; its loop is uvloop, its parser its own."""

import sys

import orjson
from marks import ended, started
from sanic import HTTPResponse, Sanic

app = Sanic("bench", configure_logging=False)


@app.post("/invoke")
async def invoke(request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    event = orjson.loads(request.body)
    body = orjson.dumps({"count": len(event["items"]), "requestId": request_id})
    ended(request_id)
    return HTTPResponse(
        body, headers={"x-fc-request-id": request_id}, content_type="application/json"
    )


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        single_process=True,
        access_log=False,
        motd=False,
        backlog=1024,
    )
