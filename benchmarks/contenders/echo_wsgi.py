"""A WSGI application for the conformance table, with no framework between it and gunicorn."""

ROUTES = {"/invoke": ("POST",), "/health": ("GET", "HEAD")}


def app(environ, start_response):
    allowed = ROUTES.get(environ["PATH_INFO"])
    fields = []
    if allowed is None:
        status, body = "404 Not Found", b"not found"
    elif environ["REQUEST_METHOD"] not in allowed:
        status, body = "405 Method Not Allowed", b"not allowed"
        fields.append(("Allow", ", ".join(allowed)))
    else:
        status = "200 OK"
        body = b"fine" if environ["PATH_INFO"] == "/health" else environ["wsgi.input"].read()
    start_response(status, [*fields, ("Content-Length", str(len(body)))])
    return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [body]
