"""Function Compute's API as the official SDK calls it (docs/platform.md section 12):
InvokeFunction, and what there is to read of functions and asynchronous tasks.
"""

from __future__ import annotations

import base64
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from ...protocol import REQUEST_ID, SERVICE_LOGGER, new_request_id
from ..calls import Invocation, Invoker, Outcome, PlatformError
from ..queue.dispatcher import EVENT_LIMIT, Dispatcher
from ..queue.task import AsyncTask, Status, TaskQuery
from ..spec.model import Function
from ..texts import readable
from .models import function_model, task_model
from .signature import Head, Verifier, check_body

FUNCTIONS = "/2023-03-30/functions"
SYNC_LIMIT = 32 * 1024 * 1024
"""Bytes of a synchronous call's event (docs/platform.md section 8)."""

TAIL = 4096
"""Bytes of a call's log that its caller is given."""

MAX_DELAY = 3600
"""Seconds that an asynchronous call may be put off."""

PAGE = 20
MAX_PAGE = 100
"""Entries of a list by default, and at most."""

LAST_CALLS = 1.0
"""Seconds that callers have to take their answers when the emulator stops."""

NEVER = 10 * 365 * 86400.0
"""Seconds: no connection is closed for being idle."""

_log = logging.getLogger(SERVICE_LOGGER)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class EmulatedPlatform:
    """What the API answers from; `started` is in Unix seconds."""

    functions: Mapping[str, Function]
    pools: Mapping[str, Invoker]
    tasks: Dispatcher
    verifier: Verifier | None
    started: float


PLATFORM = web.AppKey("platform", EmulatedPlatform)
ID = web.RequestKey("id", str)
CONTENT_HASH = web.RequestKey("content_hash", str)
"""What a signed request says of its body."""


def create_app(
    functions: Mapping[str, Function],
    pools: Mapping[str, Invoker],
    tasks: Dispatcher,
    *,
    access_key: tuple[str, str] | None,
) -> web.Application:
    """Return the application. With an access key (id and secret) signatures are checked, without
    one every request is accepted.
    """
    app = web.Application(middlewares=[reported])
    verifier = Verifier(access_key) if access_key else None
    app[PLATFORM] = EmulatedPlatform(functions, pools, tasks, verifier, time.time())
    one, task = f"{FUNCTIONS}/{{name}}", f"{FUNCTIONS}/{{name}}/async-tasks"
    app.router.add_route("POST", f"{one}/invocations", invoke)
    app.router.add_route("GET", FUNCTIONS, list_functions)
    app.router.add_route("GET", one, get_function)
    app.router.add_route("GET", task, list_async_tasks)
    app.router.add_route("GET", f"{task}/{{task_id}}", get_async_task)
    app.router.add_route("PUT", f"{task}/{{task_id}}/stop", stop_async_task)
    return app


def create_runner(app: web.Application) -> web.AppRunner:
    """Return what serves the application: a caller that leaves cancels its call, events stay as
    they were sent, idle connections stay open.
    """
    return web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        keepalive_timeout=NEVER,
        shutdown_timeout=LAST_CALLS,
    )


