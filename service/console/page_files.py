"""The files of the page: what lies in the folder `page`, and nothing else."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parent / "page"

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""What a browser is told of a file; others are text."""


class PageFiles:
    """Serves the files that are there when it is made."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        found = (each for each in folder.rglob("*") if each.is_file())
        self._files = {f"/{each.relative_to(folder).as_posix()}": each for each in found}

    async def serve(self, request: web.Request) -> web.Response:
        """Return a file by its path. Raises HTTPNotFound."""
        path = "/index.html" if request.path == "/" else request.path
        if (file := self._files.get(path)) is None:
            raise web.HTTPNotFound()
        kind = _TYPES.get(file.suffix, "text/plain")
        charset = None if kind == "image/png" else "utf-8"
        return web.Response(body=file.read_bytes(), content_type=kind, charset=charset)
