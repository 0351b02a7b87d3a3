"""The table of what every worker of an instance does when a request asks one of them for it.

The routes (`service/app.py`) and the workers (`service/workers/peers.py`) read it: a new hook of
the platform's is a row here, a setting, and its name in `Handlers`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import orjson

from .. import protocol
from ..calls.lifecycle import ANSWERED
from ..http.answers import Answer
from ..protocol import SERVICE_LOGGER, Operation
from ..settings.table import Settings
from .assembly import Service
from .health import health_of, summed
from .hooks import hook
from .metrics import metrics_answer, metrics_for_request, worker_metrics

SLACK = 10.0
"""Seconds that a worker gets beyond the time that its work may take, to answer or to end."""

HEALTH_TIME = 0.5
"""Seconds in which a worker tells its figures: the platform waits 1 s for all of them."""

_log = logging.getLogger(SERVICE_LOGGER)

Work = Callable[[], Awaitable[Any]]


def empty(_said: Sequence[Any], _query: Mapping[str, str]) -> Answer:
    """Return the answer of a duty that has nothing to tell."""
    return Answer(b"")


class Duty(msgspec.Struct, frozen=True):
    """A row: the platform's operation, what each worker does for it, and within which time."""

    operation: Operation
    work: Callable[[Service], Work]
    """Returns what a worker does when another one was asked."""
    seconds: Callable[[Settings], float]
    """Returns the seconds within which a worker has answered."""
    work_for_request: Callable[[Service], Work] | None = None
    """Returns what the worker does that the request reached, if that is another thing."""
    answer: Callable[[Sequence[Any], Mapping[str, str]], Answer] = empty
    """Makes the answer of what the workers said, None for one that says nothing, and of the
    request's query.
    """
    silence_fails: bool = True
    """True if a worker that does not answer in time makes the duty fail."""
    is_done_at_end: bool = True
    """True if a worker that has ended needs to do nothing more for it."""
    is_logged: bool = True
    """True if the platform's log has a Start and an End line of it."""
    is_wanted: Callable[[Settings], bool] = lambda _settings: True
    """Returns whether there is such a path."""

    @property
    def path(self) -> str:
        """The path by which the platform asks for it."""
        return self.operation.path

    def here(self, service: Service) -> Work:
        """Return what the worker does that the request reached."""
        return (self.work_for_request or self.work)(service)


Ask = Callable[[Duty, Work], Awaitable[list[Any]]]
"""Has a duty done in every worker of the instance, in this one as the second argument does it;
returns what each said, or raises the first failure.
"""


async def alone(_duty: Duty, work: Work) -> list[Any]:
    """Do a duty in an instance of one worker."""
    return [await work()]


def runs(name: str) -> Callable[[Service], Work]:
    """Return what runs the hook of that name in `Handlers`, each time that it is asked for."""

    def work(service: Service) -> Work:
        function = getattr(service.handlers, name)
        seconds = service.settings.drain_timeout
        return hook(function, service.calls, service.platform, seconds, service.threads)

    return work


def _freeze(service: Service) -> Work:
    """Return what runs the user's `pre_freeze`, tells the tasks of the instance, and then sends
    what was recorded.
    """
    run_hook = runs("pre_freeze")(service)

    async def freeze() -> None:
        until = time.monotonic() + service.settings.drain_timeout
        try:
            await run_hook()
        finally:
            if service.lifecycle.at_freeze:
                await service.lifecycle.tell_freeze(until - time.monotonic())
            await service.observers.before_freeze()

    return freeze


def _health(said: Sequence[Any], _query: Mapping[str, str]) -> Answer:
    """Tell how the instance is: 200 when it can take calls, else 503."""
    state = summed(said)
    body = orjson.dumps(state, option=orjson.OPT_APPEND_NEWLINE)
    return Answer(body, 200 if state["healthy"] else 503)


def _initialized_for_request(service: Service) -> Work:
    """Warn if the platform has an initializer to run and nothing here names it. The built-in
    runtimes run the one that the function's configuration names, which custom runtimes are not
    told (docs/platform.md section 1).
    """
    if service.handlers.likely_initializer:
        name = service.handlers.likely_initializer
        _log.warning(
            "/initialize was asked for and there is no initializer: if %s is meant, set"
            " SERVICE_INITIALIZER=%s, and if there is none, SERVICE_INITIALIZER=none",
            name,
            name,
        )
    return service.lifecycle.initialized


DUTIES = (
    # Answered once the initializer has succeeded; it starts with the service.
    Duty(
        protocol.INITIALIZE,
        work=lambda service: service.lifecycle.initialized,
        work_for_request=_initialized_for_request,
        seconds=lambda settings: settings.initialize_timeout + SLACK,
        is_done_at_end=False,
    ),
    # Drains, runs the user's `pre_stop` once, answers.
    Duty(
        protocol.PRE_STOP,
        work=lambda service: service.lifecycle.stop,
        work_for_request=lambda service: service.lifecycle.stop_for_request,
        seconds=lambda settings: 2 * settings.drain_timeout + ANSWERED + SLACK,
    ),
    # Runs the user's `pre_freeze`; its log is out before the answer.
    Duty(
        protocol.PRE_FREEZE,
        work=_freeze,
        seconds=lambda settings: settings.drain_timeout + SLACK,
    ),
    Duty(
        Operation("Health", protocol.HEALTH_PATH, ("GET", "HEAD")),
        work=lambda service: partial(health_of, service),
        work_for_request=lambda service: partial(health_of, service, asking=1),
        seconds=lambda _settings: HEALTH_TIME,
        answer=_health,
        silence_fails=False,
        is_logged=False,
    ),
    # Answers without a worker that hangs, and says so.
    Duty(
        Operation("Metrics", protocol.METRICS_PATH, ("GET", "HEAD")),
        work=lambda service: partial(worker_metrics, service),
        work_for_request=lambda service: partial(metrics_for_request, service),
        seconds=lambda _settings: HEALTH_TIME,
        answer=metrics_answer,
        silence_fails=False,
        is_logged=False,
        is_wanted=lambda settings: settings.metrics,
    ),
)
