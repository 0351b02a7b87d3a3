"""The two rings around every call: `framed` gives it its context and log lines, `reported` answers
its failure.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import web
from aiohttp.typedefs import Middleware

from .. import protocol
from ..calls import tracebacks
from ..calls.observers import Observers
from ..context.call import RUNNING, Context, Platform, record_of
from ..context.record import CallRecord
from ..errors import (
    BadFraming,
    BadRequest,
    ClientGone,
    ExpectationFailed,
    HandlerFailed,
    MethodNotAllowed,
    NotAnEventFunction,
    NotFound,
    ServiceError,
    forget,
)
from ..logs.log import Logs
from ..logs.records import FAILURE
from ..protocol import SERVICE_LOGGER
from . import heads
from .answers import Answer, failure_answer

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger(SERVICE_LOGGER)


class Framing:
    """What is around a call: its context, its Start and its End line, and who is told of it.

    Both lines are out before the answer. The Start line is out before the handler runs, too: it is
    there even if that ends the process. In a crowd (`GatheringPipe.begins`) the lines of a turn of
    the loop are written together, and a Start line is out before the handler's own first line.
    """

    def __init__(
        self,
        logs: Logs,
        platform: Platform,
        timeout: float | None,
        margin: float,
        observers: Observers,
    ) -> None:
        self._logs = logs
        self._platform = platform
        self._timeout = timeout
        self._margin = margin
        self._observers = observers

    def context(self, headers: Mapping[str, str], request_id: str) -> Context:
        """Return the context of a call that arrives now."""
        arrived = time.monotonic()
        sent = headers.get(protocol.FUNCTION_TIMEOUT, "")
        limit = protocol.time_limit(sent, self._timeout, self._margin)
        deadline = None if limit is None else arrived + limit
        return Context(headers, request_id, deadline, self._platform, CallRecord(arrived))

    def begin(self, context: Context, operation: protocol.Operation, why_new: str = "") -> int:
        """Begin a call, within its context; return its crowd, for `end`: 0 if it begins in none.
        `why_new` is why its request id is not the one that was sent.
        """
        crowd = self._logs.pipe.begins()
        line = protocol.start_line(operation, context.request_id)
        self._logs.marker(line, gather=crowd > 0)
        if why_new:
            _log.info("%s: this one was generated", why_new)
        if self._observers.begun and operation is protocol.INVOKE:
            record = record_of(context)
            for observe in self._observers.begun:
                observe(context, record)
        return crowd

    def end(
        self, context: Context, operation: protocol.Operation, *, crowd: int, failed: bool
    ) -> None:
        """End a call whose answer is made."""
        self._logs.end(context.request_id)
        if operation is protocol.INVOKE:
            record = record_of(context)
            record.ended = time.monotonic()
            self._observers.end(context, record)
        line = protocol.end_line(operation, context.request_id, failed=failed)
        self._logs.marker(line, gather=self._logs.pipe.ends(crowd))


def framed(framing: Framing, logged: Iterable[protocol.Operation]) -> Middleware:
    """Return the outer ring: the call's context, its Start and End lines, and its request id in the
    answer. Operations that are not `logged` have no lines.
    """
    operations = {operation.path: operation for operation in logged}

    @web.middleware
    async def framed(request: web.Request, handler: Next) -> web.StreamResponse:
        headers = request.headers
        request_id, why_new = protocol.request_id(headers.getall(protocol.REQUEST_ID, ()))
        context = framing.context(headers, request_id)
        RUNNING.set(context)  # this request's task only: aiohttp runs each in a context of its own
        operation = operations.get(path_of(request))
        if operation is None:
            return _identified(await handler(request), request_id)
        crowd = framing.begin(context, operation, why_new)
        response = await handler(request)
        framing.end(context, operation, crowd=crowd, failed=response.status != 200)
        return _identified(response, request_id)

    return framed


def path_of(request: web.Request) -> str:
    """Return the path that counts for this request."""
    return request.headers.get(protocol.CONTROL_PATH) or request.path


def _identified(response: web.StreamResponse, request_id: str) -> web.StreamResponse:
    if isinstance(response, Answer):
        response.request_id = request_id
    else:
        response.headers[protocol.REQUEST_ID] = request_id
    return response


def reported(paths: Iterable[str], *, error_trace: bool) -> Middleware:
    """Return the inner ring: every failure becomes its answer here, and is logged here, once. What
    is on none of the `paths` is told which there are.
    """
    known = ", ".join(paths)

    @web.middleware
    async def reported(request: web.Request, handler: Next) -> web.StreamResponse:
        try:
            check_head(request)
            return await handler(request)
        except web.HTTPException as failure:
            error: Exception = _unrouted(request, failure, known)
        except Exception as failure:
            error = failure
        return answer_failure(error, RUNNING.get(), error_trace=error_trace)

    return reported


def answer_failure(failure: Exception, context: Context, *, error_trace: bool) -> Answer:
    """Log a call's failure, and return its answer."""
    error = failure if isinstance(failure, ServiceError) else _fault(failure)
    report(error)
    record = record_of(context)
    record.error_type, record.look_after = error.code, 0.0
    if record.span is not None:
        record.span.failed(error)
    answer = failure_answer(error, context.request_id, error_trace=error_trace)
    forget(error)
    return answer


