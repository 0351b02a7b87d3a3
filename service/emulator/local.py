"""Function Compute on this machine: the functions of one file, their instances, the API, the queue
of asynchronous calls and the timers, started and stopped together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from ..errors import StartError
from ..protocol import new_request_id
from .account import Account
from .api.access import Hosts
from .api.platform import EmulatedPlatform
from .api.serving import ApiServer
from .api.signature import Verifier
from .calls import Invocation, Outcome
from .instances.conditions import Options
from .instances.debugging import Debugging
from .instances.descriptors import raise_limit
from .instances.faults import Faults
from .instances.instance import Instance
from .instances.pool import InstancePool
from .log import Log
from .played import PlayedFunctions, not_watched
from .queue.dispatcher import Dispatcher
from .queue.store import Store, StoreError
from .queue.task import AsyncTask
from .queue.timers import Timers
from .recorded import EmulatorRecording
from .spec.model import DeployedFunction, Spec
from .watching import Watching

Event = bytes | bytearray | memoryview | str


def bytes_of_event(event: Event) -> bytes:
    """Return an event as it is sent. Raises TypeError, which says what to do."""
    if isinstance(event, str):
        return event.encode()
    if isinstance(event, bytes | bytearray | memoryview):
        return bytes(event)
    raise TypeError(
        f"an event is bytes or text, not {type(event).__name__}: json.dumps(...) makes text of it"
    )


class FunctionCompute:
    """Plays the platform for the functions of `spec`, between `start` and `stop`.

    `url` is where the API answers, for the SDK and for `python -m service invoke --function`;
    `faults` may be switched while it runs; `figures` has each function's calls. `state` is the file
    of the asynchronous calls: those that are not done when it stops are done after the next start.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        log: Log,
        state: Path,
        options: Options | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        access_key: tuple[str, str] | None = None,
        hosts: Iterable[str] = (),
        recording: EmulatorRecording | None = None,
        watching: Watching | None = None,
    ) -> None:
        """`hosts` are further names under which the API may be asked for; `recording` records the
        calls; `watching` is told of what happens.
        """
        self._recording = recording
        log = log if recording is None else recording.overheard(log)
        self.spec = spec
        self.url = ""
        self.faults = Faults()
        self._account = Account()
        self._options = options or Options()
        debug = self._options.debug
        self._debugging = None if debug is None else Debugging(debug)
        self._watching = watching or Watching()
        self._changed = None if watching is None else watching.changed
        self._log = log
        watched = not_watched if recording is None else recording.around
        self._played = PlayedFunctions(spec.functions.values(), self._new_pool, watched)
        self.figures = self._played.figures
        self._invokers = self._watching.invokers("sync", self._played.invokers)
        self._state = state
        self._address = (host, port)
        self._access_key = access_key
        self._hosts = Hosts((*hosts, host))
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Open the API's port, start the provisioned instances, take up the queue. This process
        may open as many files then as the system allows.

        Raises StartError if the port or the file of the queue cannot be had.
        """
        raise_limit()
        async with AsyncExitStack() as parts:  # undone in reverse order, here if a start fails
            if self._recording is not None:
                self._recording.start()
                parts.callback(self._recording.close)
            store = self._open_store()
            parts.callback(store.close)
            played = self._played
            queued = self._watching.invokers("async", played.invokers)
            self._tasks = Dispatcher(store, played.functions, queued, self._log.line)
            api = ApiServer(self._platform())
            await api.start()
            parts.push_async_callback(api.stop)
            parts.push_async_callback(self._end_calls)
            await self._open_port(api)
            parts.callback(api.close_port)
            await played.start()
            await self._tasks.start()
            self._timers = Timers(self.spec.functions.values(), self.fire)
            self._timers.start()
            parts.push_async_callback(self._timers.stop)
            self._running = parts.pop_all()

    def _new_pool(self, function: DeployedFunction) -> InstancePool:
        return InstancePool(
            function,
            self._options,
            self._log,
            self.faults,
            self._account,
            self._debugging,
            self._changed,
        )

    def _platform(self) -> EmulatedPlatform:
        key = self._access_key
        return EmulatedPlatform(
            self._played.functions,
            self._invokers,
            self._tasks,
            self.instances,
            None if key is None else Verifier(key, account=self._account),
            self._hosts,
            time.time(),
        )

    async def stop(self) -> None:
        """Fire and take no further calls, then stop every instance by the book."""
        await self._running.aclose()

    def kill(self) -> None:
        """End every instance now, with all its processes."""
        self._played.kill()

    # --- what changes meanwhile

    def renew(self, function: str, reason: str) -> int:
        """Send further calls of a function to new instances; return how many old ones end once
        their calls have.
        """
        return self._played.renew(function, reason)

    async def update(self, spec: Spec) -> None:
        """Play what the file says by now. Functions that are as they were notice nothing; the old
        instances of others end once their calls have. Returns when new provisioned instances run.
        """
        before = self.spec.functions
        self.spec = spec
        self._timers.follow(f for f in before.values() if f.name in spec.functions)
        for name in before.keys() - spec.functions.keys():
            self._played.remove(name)
            self._tasks.remove(name)
        for name, function in spec.functions.items():
            if function == before.get(name):
                continue
            await self._played.put(function)
            if name in before:
                self._tasks.change(function)
            else:
                self._tasks.add(function)
        self._timers.follow(spec.functions.values())

    # --- its calls

    async def invoke(
        self,
        function: str,
        event: Event = b"{}",
        *,
        tail: bool = False,
        session: str = "",
        request_id: str = "",
    ) -> Outcome:
        """Call a function and wait for its answer, as the API does; a text is sent as UTF-8. With
        session affinity `session` is its id, "" for a new one: the outcome has it. `request_id` is
        the call's, "" for a new one.

        Raises PlatformError for what the API would refuse, KeyError for a function that the file
        does not have, and TypeError for an event that is neither bytes nor text.
        """
        body = bytes_of_event(event)
        call = Invocation(
            function, body, request_id or new_request_id(), tail=tail, session=session
        )
        return await self._invokers[function].invoke(call)

    async def submit(
        self,
        function: str,
        event: Event = b"{}",
        task_id: str = "",
        *,
        delay: float = 0.0,
        request_id: str = "",
    ) -> AsyncTask:
        """Queue an asynchronous call, which is run in `delay` seconds at the earliest.
        `request_id` is the call's, "" for a new one.

        Raises PlatformError, and TypeError for an event that is neither bytes nor text.
        """
        body = bytes_of_event(event)
        return await self._tasks.submit(function, body, task_id, delay=delay, request_id=request_id)

    async def fire(self, function: str, event: bytes) -> AsyncTask:
        """Queue the call of a timer. Raises PlatformError."""
        request_id = self._watching.timer_request_id()
        return await self._tasks.submit(function, event, request_id=request_id)

    def waiting(self, function: str) -> int:
        """Return how many asynchronous calls of a function wait to be run."""
        return self._tasks.waiting(function) if self.url else 0

    def task(self, function: str, task_id: str) -> AsyncTask | None:
        """Return what became of an asynchronous call, None for one that is not known."""
        return self._tasks.find(function, task_id)

    def instances(self, function: str) -> Sequence[Instance]:
        """Return the function's instances that are there now, the oldest first."""
        return self._played.instances(function)

    async def idle(self, function: str) -> None:
        """Wait until no call of the function is running."""
        await self._played.idle(function)

    async def _end_calls(self) -> None:
        """Let calls end in their instances, and the instances then; what is queued stays there."""
        await asyncio.gather(self._tasks.stop(self._options.stop_grace), self._played.stop())

    def _open_store(self) -> Store:
        try:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            return self._watching.open_store(self._state)
        except (OSError, StoreError) as reason:
            raise StartError(
                f"{self._state}: asynchronous calls cannot be kept: {reason}"
            ) from None

    async def _open_port(self, api: ApiServer) -> None:
        host, port = self._address
        try:
            host, port = await api.open_port(host, port)
        except OSError as reason:
            raise StartError(
                f"the API cannot listen on {host}:{port}: {reason.strerror}; say --port for another"
            ) from None
        self.url = f"http://{host}:{port}"
        self._account.endpoint = f"{host}:{port}"
