"""Function Compute's API as the official SDK calls it (docs/platform.md section 12):
InvokeFunction, and what there is to read of functions, instances and asynchronous tasks.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from ...http.routes import DIRECT, OWN_RINGS
from ...protocol import SESSION_COOKIE, new_request_id
from ..calls import Invocation, PlatformError
from ..queue.dispatcher import EVENT_LIMIT
from ..spec.sessions import SessionAffinity
from . import functions, tasks
from .answers import identified, platform_error, refusal, result_fields
from .direct import DirectInvocations
from .platform import ID, PLATFORM, SIGNED_HASH, EmulatedPlatform
from .requests import SYNC_LIMIT, VERSION, body_of, choice_of, delay_of, function_named
from .signature import Head

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")

ApiHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_api(platform: EmulatedPlatform) -> web.Application:
    """Return the application, with the direct way of most of its calls."""
    app = web.Application(middlewares=[reported_to_client])
    app[OWN_RINGS] = tuple(app.middlewares)
    app[DIRECT] = DirectInvocations(platform)
    app[PLATFORM] = platform
    for name in filter(_PLAIN.fullmatch, platform.functions):
        # A path without a pattern is found at once.
        app.router.add_post(f"{VERSION}/functions/{name}/invocations", partial(_invoke, name))
    for method, path, handler in ROUTES:
        app.router.add_route(method, f"{VERSION}/{path}", handler)
    return app


@web.middleware
async def reported_to_client(request: web.Request, handler: ApiHandler) -> web.StreamResponse:
    """Give every answer its request id, and every failure the platform's error JSON."""
    request_id = new_request_id()
    request[ID] = request_id
    try:
        admit(request)
        response = await handler(request)
    except web.HTTPException as unrouted:
        response = refusal(_not_played(request, unrouted), request_id, request.path)
    except Exception as reason:
        error = platform_error(reason, f"{request.method} {request.path}")
        response = refusal(error, request_id, request.path)
    return identified(response, request_id)


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
    answer = web.Response(body=outcome.body, headers=result_fields(outcome))
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
