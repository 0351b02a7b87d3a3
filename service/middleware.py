"""The two rings around every call: `framed` gives it its context and log lines, `reported` answers
its failure.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from service import frames, framing, protocol
from service.context import RUNNING, Context, Platform
from service.errors import (
    BadFraming,
    BadRequest,
    ClientGone,
    HandlerFailed,
    MethodNotAllowed,
    NotAnEventFunction,
    NotFound,
    ServiceError,
)
from service.logs import Logs

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONTEXT = web.RequestKey("context", Context)

_log = logging.getLogger("service")


def framed(
    logs: Logs, platform: Platform, default_timeout: float | None, margin: float
) -> Middleware:
    """Return the outer ring: the call's context, its Start and End lines, and its request id in the
    answer.
    """

    @web.middleware
    async def framed(request: web.Request, handler: Next) -> web.StreamResponse:
        arrived = time.monotonic()
        headers = request.headers
        request_id, why_new = protocol.request_id(headers.getall(protocol.REQUEST_ID, ()))
        limit = protocol.time_limit(
            headers.get(protocol.FUNCTION_TIMEOUT, ""), default_timeout, margin
        )
        deadline = None if limit is None else arrived + limit
        context = Context(headers, request_id, deadline, platform)
        request[CONTEXT] = context
        RUNNING.set(context)  # this request's task only: aiohttp runs each in a context of its own
        operation = protocol.OPERATIONS.get(path_of(request))
        if operation is None:
            return _identified(await handler(request), request_id)
        logs.marker(protocol.start_line(operation, request_id))
        if why_new:
            _log.info("%s: this one was generated", why_new)
        response = await handler(request)
        logs.end(request_id)
        failed = response.status != 200
        logs.marker(protocol.end_line(operation, request_id, failed=failed))
        await logs.sink.drained()
        return _identified(response, request_id)

    return framed


def path_of(request: web.Request) -> str:
    """Return the path that counts for this request."""
    return protocol.logical_path(request.headers.get(protocol.CONTROL_PATH, ""), request.path)


def _identified(response: web.StreamResponse, request_id: str) -> web.StreamResponse:
    response.headers[protocol.REQUEST_ID] = request_id
    return response


def reported(*, error_trace: bool) -> Middleware:
    """Return the inner ring: every failure becomes its answer here, and is logged here, once."""

    @web.middleware
    async def reported(request: web.Request, handler: Next) -> web.StreamResponse:
        try:
            _check(request)
            return await handler(request)
        except ServiceError as failure:
            error = failure
        except web.HTTPException as failure:
            error = _unrouted(request, failure)
        except Exception as failure:
            # A fault of ours: what it says may quote the request, so only its kind and its frames
            # are told.
            _log.exception("the service failed: %s", type(failure).__name__)
            error = ServiceError("the service failed: see its log")
        context = request[CONTEXT]
        report(error)
        return failure_answer(error, context.request_id, error_trace=error_trace)

    return reported


def _check(request: web.Request) -> None:
    """Raise BadRequest for a head that is ambiguous: how long its body is, or whose call it is."""
    if why := framing.objection(request.version, request.headers):
        raise BadFraming(why)
    expected = request.headers.get("Expect")
    if expected and expected.strip().lower() != "100-continue":
        raise BadRequest("the only expectation served here is 100-continue")
    for name in protocol.IDENTITY:
        values = request.headers.getall(name, ())
        if len(values) > 1 and len(set(values)) > 1:
            raise BadRequest(f"the request has two different values for {name}")


def _unrouted(request: web.Request, failure: web.HTTPException) -> ServiceError:
    path = path_of(request)
    if path == protocol.HTTP_INVOKE_PATH:
        return NotAnEventFunction(
            "this is an event function and has no HTTP handler: call it with InvokeFunction or an"
            " event trigger, and remove its HTTP trigger"
        )
    if isinstance(failure, web.HTTPMethodNotAllowed):
        allowed = tuple(sorted(failure.allowed_methods))
        return MethodNotAllowed(f"{path} takes {' and '.join(allowed)}", allowed)
    known = ", ".join((*protocol.OPERATIONS, protocol.HEALTH_PATH))
    return NotFound(f"there is no such path; there are {known}")


def report(error: ServiceError) -> None:
    """Log a failure, once, with the stack of the user's code where that raised."""
    if error.logged:
        return
    error.logged = True
    if isinstance(error, HandlerFailed):
        places = frames.of_failure(error.failure)
        trace = f"Traceback (most recent call last):\n{frames.as_text(places)}\n" if places else ""
        _log.error("%s%s: %s", trace, error.code, error)
    elif isinstance(error, ClientGone):
        _log.info("%s: %s", error.code, error)
    else:
        _log.warning("%s: %s", error.code, error)


def failure_answer(error: ServiceError, request_id: str, *, error_trace: bool) -> web.Response:
    """Return the answer for a failure: status, `x-fc-status: 404` and the error JSON of design
    section 9.
    """
    stack = []
    if error_trace and isinstance(error, HandlerFailed):
        stack = frames.as_strings(frames.of_failure(error.failure))
    body = protocol.error_body(error.code, str(error), request_id, stack)
    response = answer(body, error.status)
    for name, value in error.headers:
        response.headers[name] = value
    if error.closes:
        response.force_close()
    return response


def answer(body: bytes, status: int = 200, content_type: str = "application/json") -> web.Response:
    """Return an answer that Function Compute counts as a success for 200 and as a failure for all
    else.
    """
    headers = {
        protocol.STATUS: "200" if status == 200 else "404",
        "Content-Type": content_type,
        "Server": "fc-event-service",  # aiohttp would name its own and Python's versions
    }
    return web.Response(body=body, status=status, headers=headers)
