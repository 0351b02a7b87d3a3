"""What the processes of an instance tell one another: its form, and how it is sent and received.

A message is one piece on a socket pair, so that several processes can send to one without mixing.
Whatever text is in it, it can be sent: what UTF-8 has no bytes for goes as it is, and what is too
large is shortened.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec

from ..errors import ServiceError, StartError
from ..protocol import shortened

LARGEST_MESSAGE = 128 * 1024
"""Bytes of a message. A socket pair takes 208 KiB by default, and only what fits in at once."""

MOST_WAITING = 256
"""Messages that are kept for a worker that has not read for long: it would not answer further ones
either.
"""

S = TypeVar("S", bound=msgspec.Struct)


class Failure(msgspec.Struct, frozen=True):
    """An error on its way to another process."""

    status: int
    code: str
    text: str


class Message(msgspec.Struct, frozen=True):
    """What one worker tells another: a question, its answer, or that the sender has just started,
    or has ended for good.

    `asker` is the process that asks: an answer for a worker's predecessor is not taken for one's
    own. `until` is a monotonic time, which all processes share.
    """

    kind: Literal["question", "answer", "started", "ended"]
    sender: int
    asker: int = 0
    number: int = 0
    path: str = ""
    until: float = 0.0
    request_id: str = ""
    headers: dict[str, str] = {}
    deadline: float | None = None
    result: Any = None
    failure: Failure | None = None


class WorkerReport(msgspec.Struct, frozen=True):
    """What a worker tells the supervisor, once: that it serves, or why it cannot."""

    pid: int
    banner: list[str] = []
    failure: str | None = None
    exit_code: int = 0


def failure_of(error: ServiceError) -> Failure:
    """Return an error as it is sent: with as much of its text as a caller is told."""
    return Failure(error.status, error.code, shortened(str(error)))


def report_of(pid: int, error: StartError) -> WorkerReport:
    """Return a worker's report that it cannot start."""
    return WorkerReport(pid, failure=shortened(str(error)), exit_code=error.exit_code)


def encoded(message: msgspec.Struct) -> bytes:
    """Return a message's bytes. Of a request's headers the largest are left out if all of them are
    too large together: a request has never needed them for what workers ask one another.
    """
    data = _encoded(message)
    while len(data) > LARGEST_MESSAGE and isinstance(message, Message) and message.headers:
        headers = dict(message.headers)
        del headers[max(headers, key=lambda name: len(headers[name]))]
        message = msgspec.structs.replace(message, headers=headers)
        data = _encoded(message)
    return data


def _encoded(message: msgspec.Struct) -> bytes:
    # msgspec's own JSON and orjson refuse lone surrogates: a file name in an exception's text has
    # them, and a header that is not UTF-8.
    text = json.dumps(msgspec.to_builtins(message), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def decoded(data: bytes, kind: type[S]) -> S:
    """Return the message that `data` are the bytes of."""
    return msgspec.convert(json.loads(data.decode("utf-8", "surrogatepass")), type=kind)


@dataclass(frozen=True)
class Inbox:
    """Where messages for one process arrive, and where the others put them. It exists before the
    first of them does: a process that takes a dead one's place finds its messages there.
    """

    reading: socket.socket
    writing: socket.socket

    def close(self) -> None:
        """Give this process's copies back."""
        self.reading.close()
        self.writing.close()


def new_inbox() -> Inbox:
    """Return an inbox, to be inherited by all who use it."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LARGEST_MESSAGE)
    return Inbox(*pair)


def received(inbox: Inbox, kind: type[S]) -> Iterator[S]:
    """Yield the messages that have arrived."""
    with contextlib.suppress(BlockingIOError):
        while data := inbox.reading.recv(LARGEST_MESSAGE):
            yield decoded(data, kind)


class Outbox:
    """One process's way to another's inbox. A message that finds it full waits, in order, until
    there is room: whoever waits for an answer does not wait in vain.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._sock = inbox.writing
        self._waiting: deque[bytes] = deque()
        self._is_watched = False

    def send(self, message: Message) -> None:
        """Send a message now, or as soon as there is room."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(encoded(message))
            self._send_waiting()

    def close(self) -> None:
        """Wait for room no more."""
        if self._is_watched:
            asyncio.get_running_loop().remove_writer(self._sock)
            self._is_watched = False

    def _send_waiting(self) -> None:
        try:
            while self._waiting:
                self._sock.send(self._waiting[0])
                self._waiting.popleft()
        except BlockingIOError:
            if not self._is_watched:
                self._is_watched = True
                asyncio.get_running_loop().add_writer(self._sock, self._send_waiting)
            return
        except OSError:  # nobody has the other end any more
            self._waiting.clear()
        self.close()
