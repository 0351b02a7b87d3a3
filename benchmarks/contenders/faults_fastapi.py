"""The function of `index.py` behind FastAPI, as its documentation has it."""

from types import SimpleNamespace

from fastapi import FastAPI, Request, Response

import index

app = FastAPI()


@app.post("/invoke")
async def invoke(request: Request):
    request_id = request.headers.get("x-fc-request-id", "")
    context = SimpleNamespace(request_id=request_id, headers=request.headers)
    result = await index.handler(await request.body(), context)
    body = result if isinstance(result, bytes) else str(result)
    return Response(body, headers={"x-fc-request-id": request_id})
