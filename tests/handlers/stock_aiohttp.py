"""The function of `ledgered.py` behind aiohttp as its documentation has it, for comparison.

`python stock_aiohttp.py PORT WORKERS IDLE`: one or two processes, which then share the port by
`reuse_port`; IDLE is `keepalive_timeout` in seconds, 0 for aiohttp's default.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import SimpleNamespace
from typing import Any

from aiohttp import web

REQUEST_ID = "x-fc-request-id"

index: Any = importlib.import_module("index")  # ledgered.py, under the name of a function's file


async def invoke(request: web.Request) -> web.Response:
    """Run an event."""
    request_id = request.headers.get(REQUEST_ID, "")
    event = await request.read()
    result = await index.handler(
        event, SimpleNamespace(request_id=request_id, headers=request.headers)
    )
    body = result if isinstance(result, bytes) else str(result).encode()
    return web.Response(body=body, headers={REQUEST_ID: request_id})


def serve(port: int, workers: int, idle: float) -> None:
    """Serve until a signal."""
    if workers > 1:
        os.fork()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/invoke", invoke)
    options: dict[str, Any] = {"keepalive_timeout": idle} if idle else {}
    web.run_app(
        app,
        host="127.0.0.1",
        port=port,
        reuse_port=workers > 1,
        access_log=None,
        print=None,
        **options,
    )


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
