"""Function Compute's API as the official SDK calls it (docs/platform.md section 12):
InvokeFunction, and what there is to read of functions, instances and asynchronous tasks.
"""

from __future__ import annotations

import base64
import logging
import math
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from ...logs.lines import plain_line
from ...protocol import REQUEST_ID, SERVICE_LOGGER, SESSION_COOKIE, new_request_id
from ..calls import Invocation, Outcome, PlatformError
from ..failures import broke
from ..queue.dispatcher import EVENT_LIMIT
from ..spec.sessions import SessionAffinity
from ..texts import readable
from . import functions, tasks
from .platform import ID, PLATFORM, SIGNED_HASH, EmulatedPlatform
from .requests import body_of, choice_of, delay_of, function_named, json_answer
from .signature import Head

VERSION = "/2023-03-30"
OLD_VERSION = "/2016-08-15/"
"""How the paths of Function Compute 2 begin, whose SDKs read errors under other names."""

SYNC_LIMIT = 32 * 1024 * 1024
"""Bytes of a synchronous call's event (docs/platform.md section 8)."""

LAST_CALLS = 1.0
"""Seconds that callers have to take their answers when the emulator stops."""

NEVER = 10 * 365 * 86400.0
"""Seconds: no connection is closed for being idle."""

_log = logging.getLogger(SERVICE_LOGGER)


class _Plain(logging.LoggerAdapter[logging.Logger]):
    """The log as aiohttp's server uses it: it writes a traceback for each request that is no HTTP,
    if a line says the same.
    """

    def exception(self, msg: object, *args: object, **fields: Any) -> None:
        """Write one line for a request that cannot be read; anything else as it is."""
        fault = fields.get("exc_info")
        if isinstance(fault, HttpProcessingError):
            reason = plain_line(" ".join(str(fault.message).split()))[:200]
            self.warning("a request to the API is not HTTP: %s", reason)
        else:
            super().exception(msg, *args, **fields)


_PLAIN = re.compile(r"[A-Za-z0-9_-]+")

ApiHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_api(platform: EmulatedPlatform) -> web.Application:
    """Return the application."""
    app = web.Application(middlewares=[reported_to_client])
    app[PLATFORM] = platform
    for name in filter(_PLAIN.fullmatch, platform.functions):
        # A path without a pattern is found at once.
        app.router.add_post(f"{VERSION}/functions/{name}/invocations", partial(_invoke, name))
    for method, path, handler in ROUTES:
        app.router.add_route(method, f"{VERSION}/{path}", handler)
    return app


def create_runner(app: web.Application) -> web.AppRunner:
    """Return what serves the application: a caller that leaves cancels its call, events stay as
    they were sent, idle connections stay open.
    """
    return web.AppRunner(
        app,
        access_log=None,
        logger=_Plain(_log),
        auto_decompress=False,
        handler_cancellation=True,
        keepalive_timeout=NEVER,
        shutdown_timeout=LAST_CALLS,
    )


@web.middleware
async def reported_to_client(request: web.Request, handler: ApiHandler) -> web.StreamResponse:
    """Give every answer its request id, and every failure the platform's error JSON.

    What is no HTTP at all never comes here: aiohttp answers it, in words of its own.
    """
    request_id = new_request_id()
    request[ID] = request_id
    try:
        admit(request)
        response = await handler(request)
    except PlatformError as error:
        response = _refusal(request, error)
    except web.HTTPException as error:
        response = _refusal(request, _not_played(request, error))
    except Exception as error:
        _log.exception("the API failed at %s %s", request.method, request.path)
        response = _refusal(request, broke(error))
    response.headers[REQUEST_ID] = request_id
    return response


def admit(request: web.Request) -> None:
    """Let a request in that no web page can have made and, if there is an access key, that is
    signed with it. Raises PlatformError.
    """
    platform = request.app[PLATFORM]
    here = request.transport.get_extra_info("sockname") if request.transport else None
    platform.hosts.check(request.headers, str(here[0]) if here else "")
    if platform.verifier is None:
        return
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    path, _, query = request.raw_path.partition("?")
    head = Head(request.method, path, query, headers)
    request[SIGNED_HASH] = platform.verifier.check(head)


async def invoke_function(request: web.Request) -> web.Response:
    """InvokeFunction: 200 with the function's answer, or 202 once the call is in the queue."""
    return await _invoke(request.match_info["name"], request)