def _fault(failure: Exception) -> ServiceError:
    """Log a fault of ours. What it says may quote the request, so only its kind and its frames are
    told.
    """
    places = tracebacks.as_text(tracebacks.of_fault(failure))
    kind = type(failure).__name__
    _log.error("%s\n%s\nthe service failed: %s", tracebacks.TRACEBACK, places, kind)
    return ServiceError("the service failed: see its log")


def check_head(request: web.Request) -> None:
    """Raise BadRequest for a head that is ambiguous: its body's length, its target, whose call."""
    headers = request.headers
    if why := heads.objection(request.version, headers):
        raise BadFraming(why)
    if not heads.is_target(request.method, request.raw_path):
        raise BadFraming("the request target is not a path, or not a URI without fragment")
    expected = headers.get("Expect")
    if expected and is_unknown_expectation(expected):
        raise ExpectationFailed("the only expectation served here is 100-continue")
    for name in protocol.IDENTITY:
        values = headers.getall(name, ())
        if len(values) > 1 and len(set(values)) > 1:
            raise BadRequest(f"the request has two different values for {name}")


def _unrouted(request: web.Request, failure: web.HTTPException, known: str) -> ServiceError:
    path = path_of(request)
    if path == protocol.HTTP_INVOKE_PATH:
        return NotAnEventFunction(
            "this is an event function and has no HTTP handler: call it with InvokeFunction or an"
            " event trigger, and remove its HTTP trigger"
        )
    if isinstance(failure, web.HTTPMethodNotAllowed):
        allowed = tuple(sorted(failure.allowed_methods))
        return MethodNotAllowed(f"{path} takes {' and '.join(allowed)}", allowed)
    return NotFound(f"there is no such path; there are {known}")


def report(error: ServiceError) -> None:
    """Log a failure, once, with the stack of the user's code if that raised."""
    if error.logged:
        return
    error.logged = True
    if isinstance(error, HandlerFailed):
        # Our log shows the story alone; a handler of the user's gets the exception itself.
        _log.error("%s", tracebacks.story(error.failure), exc_info=error.failure)
    else:
        level = logging.INFO if isinstance(error, ClientGone) else logging.WARNING
        said = (error.code, str(error))
        _log.log(level, "%s: %s", *said, extra={FAILURE: said})


def is_unknown_expectation(expected: str | None) -> bool:
    """Return whether a request asks for more than 100-continue before its body."""
    return expected is not None and expected.strip().lower() not in ("", "100-continue")
