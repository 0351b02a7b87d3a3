"""The function's own middlewares, within what the service promises of every answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Middleware
from yarl import URL

from .. import protocol
from ..calls.deadline import Call
from ..context.call import RUNNING, Context, record_of
from ..errors import HandlerFailed, ServiceError
from ..http.answers import SERVER, Answer
from ..http.middleware import Next, answer_failure, check_head, path_of
from ..instance.assembly import Service
from ..protocol import SERVICE_LOGGER

LATER = 0.75
"""The part of `deadline_margin` that middlewares may take longer than their call."""

_log = logging.getLogger(SERVICE_LOGGER)


def guarding(service: Service, give_state: Callable[[Context], None] | None) -> Middleware:
    """Return the ring around the function's middlewares: what they raise fails their request alone,
    a call that hangs in them is answered at its deadline, and what they answer has the fields that
    the platform reads.
    """
    error_trace = service.settings.error_trace

    @web.middleware
    async def guarded(request: web.Request, handler: Next) -> web.StreamResponse:
        context = RUNNING.get()
        try:
            check_head(request)
            request = _as_routed(request)
            if give_state is not None:
                give_state(context)
            if path_of(request) == protocol.INVOKE.path:
                call = Call(context.deadline)
                if call.deadline is not None:
                    call.deadline += LATER * service.settings.deadline_margin
                call.stage = "in the function's middlewares"
                response = await service.calls.run(call, _asked(handler, request))
            else:
                response = await _asked(handler, request)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as failure:
            return answer_failure(failure, context, error_trace=error_trace)
        return _finished(response, context)

    return guarded


def _as_routed(request: web.Request) -> web.Request:
    """Return the request with the path that counts: who asks for `request.path` must not be told
    another one than that of what is done.
    """
    path = path_of(request)
    if path == request.path or not path.startswith("/"):
        return request
    return request.clone(
        rel_url=URL.build(path=path, query_string=request.rel_url.raw_query_string)
    )


async def _asked(handler: Next, request: web.Request) -> web.StreamResponse:
    """Return what the middlewares answer. Raises HandlerFailed for whatever they raise."""
    try:
        response = await handler(request)
    except web.HTTPException as answer:
        record_of(RUNNING.get()).error_type = type(answer).__name__
        return _as_response(answer)
    except (ServiceError, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as failure:
        raise HandlerFailed(failure) from failure
    if not isinstance(response, web.StreamResponse):
        wrong = TypeError(
            f"a middleware returned {type(response).__name__}, not a response:"
            " `return await handler(request)`"
        )
        raise HandlerFailed(wrong)
    return response


def _as_response(answer: web.HTTPException) -> web.Response:
    """Return the answer that was raised: aiohttp does not want it returned itself."""
    response = web.Response(
        status=answer.status, reason=answer.reason, headers=answer.headers, body=answer.body
    )
    response.cookies.update(answer.cookies)
    return response


def _finished(response: web.StreamResponse, context: Context) -> web.StreamResponse:
    """Return an answer with what Function Compute reads of it."""
    if isinstance(response, Answer) or response.prepared:
        return response
    if response.status >= 500:
        # Its effect there is not documented, and on hooks it restarts the instance.
        _log.warning("a middleware has answered %d: it is sent as 404", response.status)
        response.set_status(404)
    if response.status != 200:
        record = record_of(context)
        record.error_type = record.error_type or f"HTTP{response.status}"
    response.headers[protocol.STATUS] = "200" if response.status == 200 else "404"
    response.headers.setdefault("Server", SERVER)
    return response