@web.middleware
async def reported(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every answer its request id, and every failure the platform's error JSON.

    What is no HTTP at all never comes here: aiohttp answers it, in words of its own.
    """
    request_id = new_request_id()
    request[ID] = request_id
    try:
        authorize(request)
        response = await handler(request)
    except PlatformError as error:
        response = _refusal(error, request_id)
    except web.HTTPException as error:
        response = _refusal(_not_played(request, error), request_id)
    except Exception as error:
        _log.exception("the API failed at %s %s", request.method, request.path)
        told = f"the emulator failed: {type(error).__name__}: {error}"
        response = _refusal(PlatformError(500, "InternalServerError", told), request_id)
    response.headers[REQUEST_ID] = request_id
    return response


def authorize(request: web.Request) -> None:
    """Check the signature of a request's head, where there is an access key to check it with."""
    verifier = request.app[PLATFORM].verifier
    if verifier is None:
        return
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    path, _, query = request.raw_path.partition("?")
    request[CONTENT_HASH] = verifier.check(Head(request.method, path, query, headers))


async def invoke(request: web.Request) -> web.Response:
    """InvokeFunction: 200 with the function's answer, or 202 once the call is in the queue."""
    function = _function(request)
    kind = _choice(request, "x-fc-invocation-type", ("Sync", "Async"))
    log_type = _choice(request, "x-fc-log-type", ("None", "Tail"))
    request_id = request[ID]
    platform = request.app[PLATFORM]
    if kind == "Async":
        event = await _body(request, EVENT_LIMIT)
        task_id = request.headers.get("x-fc-async-task-id", "")
        task = await platform.tasks.submit(
            function.name, event, task_id, request_id=request_id, delay=_delay(request)
        )
        return web.Response(status=202, headers={"x-fc-async-task-id": task.id})
    event = await _body(request, SYNC_LIMIT)
    call = Invocation(function.name, event, request_id, tail=log_type == "Tail")
    return _answer(await platform.pools[function.name].invoke(call))


def _delay(request: web.Request) -> float:
    """Return the seconds that an asynchronous call is to wait before it runs."""
    sent = request.headers.get("x-fc-async-delay", "")
    if sent and not (sent.isascii() and sent.isdigit() and int(sent[:9]) <= MAX_DELAY):
        told = f"x-fc-async-delay '{sent[:50]}' is not a number of seconds from 0 to {MAX_DELAY}"
        raise PlatformError(400, "InvalidArgument", told)
    return float(sent or 0)


async def get_function(request: web.Request) -> web.Response:
    """GetFunction, from the file."""
    return _json(function_model(_function(request), request.app[PLATFORM].started))


async def list_functions(request: web.Request) -> web.Response:
    """ListFunctions, from the file: by prefix, page by page; a page goes on after a name."""
    platform = request.app[PLATFORM]
    prefix, after = request.query.get("prefix", ""), request.query.get("nextToken", "")
    limit = _number(request, "limit", PAGE, 1, MAX_PAGE)
    names = sorted(n for n in platform.functions if n.startswith(prefix) and n > after)
    page = names[:limit]
    models = [function_model(platform.functions[name], platform.started) for name in page]
    more = {"nextToken": page[-1]} if len(names) > limit else {}
    return _json({"functions": models, **more})


async def list_async_tasks(request: web.Request) -> web.Response:
    """ListAsyncTasks: by status, prefix of the id and time of submission; the newest first, where
    nothing else is asked for.
    """
    function = _function(request)
    status = request.query.get("status", "")
    if status and status not in set(Status):
        raise PlatformError(400, "InvalidArgument", f"status '{status}' is not one of a task")
    order = request.query.get("sortOrderByTime", "desc")
    if order not in ("asc", "desc"):
        raise PlatformError(400, "InvalidArgument", "sortOrderByTime is neither asc nor desc")
    query = TaskQuery(
        function.name,
        status=status,
        prefix=request.query.get("prefix", ""),
        begin=_number(request, "startedTimeBegin", 0) / 1000,
        end=_number(request, "startedTimeEnd", 2**53) / 1000,
        ascending=order == "asc",
        limit=_number(request, "limit", PAGE, 1, MAX_PAGE),
        after=_number(request, "nextToken", 0) if request.query.get("nextToken") else None,
    )
    tasks, after = request.app[PLATFORM].tasks.page(query) if _keeps_tasks(function) else ([], None)
    payload = request.query.get("includePayload", "").lower() == "true"
    models = [task_model(task, function, payload=payload) for task in tasks]
    return _json({"tasks": models, **({} if after is None else {"nextToken": str(after)})})


async def get_async_task(request: web.Request) -> web.Response:
    """GetAsyncTask."""
    function = _function(request)
    return _json(task_model(_task(request, function), function, payload=True))


async def stop_async_task(request: web.Request) -> web.Response:
    """StopAsyncTask; a task that has ended stays as it is."""
    request.app[PLATFORM].tasks.abort(_task(request, _function(request)))
    return _json({})


def _function(request: web.Request) -> Function:
    """Return the function that is asked for; a file has no versions and no aliases."""
    name = request.match_info["name"]
    function = request.app[PLATFORM].functions.get(name)
    if function is None:
        raise PlatformError(404, "FunctionNotFound", f"function '{name}' does not exist")
    qualifier = request.query.get("qualifier", "")
    if qualifier in ("", "LATEST"):
        return function
    code, kind = (
        ("VersionNotFound", "version") if qualifier.isdigit() else ("AliasNotFound", "alias")
    )
    told = f"{kind} '{qualifier}' of function '{name}' does not exist"
    raise PlatformError(404, code, told)


def _keeps_tasks(function: Function) -> bool:
    """True where the platform keeps the state of asynchronous calls, "task mode"."""
    return function.asynchronous.task


def _task(request: web.Request, function: Function) -> AsyncTask:
    task_id = request.match_info["task_id"]
    told = f"async task '{task_id}' of function '{function.name}' does not exist"
    if not _keeps_tasks(function):
        told += ": its asyncInvokeConfig does not say asyncTask: true"
        raise PlatformError(404, "AsyncTaskNotFound", told)
    task = request.app[PLATFORM].tasks.find(function.name, task_id)
    if task is None:
        raise PlatformError(404, "AsyncTaskNotFound", told)
    return task


async def _body(request: web.Request, limit: int) -> bytes:
    """Return the body; one over `limit` bytes is refused as soon as that is known."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    body = b"".join(chunks)
    if (content_hash := request.get(CONTENT_HASH)) is not None:
        check_body(body, content_hash)
    return body


def _too_large(limit: int) -> PlatformError:
    told = f"payload size exceeds maximum allowed size ({limit} bytes)"
    return PlatformError(400, "EntityTooLarge", told)


def _choice(request: web.Request, name: str, values: Sequence[str]) -> str:
    """Return a header's value, the first of `values` where it is absent."""
    sent = request.headers.get(name, "")
    if not sent:
        return values[0]
    for value in values:
        if sent.lower() == value.lower():
            return value
    raise PlatformError(400, "InvalidArgument", f"{name} '{sent}' is not {' or '.join(values)}")


def _number(
    request: web.Request, name: str, default: int, least: int = 0, most: int = 2**53
) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
        raise PlatformError(
            400, "InvalidArgument", f"{name} '{text[:50]}' is not a number in range"
        )
    return int(text)


def _answer(outcome: Outcome) -> web.Response:
    """Return what InvokeFunction says of a synchronous call: 200, for a function error too.

    `x-fc-code-checksum` is missing: it is the CRC-64 of the package that a deployment makes.
    """
    headers = {
        "x-fc-instance-id": outcome.instance_id,
        "x-fc-invocation-duration": str(math.ceil(outcome.duration * 1000)),
        "x-fc-invocation-service-version": "LATEST",
        "x-fc-max-memory-usage": f"{outcome.memory:.2f}",
    }
    if outcome.error_type:
        headers["x-fc-error-type"] = outcome.error_type
    if outcome.log is not None:
        headers["x-fc-log-result"] = base64.b64encode(outcome.log[-TAIL:]).decode()
    return web.Response(body=outcome.body, headers=headers, content_type="application/octet-stream")


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


def _refusal(error: PlatformError, request_id: str) -> web.Response:
    body = {"Code": error.code, "Message": readable(str(error)), "RequestId": request_id}
    return _json(body, error.status)


def _json(value: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
