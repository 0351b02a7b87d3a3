"""Stock aiohttp for the conformance table: an application with two routes, run by `run_app`."""

import sys

from aiohttp import web


async def invoke(request):
    return web.Response(body=await request.read())


async def health(_request):
    return web.Response(text="fine")


app = web.Application()
app.router.add_post("/invoke", invoke)
app.router.add_get("/health", health)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
