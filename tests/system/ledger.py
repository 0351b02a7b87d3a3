"""The ledger: what became of each request, as its caller and the function both wrote it down.

`tests/handlers/ledgered.py` writes the function's side.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Literal

from tests.harness import ANSWERS_WITHIN, Answer, Client, request

Fate = Literal["answered", "never run", "run without an answer", "answered twice", "run twice"]


class Ledger:
    """The requests of one test, by their ids."""

    def __init__(self, file: Path) -> None:
        """`file` is what the function writes to."""
        self.file = file
        self.sent: list[str] = []
        self.answers: Counter[str] = Counter()
        self._kept = False
        self._text = ""
        self.halves = 0
        """Answers that ended in their middle."""

    def read(self) -> str:
        """Return what the function has written by now."""
        return self.file.read_text() if self.file.exists() else ""

    def keep(self) -> None:
        """Know what the function has written though its file goes away."""
        self._text, self._kept = self.read(), True

    def new_id(self) -> str:
        """Return the id of a new request."""
        self.sent.append(f"call-{len(self.sent)}")
        return self.sent[-1]

    def note(self, answer: Answer) -> None:
        """Count an answer for the request that it names."""
        self.answers[answer.headers.get("x-fc-request-id", "")] += 1

    def lines(self, word: str) -> list[list[str]]:
        """Return what the function wrote with this word: the ids and the processes."""
        text = self._text if self._kept else self.read()
        lines = (line.split() for line in text.splitlines())
        return [rest for first, *rest in lines if first == word]

    def runs(self) -> Counter[str]:
        """Return how often the function has begun to run each request by now."""
        return Counter(request_id for request_id, _ in self.lines("began"))

    def fates(self) -> dict[str, Fate]:
        """Return what became of each request."""
        runs = self.runs()
        return {name: _fate(self.answers[name], runs[name]) for name in self.sent}

    def count(self) -> Counter[Fate]:
        """Return how many requests met each fate."""
        return Counter(self.fates().values())


def _fate(answers: int, runs: int) -> Fate:
    if answers > 1:
        return "answered twice"
    if runs > 1:
        return "run twice"
    if answers:
        return "answered"
    return "run without an answer" if runs else "never run"


class Caller:
    """A connection whose requests and answers are in the ledger."""

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self.client = client
        self.ledger = ledger

    def data(self, event: bytes, **headers: str) -> bytes:
        """Return the bytes of a new request, which the ledger expects to be sent."""
        return request(event, request_id=self.ledger.new_id(), **headers)

    async def send(self, event: bytes, **headers: str) -> None:
        """Send a new request."""
        await self.client.send(self.data(event, **headers))

    async def answer(self, within: float = ANSWERS_WITHIN) -> Answer | None:
        """Return the next answer, None where the connection ends, or nothing comes."""
        try:
            async with asyncio.timeout(within):
                answer = await self.client.answer()
        except asyncio.IncompleteReadError as reason:
            self.ledger.halves += bool(reason.partial or reason.expected)
            return None
        except (ConnectionError, TimeoutError):
            return None
        self.ledger.note(answer)
        return answer

    async def ask(self, event: bytes, **headers: str) -> Answer | None:
        """Send a new request and return its answer."""
        try:
            await self.send(event, **headers)
        except ConnectionError:
            return None
        return await self.answer()
