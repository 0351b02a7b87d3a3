"""How the workers of one instance do a thing together: each asks all others, by mail.

Every worker has a mailbox, a socket pair that exists before the first of them does: it needs no
file system, and a worker that takes a dead one's place finds its mail there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from ..calls.tasks import own
from ..context import RUNNING, Context, Platform, sent_headers
from ..errors import ServiceError, Stopping
from ..instance.duties import Duty, Work
from ..settings.table import Settings

LARGEST = 256 * 1024
"""Bytes of a letter: more than a socket pair takes in one piece."""

SECOND_LOOK = 0.2
"""Seconds that an answer gets after its time is up: after a freeze the time of all who wait is."""

REMEMBERED = 256
"""Questions that a worker knows again when they are asked twice."""


class Letter(msgspec.Struct, frozen=True):
    """What one worker tells another: a question, its answer, or that the sender is new there or
    reads no mail any more.

    `asker` is the process that asks: an answer for a worker's predecessor is not taken for one's
    own.
    """

    kind: Literal["question", "answer", "new", "gone"]
    sender: int
    asker: int = 0
    number: int = 0
    path: str = ""
    until: float = 0.0
    request_id: str = ""
    headers: dict[str, str] = {}
    deadline: float | None = None
    result: Any = None
    failure: tuple[int, str, str] | None = None


class PeerFailed(ServiceError):
    """A duty failed in another worker: as it would have failed here."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Mailbox:
    """Where letters for one worker arrive, and where the others put them."""

    inside: socket.socket
    slot: socket.socket


def mailboxes(number: int) -> list[Mailbox]:
    """Return a mailbox for each of `number` workers, to be inherited by all of them."""
    made = []
    for _ in range(number):
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in pair:
            end.setblocking(False)
        made.append(Mailbox(*pair))
    return made


def put(box: Mailbox, letter: Letter) -> None:
    """Leave a letter. A mailbox that is full belongs to a worker that has not read for long: it
    would not answer this one either.
    """
    with contextlib.suppress(OSError):
        box.slot.send(msgspec.json.encode(letter))


def take(box: Mailbox) -> list[Letter]:
    """Return the letters that have arrived."""
    letters = []
    with contextlib.suppress(BlockingIOError):
        while data := box.inside.recv(LARGEST):
            letters.append(msgspec.json.decode(data, type=Letter))
    return letters


@dataclass(frozen=True)
class Question:
    """A letter that waits for its answer from the worker at `place`."""

    place: int
    duty: Duty
    seconds: float
    letter: Letter
    answer: asyncio.Future[Letter]


