"""The two rings around every call: `framed` gives it its context and log lines, `reported` answers
its failure.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable

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
from ..protocol import SERVICE_LOGGER
from . import heads
from .answers import Answer, failure_answer

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger(SERVICE_LOGGER)


def framed(
    logs: Logs,
    platform: Platform,
    timeout: float | None,
    margin: float,
    logged: Iterable[protocol.Operation],
    observers: Observers,
) -> Middleware:
    """Return the outer ring: the call's context, its Start and End lines, and its request id in the
    answer.

    Both lines are out before the answer. The Start line is out before the handler runs, too: it is
    there even if that ends the process. In a crowd (`GatheringPipe.crowded`) the lines of a turn of
    the loop are written together, and a Start line is out before the handler's own first line.
    Operations that are not `logged` have no lines. `observers` are told of calls.
    """
    operations = {operation.path: operation for operation in logged}

    @web.middleware
    async def framed(request: web.Request, handler: Next) -> web.StreamResponse:
        arrived = time.monotonic()
        headers = request.headers
        request_id, why_new = protocol.request_id(headers.getall(protocol.REQUEST_ID, ()))
        limit = protocol.time_limit(headers.get(protocol.FUNCTION_TIMEOUT, ""), timeout, margin)
        deadline = None if limit is None else arrived + limit
        record = CallRecord(arrived)
        context = Context(headers, request_id, deadline, platform, record)
        RUNNING.set(context)  # this request's task only: aiohttp runs each in a context of its own
        operation = operations.get(path_of(request))
        if operation is None:
            return _identified(await handler(request), request_id)
        crowded = logs.pipe.crowded()
        logs.marker(protocol.start_line(operation, request_id), gather=crowded)
        if why_new:
            _log.info("%s: this one was generated", why_new)
        if observers.begun and operation is protocol.INVOKE:
            for observe in observers.begun:
                observe(context, record)
        response = await handler(request)
        logs.end(request_id)
        if operation is protocol.INVOKE:
            record.ended = time.monotonic()
            for observe in observers.ended:
                observe(context, record)
            if record.ended - arrived >= observers.slow_after:
                for observe in observers.slow:
                    observe(context, record)
        line = protocol.end_line(operation, request_id, failed=response.status != 200)
        logs.marker(line, gather=crowded)
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
            _check(request)
            return await handler(request)
        except ServiceError as failure:
            error = failure
        except web.HTTPException as failure:
            error = _unrouted(request, failure, known)
        except Exception as failure:
            # A fault of ours: what it says may quote the request, so only its kind and its frames
            # are told.
            places = tracebacks.as_text(tracebacks.of_fault(failure))
            kind = type(failure).__name__
            _log.error("%s\n%s\nthe service failed: %s", tracebacks.TRACEBACK, places, kind)
            error = ServiceError("the service failed: see its log")
        report(error)
        context = RUNNING.get()
        record = record_of(context)
        record.error_type = error.code
        if record.span is not None:
            record.span.failed(error)
        answer = failure_answer(error, context.request_id, error_trace=error_trace)
        forget(error)
        return answer

    return reported


def _check(request: web.Request) -> None:
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
        _log.log(level, "%s: %s", *said, extra={"failure": said})


def is_unknown_expectation(expected: str | None) -> bool:
    """Return whether a request asks for more than 100-continue before its body."""
    return expected is not None and expected.strip().lower() not in ("", "100-continue")
