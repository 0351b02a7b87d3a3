"""The direct way of a call: of one whose whole request is here and is like the last one.

It has one task, in which its handler runs and which answers it; no `web.Request` is made of it, and
no middleware is asked. The way of all other requests is aiohttp's, through `middleware.py`: what is
said and answered is the same on both, and comes from the same functions.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec
from aiohttp import web
from aiohttp.http import RawRequestMessage

from ..calls.deadline import CANCELLED, Call, Calls
from ..calls.tasks import eager_task
from ..context.call import RUNNING, Context
from ..errors import HandlerFailed
from ..protocol import INVOKE
from .answers import Answer
from .middleware import Framing, answer_failure
from .templates import Sent, Templates

Run = Callable[[Call, Context, bytes], Coroutine[Any, Any, bytes]]
"""Runs one event and returns its answer."""


class Client(Protocol):
    """Who gets the answer of a call."""

    sockname: Any
    """This end's address."""

    def answer_call(self, answer: bytes | Answer, request_id: str) -> None:
        """Send an answer: a result, or one that tells of a failure."""

    def takes_block(self, size: int) -> bool:
        """Return whether an answer with a body of so many bytes may be one block now."""

    def write_block(self, block: bytes) -> None:
        """Send an answer that is one block."""

    def answer_with(self, response: web.StreamResponse) -> None:
        """Send an answer as aiohttp writes it."""

    def give_up_call(self) -> None:
        """End the connection: there is no answer."""


class BegunCall(Protocol):
    """A call that was begun."""

    @property
    def is_answered(self) -> bool:
        """Whether its client has its answer, or gets none."""

    def cancel(self) -> object:
        """End it without an answer."""


class DirectWay(Protocol):
    """Runs calls of which no `web.Request` is made."""

    @property
    def message(self) -> RawRequestMessage:
        """The head of any such call."""

    def learn(self, head: bytes, message: RawRequestMessage) -> None:
        """Take note of a head that was read."""

    def match(self, data: bytes) -> Any:
        """Return what a packet says if it is the whole request of such a call, else None."""

    def begin(self, sent: Any, loop: asyncio.AbstractEventLoop, client: Client) -> BegunCall:
        """Run a call up to its first wait; `sent` is what `match` returned."""


class DirectCalls:
    """Runs calls that take the direct way."""

    def __init__(
        self, framing: Framing, calls: Calls, run: Run, *, max_body: int, error_trace: bool
    ) -> None:
        self.templates = Templates()
        self.learn = self.templates.learn
        self.framing = framing
        self.calls = calls
        self.error_trace = error_trace
        self._run = run
        self._max_body = max_body

    @property
    def message(self) -> RawRequestMessage:
        """The head of any call: what is written asks for its version alone."""
        return self.templates.message

    def match(self, data: bytes) -> Sent | None:
        """Return what a packet says if it is the whole request of a call that can go this way."""
        template = self.templates.last
        if template is None:
            return None
        sent = template.fit(data)
        return sent if sent is not None and len(sent[2]) <= self._max_body else None

    def begin(self, sent: Sent, loop: asyncio.AbstractEventLoop, client: Client) -> DirectCall:
        """Run a call up to its first wait."""
        fields, request_id, event = sent
        context = self.framing.context(fields, request_id)
        call = DirectCall(context.deadline, direct=self, context=context, client=client)
        work = call.work(self._run(call, context, event))
        call.task = eager_task(work, loop, call.variables)
        if not call.is_answered:
            self.calls.watch(call)
        return call


class DirectCall(Call, kw_only=True):
    """A call whose task answers it; at its deadline it is answered from outside."""

    direct: DirectCalls
    context: Context
    client: Client
    crowd: int = 0
    is_answered: bool = False
    task: Any = None
    """The task, once it has begun."""
    variables: contextvars.Context = msgspec.field(default_factory=contextvars.Context)
    """The context variables of its task."""

    async def work(self, running: Coroutine[Any, Any, bytes]) -> None:
        """Run the event, and answer the call if nobody has done so meanwhile."""
        RUNNING.set(self.context)
        try:
            self.crowd = self.direct.framing.begin(self.context, INVOKE)
            answer: bytes | Answer
            try:
                answer = await running
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    await asyncio.sleep(0)  # raises what the handler has asked for and not met
            except asyncio.CancelledError:  # by its handler, or by one beside it
                answer = self._failed(HandlerFailed(asyncio.CancelledError(CANCELLED)))
            except Exception as failure:
                answer = self._failed(failure)
            self._finish(answer)
        except BaseException:
            running.close()
            if not self.is_answered:
                self._leave()
                self.client.give_up_call()
            raise

    def _failed(self, failure: Exception) -> Answer | bytes:
        if self.is_answered:
            return b""
        error_trace = self.direct.error_trace
        return answer_failure(failure, self.context, error_trace=error_trace)

    def _finish(self, answer: bytes | Answer) -> None:
        if self.is_answered:
            return
        self._leave()
        context, failed = self.context, not isinstance(answer, bytes)
        self.direct.framing.end(context, INVOKE, crowd=self.crowd, failed=failed)
        self.client.answer_call(answer, context.request_id)

    def _leave(self) -> None:
        self.is_answered = True
        self.direct.calls.forget(self)

    # --- from outside

    def cut(self) -> None:
        """Answer the call as one that took too long, whatever its handler does."""
        self.task.get_loop().call_soon(self._expire, context=self.variables)

    def _expire(self) -> None:
        if not self.is_answered:
            self._finish(self._failed(self.direct.calls.give_up(self, self.task)))

    def cancel(self) -> None:
        """End the call without an answer."""
        if not self.is_answered:
            self._leave()
            self.direct.calls.drop(self.task)
            self.client.give_up_call()