class Peers:
    """One worker among the others.

    `before_answer` is called with the request id when a duty that another worker
    asked for is done.
    """

    def __init__(
        self,
        place: int,
        boxes: Sequence[Mailbox],
        settings: Settings,
    ) -> None:
        self.place = place
        self.work: Mapping[str, Work] = {}  # what this worker does for each path
        self.platform = Platform()
        self.before_answer: Callable[[str], None] = _nothing
        self._boxes = boxes
        self._settings = settings
        self._asked: dict[int, Question] = {}
        self._gone: set[int] = set()  # workers that have stopped
        self._numbers = 0
        self._known: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- asking

    async def ask(self, duty: Duty, work: Work) -> list[Any]:
        """Do a duty in every worker, here as `work` does it; return the results in the workers'
        order, None for a silent one whose silence is no failure.

        Raises the first failure once all have answered.
        """
        tasks = [
            asyncio.ensure_future(work() if place == self.place else self._ask(place, duty))
            for place in range(len(self._boxes))
        ]
        failure: ServiceError | None = None
        for each in asyncio.as_completed(tasks):
            try:
                await each
            except ServiceError as reason:
                failure = failure or reason
        if failure is not None:
            raise failure
        return [task.result() for task in tasks]

    async def _ask(self, place: int, duty: Duty) -> Any:
        if place in self._gone:
            return _of_the_gone(place, duty)
        seconds = duty.seconds(self._settings)
        answer = asyncio.get_running_loop().create_future()
        question = Question(place, duty, seconds, self._letter(duty, seconds), answer)
        self._asked[question.letter.number] = question
        try:
            put(self._boxes[place], question.letter)
            for wait in (seconds, SECOND_LOOK):
                await asyncio.wait({question.answer}, timeout=wait)
            return self._opened(question)
        finally:
            del self._asked[question.letter.number]

    def _letter(self, duty: Duty, seconds: float) -> Letter:
        self._numbers += 1
        context = RUNNING.get(None)
        return Letter(
            kind="question",
            sender=self.place,
            asker=os.getpid(),
            number=self._numbers,
            path=duty.path,
            until=time.monotonic() + seconds,
            request_id=context.request_id if context else "",
            headers=sent_headers(context) if context else {},
            deadline=context.deadline if context else None,
        )

    def _opened(self, question: Question) -> Any:
        duty, answer = question.duty, question.answer
        if answer.done():
            if answer.result().kind == "gone":
                return _of_the_gone(question.place, duty)
            failure = answer.result().failure
            if failure is not None:
                raise PeerFailed(*failure)
            return answer.result().result
        if not duty.silence_fails:
            return None
        raise ServiceError(
            f"worker {question.place + 1} did not answer {duty.path} within"
            f" {question.seconds:g} s: see its log"
        )

    # --- being asked

    def open(self) -> None:
        """Read the mail from now on, what is there already included, and say so to all others:
        what they asked a predecessor is asked again.
        """
        asyncio.get_running_loop().add_reader(self._boxes[self.place].inside, self._read)
        self._tell_all("new")

    def close(self, *, for_good: bool = False) -> None:
        """Read no more mail. Where no successor will read it, all others are told so: nobody waits
        for what is not answered.
        """
        asyncio.get_running_loop().remove_reader(self._boxes[self.place].inside)
        for task in self._tasks:
            task.cancel()
        if for_good:
            self._tell_all("gone")

    def _tell_all(self, kind: Literal["new", "gone"]) -> None:
        for place, box in enumerate(self._boxes):
            if place != self.place:
                put(box, Letter(kind=kind, sender=self.place))

    def _read(self) -> None:
        for letter in take(self._boxes[self.place]):
            if letter.kind == "question":
                self._hear(letter)
            elif letter.kind == "new":
                self._gone.discard(letter.sender)
                self._ask_again(letter.sender)
            elif letter.kind == "gone":
                self._gone.add(letter.sender)
                self._answer_for(letter)
            elif letter.asker == os.getpid() and letter.number in self._asked:
                answer = self._asked[letter.number].answer
                if not answer.done():
                    answer.set_result(letter)

    def _ask_again(self, place: int) -> None:
        for question in self._asked.values():
            if question.place == place and not question.answer.done():
                put(self._boxes[place], question.letter)

    def _answer_for(self, gone: Letter) -> None:
        for question in self._asked.values():
            if question.place == gone.sender and not question.answer.done():
                question.answer.set_result(gone)

    def _hear(self, question: Letter) -> None:
        key = (question.asker, question.number)
        if key in self._known or time.monotonic() > question.until + SECOND_LOOK:
            return  # asked twice; or nobody waits for it any more
        self._known.append(key)
        task = own(asyncio.ensure_future(self._answer(question)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: Letter) -> None:
        if question.request_id:
            RUNNING.set(
                Context(question.headers, question.request_id, question.deadline, self.platform)
            )
        result, failure = None, None
        try:
            result = await self.work[question.path]()
        except ServiceError as reason:
            failure = (reason.status, reason.code, str(reason))
        self.before_answer(question.request_id)
        put(
            self._boxes[question.sender],
            Letter(
                kind="answer",
                sender=self.place,
                asker=question.asker,
                number=question.number,
                result=result,
                failure=failure,
            ),
        )


def _of_the_gone(place: int, duty: Duty) -> None:
    """Return what a worker that has stopped says to a duty: nothing, if it is done there."""
    if not duty.is_done_at_end:
        raise Stopping(f"worker {place + 1} has stopped")


def _nothing(_request_id: str) -> None:
    """Stand in for `before_answer`."""
