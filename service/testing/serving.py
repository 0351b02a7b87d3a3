"""`fc_service`: the function behind a real socket, for one test."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from msgspec.structs import replace

from .. import protocol
from ..instance.assembly import SERVICE
from ..process.loop import run_to_end, wind_up
from ..process.serve import listen, serve_until_ending, serving_loop
from .call_logs import CallLogs
from .contexts import headers_of
from .instances import NamedHandler, TestedInstance
from .invoking import value_of
from .samples import event_body

OPEN_CONNECTIONS = 1000
"""Connections to it that may be open at once."""


class ServedAnswer(Exception):
    """The service has answered with an error: `status`, and the error's JSON as `value`."""

    def __init__(self, status: int, value: Any) -> None:
        super().__init__(f"status {status}: {value}")
        self.status = status
        self.value = value


class ServedFunction:
    """The function behind a socket of 127.0.0.1, served as `python -m service` serves it, on an
    event loop in a thread of its own: `url`.
    """

    def __init__(self, handler: NamedHandler, log: CallLogs, settings: dict[str, Any]) -> None:
        self._instance = TestedInstance(handler, log, settings)
        self._loop = serving_loop(self._instance.loaded.settings)
        self._main = self._loop.create_task(self._serve())
        self._thread = threading.Thread(target=self._run, name="fc-service", daemon=True)
        self._started: Future[None] = Future()
        self.url = ""

    def start(self) -> None:
        """Start it, and its initializer, and return once it listens. Raises what hinders it."""
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self.stop()
            raise

    def invoke(self, event: object = b"{}", **values: Any) -> Any:
        """Return the result of one call over the socket, as its caller reads it; where an event
        loop runs, an awaitable of it. `values` are those of `fc_context`.

        Raises ServedAnswer for an answer that is an error, RuntimeError once it has stopped.
        """
        if not self._thread.is_alive():
            raise RuntimeError("the service has stopped: fc_service serves until its test ends")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._invoke(event_body(event), values)
        return asyncio.to_thread(self._invoke, event_body(event), values)

    def stop(self) -> None:
        """Stop it as the platform does, `pre_stop` included, and warn of tasks that were left."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended by itself
            self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join()
        self._instance.warn()
        self._instance.left.clear()  # that is told once

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)  # of this thread
        try:
            run_to_end(self._loop, self._main)
        except asyncio.CancelledError:
            pass  # it was stopped
        except BaseException as reason:
            self._started.set_exception(reason)
        finally:
            wind_up(self._loop)

    async def _serve(self) -> int:
        """Serve until this is cancelled. Raises what hinders it."""
        async with self._instance.running(self._on_a_socket) as service:
            await service.lifecycle.initialized()
            self._started.set_result(None)
            await asyncio.Event().wait()
        return 0

    @contextlib.asynccontextmanager
    async def _on_a_socket(self, app: web.Application) -> AsyncIterator[None]:
        loop, service = asyncio.get_running_loop(), app[SERVICE]
        listening: asyncio.Future[str] = loop.create_future()
        with listen(replace(service.settings, host="127.0.0.1", port=0)) as sock:
            work = serve_until_ending(app, sock, OPEN_CONNECTIONS, listening.set_result)
            serving = loop.create_task(work)
            try:
                first: list[asyncio.Future[Any]] = [serving, listening]
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()  # raises what hinders it
                self.url = listening.result()
                yield
            finally:
                service.lifecycle.ending.set()
                await serving

    def _invoke(self, body: bytes, values: dict[str, Any]) -> Any:
        headers = headers_of(values)
        self._instance.note(headers[protocol.REQUEST_ID])
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port)
        try:
            connection.request("POST", protocol.INVOKE.path, body, headers)
            answer = connection.getresponse()
            value = value_of(answer.read())
        finally:
            connection.close()
        if answer.status != 200 or answer.headers.get(protocol.STATUS) == "404":
            raise ServedAnswer(answer.status, value)
        return value
