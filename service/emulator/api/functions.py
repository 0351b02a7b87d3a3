"""The operations that read what the file says of functions, and which instances there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from ..calls import PlatformError
from ..spec.model import DeployedFunction
from ..spec.rules import triggers
from .models import (
    async_config_model,
    concurrency_model,
    function_model,
    instance_model,
    provision_model,
    scaling_model,
    trigger_model,
    vpc_model,
)
from .platform import ID, PLATFORM
from .requests import MAX_PAGE, PAGE_SIZE, function_of, json_answer, number_of


async def get_function(request: web.Request) -> web.Response:
    """GetFunction, from the file."""
    return json_answer(function_model(function_of(request), request.app[PLATFORM].started))


async def list_functions(request: web.Request) -> web.Response:
    """ListFunctions, from the file: by prefix, page by page."""
    platform = request.app[PLATFORM]
    page, more = _page(request, sorted(platform.functions), request.query.get("prefix", ""))
    models = [function_model(platform.functions[name], platform.started) for name in page]
    return json_answer({"functions": models, **more})


# --- instances

STATUSES = {"starting": "Initializing", "running": "Running", "unhealthy": "Running"}
"""Names of states as the platform tells them; others are those of instances that end."""


async def list_instances(request: web.Request) -> web.Response:
    """ListInstances: those that are there now, the oldest first, by id and by status.

    The emulator keeps none that have ended, and whether one is frozen is not the API's to tell.
    """
    function = function_of(request)
    ids = _several(request, "instanceIds")
    wanted = {status.lower() for status in _several(request, "instanceStatus")}
    limit = number_of(request, "limit", MAX_PAGE, 1, 1000)
    models = []
    for each in request.app[PLATFORM].instances(function.name):
        status = STATUSES.get(each.state, "Destroying")
        if (not ids or each.id in ids) and (not wanted or status.lower() in wanted):
            models.append(instance_model(each, status))
    return json_answer({"instances": models[:limit], "requestId": request[ID]})


def _several(request: web.Request, name: str) -> set[str]:
    """Return the values of a parameter that may be there often, or be a JSON list."""
    found = set()
    for text in request.query.getall(name, []):
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = text.split(",")
        found |= {str(each) for each in value} if isinstance(value, list) else {text}
    return found - {""}


# --- triggers


async def list_triggers(request: web.Request) -> web.Response:
    """ListTriggers, from the file: by prefix, page by page."""
    function = function_of(request)
    found = {trigger["triggerName"]: trigger for _, trigger in triggers(function.props)}
    page, more = _page(request, sorted(found), request.query.get("prefix", ""))
    started = request.app[PLATFORM].started
    models = [trigger_model(found[name], started) for name in page]
    return json_answer({"triggers": models, **more})


async def get_trigger(request: web.Request) -> web.Response:
    """GetTrigger, from the file."""
    function, name = function_of(request), request.match_info["trigger"]
    for _, trigger in triggers(function.props):
        if trigger["triggerName"] == name:
            return json_answer(trigger_model(trigger, request.app[PLATFORM].started))
    told = f"trigger '{name}' of function '{function.name}' does not exist"
    raise PlatformError(404, "TriggerNotFound", told)


# --- configurations


async def get_async_config(request: web.Request) -> web.Response:
    """GetAsyncInvokeConfig, from the file."""
    function = function_of(request)
    if "asyncInvokeConfig" not in function.props:
        told = f"async config of function '{function.name}' does not exist"
        raise PlatformError(404, "AsyncConfigNotExists", told)
    return json_answer(async_config_model(function, request.app[PLATFORM].started))


async def list_async_configs(request: web.Request) -> web.Response:
    """ListAsyncInvokeConfigs: those of the functions that have one in the file."""
    started = request.app[PLATFORM].started

    def model(function: DeployedFunction) -> dict[str, Any]:
        return async_config_model(function, started)

    return _configs(request, "asyncInvokeConfig", "configs", model)


async def get_concurrency(request: web.Request) -> web.Response:
    """GetConcurrencyConfig; without one in the file it names the function alone."""
    return json_answer(concurrency_model(function_of(request)))


async def list_concurrency(request: web.Request) -> web.Response:
    """ListConcurrencyConfigs: those of the functions that have one in the file."""
    return _configs(request, "concurrencyConfig", "configs", concurrency_model)


async def get_provision(request: web.Request) -> web.Response:
    """GetProvisionConfig: what the file wants, and how many instances there are."""
    function = function_of(request)
    return json_answer(provision_model(function, _running(request, function)))


async def list_provision(request: web.Request) -> web.Response:
    """ListProvisionConfigs: those of the functions that have one in the file."""

    def model(function: DeployedFunction) -> dict[str, Any]:
        return provision_model(function, _running(request, function))

    return _configs(request, "provisionConfig", "provisionConfigs", model)


async def get_scaling(request: web.Request) -> web.Response:
    """GetScalingConfig: what the file wants, and how many instances there are."""
    function = function_of(request)
    return json_answer(scaling_model(function, _running(request, function)))


async def list_scaling(request: web.Request) -> web.Response:
    """ListScalingConfigs: those of the functions that have one in the file."""

    def model(function: DeployedFunction) -> dict[str, Any]:
        return scaling_model(function, _running(request, function))

    return _configs(request, "scalingConfig", "scalingConfigs", model)


async def list_vpc_bindings(request: web.Request) -> web.Response:
    """ListVpcBindings, from the file."""
    return json_answer(vpc_model(function_of(request)))


async def list_versions(request: web.Request) -> web.Response:
    """ListFunctionVersions: a file has none."""
    function_of(request)
    return json_answer({"versions": [], "direction": request.query.get("direction", "BACKWARD")})


async def list_aliases(request: web.Request) -> web.Response:
    """ListAliases: a file has none."""
    function_of(request)
    return json_answer({"aliases": []})


def _running(request: web.Request, function: DeployedFunction) -> int:
    """Return how many provisioned instances serve."""
    there = request.app[PLATFORM].instances(function.name)
    return sum(each.provisioned and each.state == "running" for each in there)


def _configs(
    request: web.Request, key: str, name: str, model: Callable[[DeployedFunction], dict[str, Any]]
) -> web.Response:
    """Return a page of the configurations of functions that have `key` in the file."""
    functions = request.app[PLATFORM].functions
    asked = request.query.get("functionName", "")
    names = [each for each in sorted(functions) if key in functions[each].props]
    page, more = _page(request, [each for each in names if asked in ("", each)])
    return json_answer({name: [model(functions[each]) for each in page], **more})


def _page(
    request: web.Request, names: list[str], prefix: str = ""
) -> tuple[list[str], dict[str, str]]:
    """Return the names of a page, and the token of the next one; a page goes on after a name."""
    limit = number_of(request, "limit", PAGE_SIZE, 1, MAX_PAGE)
    after = request.query.get("nextToken", "")
    left = [name for name in names if name.startswith(prefix) and name > after]
    return left[:limit], {"nextToken": left[limit - 1]} if len(left) > limit else {}
