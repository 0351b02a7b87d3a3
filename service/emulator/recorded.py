"""The recording of the calls of an emulator: what each function was sent, answered and wrote."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..protocol import INVOKE
from ..recording.form import MAX_LINES, EndedCall
from ..recording.lines import recorded_lines
from ..recording.replaced import variables_of
from ..recording.writer import RecordingWriter
from .account import Account
from .calls import Invocation, Invoker, Outcome, PlatformError
from .instances.contract import Requests
from .log import CallLine, Log
from .spec.model import DeployedFunction


class EmulatorRecording:
    """Records a share `rate` of the calls of all functions, from `start` to `close`."""

    def __init__(
        self,
        folder: Path,
        tell: Callable[[str], None],
        *,
        rate: float,
        limit: int,
        credentials: Iterable[str] = (),
    ) -> None:
        """See `RecordingWriter`."""
        credentials = [*credentials, *variables_of(os.environ)]
        self._writer = RecordingWriter(
            folder, "emulator", tell, rate=rate, limit=limit, credentials=credentials
        )
        self._rate = rate
        self._lines: dict[str, _Lines] = {}
        self.start = self._writer.start
        self.close = self._writer.close

    def overheard(self, log: Log) -> Log:
        """Return a log whose lines are heard, too."""
        return _OverheardLog(log, self._lines)

    def around(self, invoker: Invoker, function: DeployedFunction) -> Invoker:
        """Return what calls a function and records it."""
        return _RecordedCalls(self, invoker, Requests(function, Account()))

    def begin(self, request_id: str) -> bool:
        """Return whether a call is recorded; if so, hear its lines from now on."""
        wanted = self._rate >= 1 or random.random() < self._rate
        if not wanted or self._writer.is_over or request_id in self._lines:
            return False
        self._lines[request_id] = _Lines()
        return True

    def lines_of(self, request_id: str) -> list[str]:
        """Return the lines of a call, which has ended."""
        return recorded_lines("\n".join(self._lines.pop(request_id).texts))

    def put(self, call: EndedCall) -> None:
        """Have a call written."""
        self._writer.put(call)


class _RecordedCalls:
    """An invoker whose calls are recorded."""

    def __init__(self, recording: EmulatorRecording, invoker: Invoker, requests: Requests) -> None:
        self._recording = recording
        self._invoker = invoker
        self._requests = requests

    @property
    def room(self) -> int:
        """Calls that would be taken now."""
        return self._invoker.room

    async def invoke(self, call: Invocation) -> Outcome:
        """Pass the call on. Raises PlatformError."""
        recording = self._recording
        if not recording.begin(call.request_id):
            return await self._invoker.invoke(call)
        arrived, began = time.time(), time.perf_counter()

        def end(result: bytes, error: str) -> None:
            took, lines = time.perf_counter() - began, recording.lines_of(call.request_id)
            headers = self._headers(call)
            recording.put(
                EndedCall(
                    call.request_id,
                    call.function,
                    arrived,
                    took,
                    headers,
                    call.event,
                    result,
                    error,
                    lines,
                )
            )

        try:
            outcome = await self._invoker.invoke(call)
        except PlatformError as refused:
            end(b"", refused.code)
            raise
        except BaseException:  # its caller has left
            recording.lines_of(call.request_id)
            raise
        end(outcome.body, outcome.error_type)
        return outcome

    def _headers(self, call: Invocation) -> dict[str, str]:
        """Return what an instance is sent with the call; its keys are any."""
        size, session = len(call.event), call.session or ""
        head = self._requests.head(INVOKE, call.request_id, size, call.retry_count, session)
        fields = (line.partition(": ") for line in head.decode().split("\r\n")[1:] if line)
        return {name: value for name, _, value in fields}


class _Lines:
    """The lines of a call that runs, as far as there is room for them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        """Take a line."""
        if self._size < MAX_LINES:
            self.texts.append(text[: MAX_LINES - self._size])
            self._size += len(text)


class _OverheardLog(Log):
    """A log whose lines of calls that are recorded are kept for these."""

    def __init__(self, log: Log, lines: dict[str, _Lines]) -> None:
        self._log = log
        self._lines = lines

    def lines(self, lines: Sequence[CallLine], *, function: str = "", instance: str = "") -> None:
        """Write lines."""
        for text, request_id in lines:
            if request_id and (kept := self._lines.get(request_id)):
                kept.add(text)
        self._log.lines(lines, function=function, instance=instance)
