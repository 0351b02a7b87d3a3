"""The function of `index.py` as a function of functions-framework."""

from types import SimpleNamespace

from flask import Response

import index


def invoke(request):
    request_id = request.headers.get("x-fc-request-id", "")
    context = SimpleNamespace(request_id=request_id, headers=request.headers)
    result = index.plain(request.get_data(), context)
    body = result if isinstance(result, bytes) else str(result)
    return Response(body, headers={"x-fc-request-id": request_id})
