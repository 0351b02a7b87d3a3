"""A plain function that runs in a thread: nobody can stop it once it has begun."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from ..calls.threads import ThreadOutcome, attempt, end_fork


class ThreadWork:
    """One call of a plain function, with the context variables of whoever makes this."""

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        self._call = partial(function, *arguments, **named)
        self._variables = copy_context()
        self._process = os.getpid()
        self._begins = [True]  # taken by the thread, or by who lets it not begin
        self.is_running = False
        """True as long as its thread runs."""

    async def __call__(self) -> Any:
        """Return what the function returns, or raise what it raises; CancelledError if it was
        withdrawn.
        """
        outcome = await asyncio.get_running_loop().run_in_executor(None, self._run)
        if outcome is None:
            raise asyncio.CancelledError
        if outcome.failure is not None:
            raise outcome.failure
        if not inspect.iscoroutine(outcome.result):
            return outcome.result
        # A plain function around an async one: what it has begun goes on here.
        create = asyncio.get_running_loop().create_task
        return await self._variables.run(create, outcome.result)

    def withdraw(self) -> None:
        """Let it not begin, if it has not."""
        self._take()

    def _run(self) -> ThreadOutcome | None:
        if not self._take():
            return None
        self.is_running = True
        try:
            outcome = self._variables.run(attempt, self._call)
        finally:
            self.is_running = False
        if os.getpid() != self._process:
            end_fork(outcome.failure)
        return outcome

    def _take(self) -> bool:
        try:
            return self._begins.pop()
        except IndexError:
            return False
