"""The function of `index.py` behind Flask, as its documentation has it."""

from types import SimpleNamespace

from flask import Flask, Response, request

import index

app = Flask(__name__)


@app.post("/invoke")
def invoke():
    request_id = request.headers.get("x-fc-request-id", "")
    context = SimpleNamespace(request_id=request_id, headers=request.headers)
    result = index.plain(request.get_data(), context)
    body = result if isinstance(result, bytes) else str(result)
    return Response(body, headers={"x-fc-request-id": request_id})
