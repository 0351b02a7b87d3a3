"""How OpenTelemetry becomes part of a service: when it begins, and what waits for it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from ..http.server import WRAP_WHEN_OUT, WhenOut
from ..instance.assembly import Service
from ..protocol import SERVICE_LOGGER

_log = logging.getLogger(SERVICE_LOGGER)


class LastAnswers:
    """Lets an answer wait if no call runs any more: the instance may freeze after it. `before`
    calls what it is given once the answer may leave; `busy` says whether calls run.

    Of calls that end together one waits, for what all of them have left.
    """

    def __init__(self) -> None:
        self.before: Callable[[Callable[[], None]], None] | None = None
        self.busy: Callable[[], bool] = lambda: False

    def wrap(self, when_out: WhenOut) -> WhenOut:
        """Return what an answer waits for: `when_out`, and then for what is sent before it."""

        def wait(then: Callable[[], None]) -> None:
            when_out(lambda: self._send_first(then))

        return wait

    def _send_first(self, then: Callable[[], None]) -> None:
        if self.before is None or self.busy():
            then()
        else:
            self.before(then)


def traced(app: web.Application, service: Service) -> None:
    """Have `app` traced from its start to its end. OpenTelemetry is imported when it starts: its
    port is open then.
    """
    last = LastAnswers()
    app[WRAP_WHEN_OUT] = last.wrap

    async def within(_app: web.Application) -> AsyncIterator[None]:
        telemetry = _started(service)
        if telemetry is not None:
            last.before, last.busy = telemetry.flusher.before, telemetry.busy
        yield
        if telemetry is not None:
            await telemetry.close()

    app.cleanup_ctx.append(within)


def _started(service: Service) -> Any:
    """Return what traces the service; None, with a line in the log, if it cannot be had: a call is
    worth more than its trace.
    """
    try:
        from .telemetry import start

        return start(service)
    except ImportError as missing:
        _log.error(
            "OpenTelemetry cannot be imported, and nothing is sent: %s. Install"
            " fc-event-service[otel], or set SERVICE_OTEL=false",
            missing,
        )
    except Exception as failure:  # a variable of OpenTelemetry's says what it does not take
        _log.error("OpenTelemetry: nothing is sent: %s: %s", type(failure).__name__, failure)
    return None
