"""The direct way of InvokeFunction: of a call whose head was seen before, byte by byte, and whose
whole request is here.

Who calls in a loop sends the same head again and again. What it says is read once; no `web.Request`
is made of it then, and no middleware and no router is asked. What is answered is the same as on
aiohttp's way (`routes.py`), and comes from the same functions. Signed requests never take it: no
two have the same head.
"""

from __future__ import annotations

import asyncio
import re
from contextvars import Context
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDictProxy

from ...calls.tasks import eager_task
from ...http.direct import Client
from ...protocol import new_request_id
from ..calls import Invocation, Outcome, PlatformError
from .answers import block, identified, platform_error, refusal, result_fields
from .platform import EmulatedPlatform
from .requests import SYNC_LIMIT, VERSION

MAX_HEADS, MAX_HEAD = 1024, 4096
"""Heads that are known, with one more all are forgotten; and the bytes of one."""

_PATH = re.compile(rf"{VERSION}/functions/([A-Za-z0-9_-]+)/invocations")
_KINDS = {"x-fc-invocation-type": ("", "sync"), "x-fc-log-type": ("", "none", "tail")}
_UNUSUAL = ("Connection", "Expect", "Transfer-Encoding", "Upgrade", "Authorization", "Cookie")
"""Fields that ask for more than an answer, or differ from call to call."""


@dataclass(slots=True)
class KnownHead:
    """What a head says: whose call it is, how many bytes its event has, what else is wanted.

    `admitted` is the address of ours at which it was let in the last time.
    """

    function: str
    size: int
    tail: bool
    headers: CIMultiDictProxy[str]
    admitted: str = ""


class DirectInvocations:
    """Runs InvokeFunction for heads that are known."""

    message: RawRequestMessage
    """The head of any such call: what is written asks for its version alone."""

    def __init__(self, platform: EmulatedPlatform) -> None:
        self.platform = platform
        self._heads: dict[bytes, KnownHead] = {}

    def learn(self, head: bytes, message: RawRequestMessage) -> None:
        """Take note of a head that was read, if it asks for nothing but a synchronous call."""
        if self.platform.verifier is not None or len(head) > MAX_HEAD:
            return
        if (known := _known(message)) is not None:
            if len(self._heads) >= MAX_HEADS:
                self._heads.clear()
            self._heads[head] = known
            self.message = message

    def match(self, data: bytes) -> tuple[KnownHead, bytes] | None:
        """Return what a packet says if it is the whole request of a call that can go this way."""
        end = data.find(b"\r\n\r\n") + 4
        known = self._heads.get(data[:end])
        if known is None or len(data) - end != known.size:
            return None
        function = self.platform.functions.get(known.function)
        if function is None or function.sessions is not None:
            return None
        return known, data[end:]

    def begin(
        self, sent: tuple[KnownHead, bytes], loop: asyncio.AbstractEventLoop, client: Client
    ) -> DirectInvocation:
        """Run a call up to its first wait."""
        call = DirectInvocation(self.platform, client)
        call.task = eager_task(call.work(*sent), loop, Context())
        return call


def _known(message: RawRequestMessage) -> KnownHead | None:
    """Return what a head says, None if it is not a plain one."""
    headers, path = message.headers, _PATH.fullmatch(message.path)
    size = headers.get("Content-Length", "")
    if (
        path is None
        or message.method != "POST"
        or message.version != HttpVersion11
        or any(name in headers for name in _UNUSUAL)
        or len({name.lower() for name in headers}) != len(headers)
        or not (size.isascii() and size.isdigit() and int(size) <= SYNC_LIMIT)
        or any(headers.get(name, "").lower() not in kinds for name, kinds in _KINDS.items())
    ):
        return None
    tail = headers.get("x-fc-log-type", "").lower() == "tail"
    return KnownHead(path[1], int(size), tail, headers)


class DirectInvocation:
    """A call that answers its client itself; cancelled, its client is gone."""

    __slots__ = ("_client", "_platform", "is_answered", "task")
    task: asyncio.Task[None]

    def __init__(self, platform: EmulatedPlatform, client: Client) -> None:
        self._platform = platform
        self._client = client
        self.is_answered = False

    async def work(self, head: KnownHead, event: bytes) -> None:
        """Make the call, and answer it."""
        request_id = new_request_id()
        client, platform = self._client, self._platform
        try:
            if (arrived := str(client.sockname[0])) != head.admitted:
                platform.hosts.check(head.headers, arrived)
                head.admitted = arrived
            call = Invocation(head.function, event, request_id, 0, head.tail)
            outcome = await platform.invokers[head.function].invoke(call)
        except Exception as reason:
            self._refuse(platform_error(reason, f"InvokeFunction of {head.function}"), request_id)
        except BaseException:
            if not self.is_answered:
                self.is_answered = True
                client.give_up_call()
            raise
        else:
            self._answer(outcome, request_id)

    def _answer(self, outcome: Outcome, request_id: str) -> None:
        client, body = self._client, outcome.body
        fields = result_fields(outcome)
        self.is_answered = True
        if client.takes_block(len(body)):
            client.write_block(block(fields, request_id, body))
        else:
            client.answer_with(identified(web.Response(body=body, headers=fields), request_id))

    def _refuse(self, error: PlatformError, request_id: str) -> None:
        self.is_answered = True
        self._client.answer_with(identified(refusal(error, request_id), request_id))

    def cancel(self) -> None:
        """End the call without an answer: its client is gone. In its instance it goes on."""
        if not self.is_answered:
            self.is_answered = True
            self.task.cancel()
            self._client.give_up_call()
