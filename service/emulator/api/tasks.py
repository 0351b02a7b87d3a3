"""The operations on asynchronous tasks: list, read, stop."""

from __future__ import annotations

from aiohttp import web

from ..calls import PlatformError
from ..queue.task import AsyncTask, Status, TaskQuery
from ..spec.model import DeployedFunction
from .models import task_model
from .platform import PLATFORM
from .requests import MAX_PAGE, PAGE_SIZE, function_of, json_answer, number_of


async def list_async_tasks(request: web.Request) -> web.Response:
    """ListAsyncTasks: by status, prefix of the id and time of submission; the newest first, if
    nothing else is asked for.
    """
    function = function_of(request)
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
        begin=number_of(request, "startedTimeBegin", 0) / 1000,
        end=number_of(request, "startedTimeEnd", 2**53) / 1000,
        ascending=order == "asc",
        limit=number_of(request, "limit", PAGE_SIZE, 1, MAX_PAGE),
        after=number_of(request, "nextToken", 0) if request.query.get("nextToken") else None,
    )
    tasks, after = request.app[PLATFORM].tasks.page(query) if _keeps_tasks(function) else ([], None)
    payload = request.query.get("includePayload", "").lower() == "true"
    models = [task_model(task, function, payload=payload) for task in tasks]
    return json_answer({"tasks": models, **({} if after is None else {"nextToken": str(after)})})


async def get_async_task(request: web.Request) -> web.Response:
    """GetAsyncTask."""
    function = function_of(request)
    return json_answer(task_model(_task(request, function), function, payload=True))


async def stop_async_task(request: web.Request) -> web.Response:
    """StopAsyncTask; a task that has ended stays as it is."""
    request.app[PLATFORM].tasks.abort(_task(request, function_of(request)))
    return json_answer({})


def _keeps_tasks(function: DeployedFunction) -> bool:
    """Return True if the platform keeps the state of asynchronous calls, "task mode"."""
    return function.asynchronous.task


def _task(request: web.Request, function: DeployedFunction) -> AsyncTask:
    task_id = request.match_info["task_id"]
    told = f"async task '{task_id}' of function '{function.name}' does not exist"
    if not _keeps_tasks(function):
        told += ": its asyncInvokeConfig does not say asyncTask: true"
        raise PlatformError(404, "AsyncTaskNotFound", told)
    task = request.app[PLATFORM].tasks.find(function.name, task_id)
    if task is None:
        raise PlatformError(404, "AsyncTaskNotFound", told)
    return task