async def _invoke(name: str, request: web.Request) -> web.Response:
    function = function_named(request, name)
    kind = choice_of(request, "x-fc-invocation-type", ("Sync", "Async"))
    log_type = choice_of(request, "x-fc-log-type", ("None", "Tail"))
    request_id = request[ID]
    platform = request.app[PLATFORM]
    if kind == "Async":
        event = await body_of(request, EVENT_LIMIT)
        task_id = request.headers.get("x-fc-async-task-id", "")
        task = await platform.tasks.submit(
            function.name, event, task_id, request_id=request_id, delay=delay_of(request)
        )
        return web.Response(status=202, headers={"x-fc-async-task-id": task.id})
    event = await body_of(request, SYNC_LIMIT)
    session = _session(request, function.sessions)
    call = Invocation(function.name, event, request_id, 0, log_type == "Tail", session)
    outcome = await platform.invokers[function.name].invoke(call)
    answer = _answer(outcome)
    if function.sessions is not None and not session:
        _tell_session(answer, function.sessions, outcome.session)
    return answer


def _session(request: web.Request, affinity: SessionAffinity | None) -> str | None:
    """Return the session that a request names, "" if it is to have a new one, None if calls of the
    function have none.
    """
    if affinity is None:
        return None
    if affinity.header:
        return request.headers.get(affinity.header, "")
    return request.cookies.get(SESSION_COOKIE, "")


def _tell_session(answer: web.Response, affinity: SessionAffinity, session: str) -> None:
    """Tell a caller the session that was made for its call."""
    if affinity.header:
        answer.headers[affinity.header] = session
    else:
        answer.headers["Set-Cookie"] = f"{SESSION_COOKIE}={session}; Max-Age={affinity.ttl:.0f}"


def _answer(outcome: Outcome) -> web.Response:
    """Return what InvokeFunction says of a synchronous call: 200, for a function error too.

    `x-fc-code-checksum` is missing: it is the CRC-64 of the package that a deployment makes.
    """
    headers = {
        "Content-Type": "application/octet-stream",
        "x-fc-instance-id": outcome.instance_id,
        "x-fc-invocation-duration": str(math.ceil(outcome.duration * 1000)),
        "x-fc-invocation-service-version": "LATEST",
        "x-fc-max-memory-usage": f"{outcome.memory:.2f}",
    }
    if outcome.error_type:
        headers["x-fc-error-type"] = outcome.error_type
    if outcome.log is not None:
        headers["x-fc-log-result"] = base64.b64encode(outcome.log).decode()
    return web.Response(body=outcome.body, headers=headers)


def _not_played(request: web.Request, error: web.HTTPException) -> PlatformError:
    """Return the error for a path or a method that the API does not have here."""
    method, path = request.method, request.path
    action = request.headers.get("x-acs-action", "")
    if action and path.startswith("/2023-03-30/"):
        told = f"the emulator does not play {action}: it answers from the file"
        return PlatformError(501, "NotImplemented", told)
    if isinstance(error, web.HTTPMethodNotAllowed):
        told = f"{path} has no {method}, only {', '.join(sorted(error.allowed_methods))}"
        return PlatformError(405, "MethodNotAllowed", told)
    return PlatformError(404, "PathNotSupported", f"'{method}' against '{path}' is not supported")


def _refusal(request: web.Request, error: PlatformError) -> web.Response:
    message = readable(str(error))
    body = {"Code": error.code, "Message": message, "RequestId": request[ID]}
    if request.path.startswith(OLD_VERSION):
        body |= {"ErrorCode": error.code, "ErrorMessage": message}
    return json_answer(body, error.status)


ONE, TASK = "functions/{name}", "functions/{name}/async-tasks"
ROUTES = (
    ("POST", f"{ONE}/invocations", invoke_function),
    ("GET", "functions", functions.list_functions),
    ("GET", ONE, functions.get_function),
    ("GET", f"{ONE}/instances", functions.list_instances),
    ("GET", f"{ONE}/triggers", functions.list_triggers),
    ("GET", f"{ONE}/triggers/{{trigger}}", functions.get_trigger),
    ("GET", f"{ONE}/versions", functions.list_versions),
    ("GET", f"{ONE}/aliases", functions.list_aliases),
    ("GET", f"{ONE}/async-invoke-config", functions.get_async_config),
    ("GET", f"{ONE}/concurrency", functions.get_concurrency),
    ("GET", f"{ONE}/provision-config", functions.get_provision),
    ("GET", f"{ONE}/scaling-config", functions.get_scaling),
    ("GET", f"{ONE}/vpc-bindings", functions.list_vpc_bindings),
    ("GET", "async-invoke-configs", functions.list_async_configs),
    ("GET", "concurrency-configs", functions.list_concurrency),
    ("GET", "provision-configs", functions.list_provision),
    ("GET", "scaling-configs", functions.list_scaling),
    ("GET", TASK, tasks.list_async_tasks),
    ("GET", f"{TASK}/{{task_id}}", tasks.get_async_task),
    ("PUT", f"{TASK}/{{task_id}}/stop", tasks.stop_async_task),
)
"""The operations that are played: method, path below the version, and who answers."""
