"""Function Compute on this machine: the functions of one file, their instances, the API, the queue
of asynchronous calls and the timers, started and stopped together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from ..errors import StartError
from ..protocol import new_request_id
from .account import Account
from .api.access import Hosts
from .api.platform import EmulatedPlatform
from .api.routes import create_api, create_runner
from .api.signature import Verifier
from .calls import Invocation, Outcome
from .figures import CallFigures, Counted
from .instances.descriptors import raise_limit
from .instances.faults import Faults
from .instances.instance import Instance
from .instances.pool import InstancePool, Options
from .log import Log
from .queue.dispatcher import Dispatcher
from .queue.store import Store, StoreError
from .queue.task import AsyncTask
from .queue.timers import Timers
from .spec.model import Spec

API_BACKLOG = 1024
"""Callers that may connect at once."""

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
    ) -> None:
        """`hosts` are further names under which the API may be asked for."""
        self.spec = spec
        self.url = ""
        self.faults = Faults()
        self._account = Account()
        self.figures = {name: CallFigures() for name in spec.functions}
        self._options = options or Options()
        self._pools = {
            name: InstancePool(function, self._options, log, self.faults, self._account)
            for name, function in spec.functions.items()
        }
        self._counted = {
            name: Counted(pool, self.figures[name]) for name, pool in self._pools.items()
        }
        self._log = log
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
        functions = self.spec.functions
        async with AsyncExitStack() as parts:  # undone in reverse order, here if a start fails
            store = self._open_store()
            parts.callback(store.close)
            self._tasks = Dispatcher(store, functions, self._counted, self._log.line)
            runner = create_runner(create_api(self._platform()))
            await runner.setup()
            parts.push_async_callback(runner.cleanup)
            parts.push_async_callback(self._end_calls)
            site = await self._open_port(runner)
            parts.push_async_callback(site.stop)
            for pool in self._pools.values():
                await pool.start()
            await self._tasks.start()
            timers = Timers(functions.values(), self.submit)
            timers.start()
            parts.push_async_callback(timers.stop)
            self._running = parts.pop_all()

    def _platform(self) -> EmulatedPlatform:
        key = self._access_key
        return EmulatedPlatform(
            self.spec.functions,
            self._counted,
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
        for pool in self._pools.values():
            for instance in pool.instances:
                instance.kill("the emulator was told twice to stop")

    async def invoke(
        self, function: str, event: Event = b"{}", *, tail: bool = False, session: str = ""
    ) -> Outcome:
        """Call a function and wait for its answer, as the API does; a text is sent as UTF-8. With
        session affinity `session` is its id, "" for a new one: the outcome has it.

        Raises PlatformError for what the API would refuse, KeyError for a function that the file
        does not have, and TypeError for an event that is neither bytes nor text.
        """
        body = bytes_of_event(event)
        call = Invocation(function, body, new_request_id(), tail=tail, session=session)
        return await self._counted[function].invoke(call)

    async def submit(
        self, function: str, event: Event = b"{}", task_id: str = "", *, delay: float = 0.0
    ) -> AsyncTask:
        """Queue an asynchronous call, which is run in `delay` seconds at the earliest.

        Raises PlatformError, and TypeError for an event that is neither bytes nor text.
        """
        return await self._tasks.submit(function, bytes_of_event(event), task_id, delay=delay)

    def task(self, function: str, task_id: str) -> AsyncTask | None:
        """Return what became of an asynchronous call, None for one that is not known."""
        return self._tasks.find(function, task_id)

    def instances(self, function: str) -> Sequence[Instance]:
        """Return the function's instances that are there now, the oldest first."""
        return self._pools[function].instances

    async def idle(self, function: str) -> None:
        """Wait until no call of the function is running."""
        await self._pools[function].idle()

    async def _end_calls(self) -> None:
        """Let calls end in their instances, and the instances then; what is queued stays there."""
        pools = (pool.stop() for pool in self._pools.values())
        await asyncio.gather(self._tasks.stop(self._options.stop_grace), *pools)

    def _open_store(self) -> Store:
        try:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            return Store(self._state)
        except (OSError, StoreError) as reason:
            raise StartError(
                f"{self._state}: asynchronous calls cannot be kept: {reason}"
            ) from None

    async def _open_port(self, runner: web.AppRunner) -> web.TCPSite:
        host, port = self._address
        site = web.TCPSite(runner, host, port, backlog=API_BACKLOG)
        try:
            await site.start()
        except OSError as reason:
            raise StartError(
                f"the API cannot listen on {host}:{port}: {reason.strerror}; say --port for another"
            ) from None
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self._account.endpoint = f"{host}:{port}"
        return site
