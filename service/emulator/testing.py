"""Function Compute for one test: in a `with` of a plain one, in an `async with` of another."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import UsageError
from .calls import Outcome
from .figures import CallFigures
from .instances.conditions import Options
from .instances.faults import Faults
from .instances.instance import Instance
from .instances.private import base
from .local import Event, FunctionCompute
from .log import Log
from .queue.task import AsyncTask
from .spec.model import Spec
from .spec.read import read, read_mapping

T = TypeVar("T")


class BlockingFunctionCompute:
    """`FunctionCompute` for code beside its event loop, which runs in a thread: each method returns
    when it is done. `call` runs anything else there: the `freeze` of an instance, for example.
    """

    def __init__(self, played: FunctionCompute, loop: asyncio.AbstractEventLoop) -> None:
        self._played = played
        self._loop = loop
        self.url: str = played.url
        self.faults: Faults = played.faults
        self.figures: Mapping[str, CallFigures] = played.figures

    def invoke(
        self, function: str, event: Event = b"{}", *, tail: bool = False, session: str = ""
    ) -> Outcome:
        """Call a function and return its answer. Raises what `FunctionCompute.invoke` raises."""
        return self._wait(self._played.invoke(function, event, tail=tail, session=session))

    def submit(
        self, function: str, event: Event = b"{}", task_id: str = "", *, delay: float = 0.0
    ) -> AsyncTask:
        """Queue an asynchronous call. Raises what `FunctionCompute.submit` raises."""
        return self._wait(self._played.submit(function, event, task_id, delay=delay))

    def task(self, function: str, task_id: str) -> AsyncTask | None:
        """Return what became of an asynchronous call, None for one that is not known."""
        return self._wait(self._task(function, task_id))

    def instances(self, function: str) -> Sequence[Instance]:
        """Return the function's instances that are there now, the oldest first."""
        return self._played.instances(function)

    def idle(self, function: str) -> None:
        """Wait until no call of the function is running."""
        self._wait(self._played.idle(function))

    def call(self, work: Callable[[], T]) -> T:
        """Return what `work` returns on the loop's thread, or raise what it raises."""
        return self._wait(_called(work))

    async def _task(self, function: str, task_id: str) -> AsyncTask | None:
        return self._played.task(function, task_id)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class emulator:
    """Play Function Compute for a test: `with emulator("s.yaml", code=".") as fc`, or `async with`.

    `spec` is the path of the file, or what it would hold; `code` overrides each function's code
    directory. The API listens on `port` of 127.0.0.1, or on any that is free. `options` are those
    of `Options`. Asynchronous calls are kept in the file `state`, or for this test only. The log
    goes to stderr unless `log` is given.

    Entering it raises UsageError for a file with mistakes, and StartError.
    """

    def __init__(
        self,
        spec: Path | str | Mapping[str, Any],
        *,
        code: Path | str | None = None,
        port: int = 0,
        state: Path | str | None = None,
        access_key: tuple[str, str] | None = None,
        log: Log | None = None,
        **options: Any,
    ) -> None:
        """Raises TypeError for an option that there is not."""
        known = [field.name for field in fields(Options)]
        for name in options.keys() - set(known):
            raise TypeError(f"emulator() has no option {name!r}; there are {', '.join(known)}")
        self._spec = spec
        self._code = None if code is None else Path(code)
        self._port = port
        self._state = state
        self._access_key = access_key
        self._log = log
        self._options = Options(**options)
        self._running = AsyncExitStack()
        self._is_entered = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> FunctionCompute:
        """Start it. Raises RuntimeError if it runs already."""
        self._enter()
        try:
            return await self._start()
        except BaseException:
            self._is_entered = False
            raise

    def _enter(self) -> None:
        if self._is_entered:
            raise RuntimeError(
                "this emulator runs already: a second one beside it is another emulator(...)"
            )
        self._is_entered = True

    async def _start(self) -> FunctionCompute:
        async with AsyncExitStack() as parts:
            # Not in /tmp, which an instance may empty.
            folder = Path(
                parts.enter_context(tempfile.TemporaryDirectory(prefix="fc-emulator-", dir=base()))
            )
            played = FunctionCompute(
                self._read(),
                log=self._log or Log(_to_stderr),
                state=folder / "tasks.db" if self._state is None else Path(self._state),
                options=self._options,
                port=self._port,
                access_key=self._access_key,
            )
            parts.push_async_callback(played.stop)
            await played.start()
            self._running = parts.pop_all()
        return played

    async def __aexit__(self, *failure: object) -> None:
        """Stop it, with its instances."""
        try:
            await self._running.aclose()
        finally:
            self._is_entered = False

    def __enter__(self) -> BlockingFunctionCompute:
        """Start it, on an event loop in a thread of its own. Raises RuntimeError if it runs
        already.
        """
        self._enter()
        self._loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="emulator", daemon=True)
        self._thread.start()
        try:
            played = asyncio.run_coroutine_threadsafe(self._start(), loop).result()
        except BaseException:
            self._end_loop()
            raise
        return BlockingFunctionCompute(played, loop)

    def __exit__(self, *failure: object) -> None:
        """Stop it, with its instances."""
        assert self._loop is not None
        try:
            asyncio.run_coroutine_threadsafe(self.__aexit__(), self._loop).result()
        finally:
            self._end_loop()

    def _end_loop(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        asyncio.run_coroutine_threadsafe(_end_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._is_entered = False

    def _read(self) -> Spec:
        if isinstance(self._spec, Mapping):
            return read_mapping(self._spec, folder=Path.cwd(), code=self._code)
        if not Path(self._spec).exists():
            raise UsageError(f"{self._spec}: there is no such file")
        return read(Path(self._spec), code=self._code)


def _to_stderr(lines: bytes) -> None:
    # Asked for each time: pytest puts its own in the place of sys.stderr.
    sys.stderr.write(lines.decode(errors="replace"))


async def _end_tasks() -> None:
    """End what was interrupted in the thread that waited for it."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)


async def _called(work: Callable[[], T]) -> T:
    return work()
