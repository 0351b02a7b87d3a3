"""How the workers of one instance do a thing together: each asks all others, and waits for all.

The platform asks an instance for a thing once, and the request reaches one of its workers. That one
does it, and sends each other worker a question that names the row of the table of duties
(`instance/duties.py`). The other does its part under the same request id, headers and deadline, and
answers with what came of it. The request is answered once all have, with the first failure if there
was one.

Who may be silent, and for how long:

- A worker that dies takes the questions with it that it had read. Its successor says that it has
  `started`: what its predecessor was asked is asked again. A question that arrives twice is done
  once, since it is known by its asker's process and its number.
- A worker that has `ended` for good says so: nobody waits for it.
- A worker that hangs fails the duty when the duty's time is up, and a little later: after a freeze
  everybody's time is up at once, and the answer is about to come.
- Whatever the work of a duty raises is an answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..context.call import RUNNING, Context, Platform
from ..context.derived import sent_headers
from ..errors import ServiceError, Stopping
from ..instance.duties import Duty, Work
from ..protocol import SERVICE_LOGGER
from ..settings.table import Settings
from .messages import Failure, Inbox, Message, Outbox, failure_of, received

PEER_SECOND_LOOK = 0.2
"""Seconds that an answer gets after its time is up: after a freeze the time of all who wait is."""

REMEMBERED = 256
"""Questions that a worker knows again when they are asked twice."""

_log = logging.getLogger(SERVICE_LOGGER)


class PeerFailed(ServiceError):
    """A duty failed in another worker: as it would have failed here."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.status = failure.status
        self.code = failure.code


@dataclass(frozen=True)
class Question:
    """A message that waits for its answer from the worker at `place`."""

    place: int
    duty: Duty
    seconds: float
    message: Message
    answer: asyncio.Future[Message]


class Peers:
    """One worker among the others.

    `work` is what it does for each path of the table when another worker was asked.
    `before_answer` is called with the request id when that is done.
    """

    def __init__(self, place: int, inboxes: Sequence[Inbox], settings: Settings) -> None:
        self.place = place
        self.work: Mapping[str, Work] = {}
        self.platform = Platform()
        self.before_answer: Callable[[str], None] = lambda _request_id: None
        self._inbox = inboxes[place]
        self._outboxes = [Outbox(inbox) for inbox in inboxes]
        self._settings = settings
        self._asked: dict[int, Question] = {}
        self._ended: set[int] = set()  # workers that have ended for good
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
            for place in range(len(self._outboxes))
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
        if place in self._ended:
            return _of_the_ended(place, duty)
        seconds = duty.seconds(self._settings)
        answer = asyncio.get_running_loop().create_future()
        question = Question(place, duty, seconds, self._question(duty, seconds), answer)
        self._asked[question.message.number] = question
        try:
            self._outboxes[place].send(question.message)
            for wait in (seconds, PEER_SECOND_LOOK):
                await asyncio.wait({question.answer}, timeout=wait)
            return _result_of(question)
        finally:
            del self._asked[question.message.number]

    def _question(self, duty: Duty, seconds: float) -> Message:
        self._numbers += 1
        context = RUNNING.get(None)
        return Message(
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

    # --- being asked

    def open(self) -> None:
        """Read messages from now on, what is there already included, and say so to all others: what
        they asked a predecessor is asked again.
        """
        asyncio.get_running_loop().add_reader(self._inbox.reading, self._read)
        self._tell_all("started")

    def close(self, *, for_good: bool = False) -> None:
        """Read no more messages. If no successor will read them, all others are told so: nobody
        waits for what is not answered.
        """
        asyncio.get_running_loop().remove_reader(self._inbox.reading)
        for task in self._tasks:
            task.cancel()
        if for_good:
            self._tell_all("ended")
        for outbox in self._outboxes:
            outbox.close()

    def _tell_all(self, kind: Literal["started", "ended"]) -> None:
        for place, outbox in enumerate(self._outboxes):
            if place != self.place:
                outbox.send(Message(kind=kind, sender=self.place))

    def _read(self) -> None:
        for message in received(self._inbox, Message):
            if message.kind == "question":
                self._take_question(message)
            elif message.kind == "started":
                self._ended.discard(message.sender)
                self._ask_again(message.sender)
            elif message.kind == "ended":
                self._ended.add(message.sender)
                self._answer_for(message)
            elif message.asker == os.getpid() and message.number in self._asked:
                _settle(self._asked[message.number], message)

    def _ask_again(self, place: int) -> None:
        for question in self._asked.values():
            if question.place == place and not question.answer.done():
                self._outboxes[place].send(question.message)

    def _answer_for(self, ended: Message) -> None:
        for question in self._asked.values():
            if question.place == ended.sender:
                _settle(question, ended)

    def _take_question(self, question: Message) -> None:
        key = (question.asker, question.number)
        if key in self._known or time.monotonic() > question.until + PEER_SECOND_LOOK:
            return  # asked twice; or nobody waits for it any more
        self._known.append(key)
        task = asyncio.ensure_future(self._answer(question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: Message) -> None:
        if question.request_id:
            RUNNING.set(
                Context(question.headers, question.request_id, question.deadline, self.platform)
            )
        result, failure = None, None
        try:
            result = await self.work[question.path]()
        except ServiceError as reason:
            failure = failure_of(reason)
        except Exception as reason:
            _log.error("%s failed: %s", question.path, type(reason).__name__)
            failure = failure_of(ServiceError("the service failed: see its log"))
        self.before_answer(question.request_id)
        self._outboxes[question.sender].send(
            Message(
                kind="answer",
                sender=self.place,
                asker=question.asker,
                number=question.number,
                result=result,
                failure=failure,
            )
        )


def _settle(question: Question, answer: Message) -> None:
    if not question.answer.done():
        question.answer.set_result(answer)


def _result_of(question: Question) -> Any:
    """Return what the answer says, once it is there or its time is up."""
    if question.answer.done():
        answer = question.answer.result()
        if answer.kind == "ended":
            return _of_the_ended(question.place, question.duty)
        if answer.failure is not None:
            raise PeerFailed(answer.failure)
        return answer.result
    if not question.duty.silence_fails:
        return None
    raise ServiceError(
        f"worker {question.place + 1} did not answer {question.duty.path} within"
        f" {question.seconds:g} s: see its log"
    )


def _of_the_ended(place: int, duty: Duty) -> None:
    """Return what a worker that has ended says to a duty: nothing, if it is done there."""
    if not duty.is_done_at_end:
        raise Stopping(f"worker {place + 1} has stopped")
