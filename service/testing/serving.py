"""`fc_service`: the function behind a real socket, for one test."""

from __future__ import annotations

import asyncio
import http.client
import threading
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from .. import protocol
from .call_logs import CallLogs
from .contexts import headers_of
from .instances import NamedHandler, TestedInstance
from .invoking import value_of
from .samples import event_body


class ServedAnswer(Exception):
    """The service has answered with an error: `status`, and the error's JSON as `value`."""

    def __init__(self, status: int, value: Any) -> None:
        super().__init__(f"status {status}: {value}")
        self.status = status
        self.value = value


class ServedFunction:
    """The function behind a socket of 127.0.0.1, on an event loop in a thread of its own: `url`."""

    def __init__(self, handler: NamedHandler, log: CallLogs, settings: dict[str, Any]) -> None:
        self._instance = TestedInstance(handler, log, settings)
        self._loop = asyncio.new_event_loop()
        self._running = AsyncExitStack()
        self._thread = threading.Thread(target=self._serve, name="fc-service", daemon=True)
        self.url = ""

    def start(self) -> None:
        """Start it, and its initializer, and return once it listens. Raises what hinders it."""
        self._thread.start()
        try:
            self._do(self._start())
        except BaseException:
            self.stop()
            raise

    def invoke(self, event: object = b"{}", **values: Any) -> Any:
        """Return the result of one call over the socket, as its caller reads it; where an event
        loop runs, an awaitable of it. `values` are those of `fc_context`.

        Raises ServedAnswer for an answer that is an error.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._invoke(event_body(event), values)
        return asyncio.to_thread(self._invoke, event_body(event), values)

    def stop(self) -> None:
        """Stop it as the platform does, `pre_stop` included, and warn of tasks that were left."""
        if self._loop.is_closed():
            return
        try:
            self._do(self._running.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        self._instance.warn()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)  # of this thread
        self._loop.run_forever()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self) -> None:
        service = await self._running.enter_async_context(self._instance.running())
        assert self._instance.runner is not None
        site = web.TCPSite(self._instance.runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._instance.runner.addresses[0]
        self.url = f"http://{host}:{port}"
        await service.lifecycle.initialized()

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
