"""How an answer leaves: as one block of bytes, or written by aiohttp's StreamWriter.

Most answers are small, and are all that is to be done for their request: they are one block, head
and body. What is large or unusual, or ends its connection, is written field by field and as fast as
its client takes it. Both wait until what the call has logged is out, since the instance may freeze
after an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpVersion11, RawRequestMessage, StreamWriter
from aiohttp.streams import StreamReader

from .answers import Answer
from .backend import Backend
from .flow import Flow


class AnswerWriter:
    """Writes the answers of one connection. `stream` is what the next request is made with, and its
    answer written to if it is no block.
    """

    __slots__ = ("_backend", "_flow", "_protocol", "stream")

    def __init__(self, protocol: BaseProtocol, backend: Backend, flow: Flow) -> None:
        self._protocol = protocol
        self._backend = backend
        self._flow = flow
        self.stream = StreamWriter(protocol, backend.loop)

    def block(
        self, response: web.StreamResponse, message: RawRequestMessage, body: StreamReader
    ) -> bytes | None:
        """Return the answer as a block, None if it has to be written with `write`: if there is more
        to it, nobody else may see it like this, or something of the request is left to be read.
        """
        if (
            isinstance(response, Answer)
            and message.version == HttpVersion11
            and message.method != "HEAD"
            and body.is_eof()
            and self.takes_blocks
        ):
            return response.block()
        return None

    @property
    def takes_blocks(self) -> bool:
        """True if an answer may be a block now: its client reads, and nobody else looks at it."""
        backend = self._backend
        reads = not self._flow.unread
        return reads and backend.plain and not backend.lifecycle.draining.is_set()

    async def write(
        self, request: web.BaseRequest, response: web.StreamResponse, is_last: Callable[[], bool]
    ) -> bool:
        """Write an answer aiohttp's way; return whether it could be sent.

        Its bytes count for the budget until its client has taken them. `is_last` is asked when it
        is about to be written whether it ends the connection.
        """
        size = _size(response)
        self._backend.budget.hold(size)
        try:
            await self._logged()
            if is_last():
                response.force_close()
            return await self._send(request, response)
        finally:
            self._backend.budget.release(size)

    async def _logged(self) -> None:
        """Wait until what the call has logged is out."""
        out = asyncio.Event()
        self._backend.when_out(out.set)
        await out.wait()

    async def _send(self, request: web.BaseRequest, response: web.StreamResponse) -> bool:
        """Write head and body; return whether they could be sent."""
        if self._protocol.transport is None:
            return False
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            return False
        finally:
            self.stream = StreamWriter(self._protocol, self._backend.loop)
            if isinstance(response, (Answer, web.Response)):
                response.body = None  # else an idle connection kept it (docs/faults.md F21)
        return True


def _size(response: web.StreamResponse) -> int:
    """Return the bytes of an answer that it holds until its client has taken them."""
    body = response.body if isinstance(response, (Answer, web.Response)) else None
    return len(body) if isinstance(body, (bytes, bytearray)) else 0
