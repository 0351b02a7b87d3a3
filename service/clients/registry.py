"""One client for all calls: made when it is first asked for, found again after that."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
from collections.abc import Callable, Hashable, Mapping
from types import FunctionType
from typing import Any

from ..errors import ClientUnavailable
from .credentials import CallCredentials, Caller, GetRunning, Owner, owner_of, region_of
from .sdks import FACTORIES, NeedsLoop, made_by_name

MOST_CLIENTS = 64
"""Clients of a process. Who needs more makes another one with each call, without meaning to."""


class ClientPlace:
    """Where one client is, once it is made. Who asks for it meanwhile waits."""

    def __init__(self, factory: object) -> None:
        self.factory = factory  # its code is part of the key, and lives as long as the key does
        self.lock = threading.RLock()
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def client(self) -> Any:
        """The client; None if it is not made, or was made on an event loop that is closed."""
        if self._loop is not None and self._loop.is_closed():
            return None
        return self._client

    @client.setter
    def client(self, made: Any) -> None:
        self._client, self._loop = made, _running_loop()


class Clients:
    """The clients of this process, and the credentials that they ask for."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may ask for a client in the midst of it
        self._places: dict[Hashable, ClientPlace] = {}
        self._credentials: dict[Owner, CallCredentials] = {}
        self._watches = False

    def client_for(
        self,
        caller: Caller,
        running: GetRunning,
        what: str | Callable[..., Any],
        options: Mapping[str, Any],
    ) -> Any:
        """Return the client that a factory or a name stands for; `Context.client` says how."""
        owner = owner_of(caller)
        credentials = self._credentials_of(owner, running)
        credentials.offer(caller)
        place = self._place(owner, what, options)
        client = place.client
        if client is None:
            with place.lock:
                client = place.client
                if client is None:
                    client = place.client = _made(what, credentials, caller, options)
        return client

    def _credentials_of(self, owner: Owner, running: GetRunning) -> CallCredentials:
        found = self._credentials.get(owner)
        if found is None:
            with self._lock:
                found = self._credentials.setdefault(owner, CallCredentials(owner, running))
        return found

    def _place(self, owner: Owner, what: object, options: Mapping[str, Any]) -> ClientPlace:
        key = (owner, _identity(what), _options_key(what, options))
        place = self._places.get(key)
        if place is None:
            with self._lock:
                self._watch_forks()
                self._check_room(what)
                place = self._places.setdefault(key, ClientPlace(what))
        return place

    def _check_room(self, what: object) -> None:
        if len(self._places) < MOST_CLIENTS:
            return
        made = {key: place for key, place in self._places.items() if place.client is not None}
        self._places = made
        if len(self._places) >= MOST_CLIENTS:
            raise ClientUnavailable(
                f"context.client() has made {MOST_CLIENTS} clients, and {_shown(what)} would be"
                " another one: give it a function of the module and the same options each time,"
                " so that all calls use one client"
            )

    def _watch_forks(self) -> None:
        """Let a process that a handler forks make clients of its own: two cannot use a socket."""
        if not self._watches:
            self._watches = True
            os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        # Another thread of the parent may have held a lock, which nobody releases here.
        self._lock = threading.RLock()
        self._places = {}
        self._credentials = {}


CLIENTS = Clients()
"""Those of this process."""


def _made(
    what: str | Callable[..., Any],
    credentials: CallCredentials,
    caller: Caller,
    options: Mapping[str, Any],
) -> Any:
    if isinstance(what, str):
        return made_by_name(what, credentials, region_of(caller), options)
    client = what(credentials, **options)
    if inspect.iscoroutine(client):
        client.close()
        raise TypeError(f"{_shown(what)} is async: a factory is a plain def that returns a client")
    if client is None:
        raise TypeError(f"{_shown(what)} has returned None: a factory returns the client")
    return client


def _identity(what: object) -> Hashable:
    """Return what is the same for factories that make the same: a lambda that each call writes
    anew is one, as long as the values that it uses are equal.
    """
    if isinstance(what, str):
        if what not in FACTORIES:
            raise ValueError(
                f"there is no client {what!r}: the names are {', '.join(FACTORIES)}; for any other"
                " SDK give a function that makes its client, context.client(make_it)"
            )
        return what, _needed_loop(what)
    if not callable(what):
        raise TypeError(f"context.client() takes a name or a function, not {type(what).__name__}")
    if isinstance(what, functools.partial):
        key: Hashable = (_identity(what.func), what.args, tuple(sorted(what.keywords.items())))
    elif isinstance(what, FunctionType):
        defaults = (what.__defaults__, tuple((what.__kwdefaults__ or {}).items()))
        key = (id(what.__code__), _cells(what), defaults)
    else:
        key = what
    try:
        hash(key)
    except TypeError:
        return id(what)
    return key


def _cells(function: FunctionType) -> tuple[object, ...]:
    try:
        return tuple(cell.cell_contents for cell in function.__closure__ or ())
    except ValueError:  # not assigned yet
        return (id(function),)


def _needed_loop(name: str) -> asyncio.AbstractEventLoop | None:
    if not isinstance(FACTORIES[name], NeedsLoop):
        return None
    loop = _running_loop()
    if loop is None:
        raise ClientUnavailable(
            f"the client {name!r} is for async handlers, and no event loop runs in this thread:"
            f" ask for {name.partition('.')[0]!r} here"
        )
    return loop


def _options_key(what: object, options: Mapping[str, Any]) -> Hashable:
    for name, value in options.items():
        try:
            hash(value)
        except TypeError:
            raise TypeError(
                f"the option {name} of {_shown(what)} is of the type {type(value).__name__}, which"
                " has no hash: options tell clients apart; make it in a factory of your own"
            ) from None
    return tuple(sorted(options.items()))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _shown(what: object) -> str:
    if isinstance(what, str):
        return repr(what)
    module, name = getattr(what, "__module__", ""), getattr(what, "__qualname__", "")
    return f"{module}.{name}" if name else type(what).__name__
