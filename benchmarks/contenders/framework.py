"""functions-framework: one function is the whole application."""

import time

import orjson
from flask import Response
from marks import ended, started


def answer(value):
    request_id = value["requestId"]
    headers = {"x-fc-request-id": request_id}
    ended(request_id)
    return Response(orjson.dumps(value), headers=headers, content_type="application/json")


def invoke(request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    event = orjson.loads(request.get_data())
    return answer({"count": len(event["items"]), "requestId": request_id})


def sync(request):
    request_id = request.headers["x-fc-request-id"]
    started(request_id)
    event = orjson.loads(request.get_data())
    time.sleep(0.05)
    return answer({"count": len(event["items"]), "requestId": request_id})
