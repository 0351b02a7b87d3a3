"""BlackSheep; uvicorn serves it."""

import orjson
from blacksheep import Application, Content, Request, Response, post
from marks import ended, started

app = Application()


@post("/invoke")
async def invoke(request: Request):
    name = request.get_first_header(b"x-fc-request-id")
    request_id = name.decode()
    started(request_id)
    event = orjson.loads(await request.read())
    body = orjson.dumps({"count": len(event["items"]), "requestId": request_id})
    ended(request_id)
    return Response(200, [(b"x-fc-request-id", name)], Content(b"application/json", body))
