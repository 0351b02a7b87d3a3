"""An ASGI application for the conformance table, with no framework between it and uvicorn."""

ROUTES = {"/invoke": ("POST",), "/health": ("GET", "HEAD")}


async def read(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    allowed = ROUTES.get(scope["path"])
    fields = []
    if allowed is None:
        status, body = 404, b"not found"
    elif scope["method"] not in allowed:
        status, body = 405, b"not allowed"
        fields.append((b"allow", ", ".join(allowed).encode()))
    else:
        status, body = 200, b"fine" if scope["path"] == "/health" else await read(receive)
    fields.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
