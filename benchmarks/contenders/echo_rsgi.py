"""An RSGI application for the conformance table, with no framework between it and granian."""

ROUTES = {"/invoke": ("POST",), "/health": ("GET", "HEAD")}


async def app(scope, proto):
    allowed = ROUTES.get(scope.path)
    if allowed is None:
        proto.response_bytes(404, [], b"not found")
    elif scope.method not in allowed:
        proto.response_bytes(405, [("allow", ", ".join(allowed))], b"not allowed")
    else:
        body = b"fine" if scope.path == "/health" else await proto()
        proto.response_bytes(200, [], b"" if scope.method == "HEAD" else body)
