"""The functions that are played, each with its instances. They may change while they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from .calls import Invoker
from .figures import CallFigures, Counted
from .instances.instance import Instance
from .instances.pool import InstancePool
from .spec.model import DeployedFunction

NewPool = Callable[[DeployedFunction], InstancePool]
Watched = Callable[[Invoker, DeployedFunction], Invoker]
"""Is put around what calls a function."""


def not_watched(invoker: Invoker, _function: DeployedFunction) -> Invoker:
    """Put nothing around."""
    return invoker


class PlayedFunctions:
    """The functions by name, from `start` to `stop`: `functions` has their configurations,
    `invokers` what calls them, `figures` what came of that, of functions that are gone, too.
    """

    def __init__(
        self,
        functions: Iterable[DeployedFunction],
        new_pool: NewPool,
        watched: Watched = not_watched,
    ) -> None:
        self._new_pool = new_pool
        self._watched = watched
        self._pools: dict[str, InstancePool] = {}
        self._leaving: dict[asyncio.Task[None], InstancePool] = {}
        self._functions: dict[str, DeployedFunction] = {}
        self._invokers: dict[str, Counted] = {}
        self._figures: dict[str, CallFigures] = {}
        for function in functions:
            self._take(function, new_pool(function))

    @property
    def functions(self) -> Mapping[str, DeployedFunction]:
        """The configurations."""
        return self._functions

    @property
    def invokers(self) -> Mapping[str, Invoker]:
        """What calls the functions."""
        return self._invokers

    @property
    def figures(self) -> Mapping[str, CallFigures]:
        """What came of the calls."""
        return self._figures

    def instances(self, function: str) -> Sequence[Instance]:
        """Return a function's instances that are there now, the oldest first."""
        return self._pools[function].instances

    async def idle(self, function: str) -> None:
        """Wait until no call of a function is running."""
        await self._pools[function].idle()

    def _take(self, function: DeployedFunction, pool: InstancePool) -> None:
        name = function.name
        invoker = self._watched(pool, function)
        if name in self._invokers:
            self._invokers[name].pass_on_to(invoker)
        else:
            figures = self._figures.setdefault(name, CallFigures())
            self._invokers[name] = Counted(invoker, figures)
        self._pools[name], self._functions[name] = pool, function

    # --- from start to stop

    async def start(self) -> None:
        """Start the provisioned instances."""
        for pool in self._pools.values():
            await pool.start()

    async def stop(self) -> None:
        """Stop every instance by the book."""
        leaving = {**self._leaving}
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        pools = (*self._pools.values(), *leaving.values())
        await asyncio.gather(*(pool.stop() for pool in pools))

    def kill(self) -> None:
        """End every instance now, with all its processes."""
        for pool in (*self._pools.values(), *self._leaving.values()):
            for instance in pool.instances:
                instance.kill("the emulator was told twice to stop")

    # --- what changes meanwhile

    def renew(self, function: str, reason: str) -> int:
        """Send further calls to new instances; return how many old ones end once their calls
        have.
        """
        return self._pools[function].renew(reason)

    async def put(self, function: DeployedFunction) -> None:
        """Play one function more, or another configuration of it: its old instances end once their
        calls have.
        """
        pool = self._new_pool(function)
        old = self._pools.get(function.name)
        if old is not None:
            pool.numbers = old.numbers
        await pool.start()
        self._take(function, pool)
        if old is not None:
            self._retire(old, "its configuration has changed")

    def remove(self, name: str) -> None:
        """Play a function no more: its instances end once their calls have."""
        del self._functions[name], self._invokers[name]
        self._retire(self._pools.pop(name), "its function was removed")

    def _retire(self, pool: InstancePool, reason: str) -> None:
        task = asyncio.create_task(pool.retire(reason))
        self._leaving[task] = pool
        task.add_done_callback(self._leaving.pop)
