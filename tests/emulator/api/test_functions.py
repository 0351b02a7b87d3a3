"""What the API tells of the file and of the instances, as the official SDK reads it."""

# mypy: disable-error-code=import-untyped
# The SDK has no types.

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_fc20230330 import models
from alibabacloud_fc20230330.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config

from service.emulator.spec.model import DeployedFunction
from service.emulator.spec.read import read_mapping
from tests.emulator.standins import StandIn, desk

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

TIMER = {"cronExpression": "@every 1h", "enable": True, "payload": "p"}
PROPS: Mapping[str, Any] = {
    "region": "cn-hangzhou",
    "functionName": "full",
    "runtime": "custom.debian12",
    "handler": "index.handler",
    "description": "what it does",
    "code": ".",
    "memorySize": 1024,
    "cpu": 0.5,
    "diskSize": 512,
    "timeout": 60,
    "instanceConcurrency": 20,
    "internetAccess": False,
    "role": "acs:ram::1:role/r",
    "environmentVariables": {"PYTHONPATH": "/code/python"},
    "customRuntimeConfig": {
        "command": ["python3"],
        "args": ["/code/server.py"],
        "port": 8080,
        "healthCheckConfig": {"httpGetUrl": "/health"},
    },
    "instanceLifecycleConfig": {"preStop": {"handler": "index.pre_stop", "timeout": 30}},
    "triggers": [
        {"triggerName": "hourly", "triggerType": "timer", "triggerConfig": TIMER},
        {"triggerName": "daily", "triggerType": "timer", "triggerConfig": TIMER},
    ],
    "asyncInvokeConfig": {"maxAsyncRetryAttempts": 1, "asyncTask": True},
    "provisionConfig": {"defaultTarget": 2, "alwaysAllocateCPU": True},
    "concurrencyConfig": {"reservedConcurrency": 7},
}
BARE = {"region": "cn-hangzhou", "functionName": "bare", "runtime": "custom.debian12", "code": "."}


@dataclass(frozen=True)
class Seen:
    """An instance, as the API sees it."""

    id: str
    state: str
    provisioned: bool = False
    frozen: bool = False
    created: float = 1_790_000_000.0
    in_flight: int = 0


THERE = {
    "full": [
        Seen("c-1", "running", provisioned=True),
        Seen("c-2", "starting"),
        Seen("c-3", "stopping"),
    ]
}


def functions(folder: Path) -> Mapping[str, DeployedFunction]:
    """The functions of a file."""
    resources = {
        props["functionName"]: {"component": "fc3", "props": props} for props in (PROPS, BARE)
    }
    spec = {"edition": "3.0.0", "name": "tests", "resources": resources}
    return read_mapping(spec, folder=folder).functions


@asynccontextmanager
async def sdk(folder: Path) -> AsyncIterator[Client]:
    """The official client, and an API with two functions behind it."""
    found = functions(folder)
    pools = {name: StandIn() for name in found}
    async with desk(folder, pools, found, instances=lambda name: THERE.get(name, [])) as api:
        yield Client(
            Config(
                access_key_id="ak",
                access_key_secret="sk",
                endpoint=f"127.0.0.1:{api.port}",
                protocol="HTTP",
            )
        )


async def test_a_function_is_told_as_the_file_has_it(tmp_path: Path) -> None:
    """With all keys of its own, and nothing changed: `s plan` finds no difference in them."""
    async with sdk(tmp_path) as client:
        answer = await client.get_function_async("full", models.GetFunctionRequest())
        found = answer.body.to_map()
    apart = {
        *("region", "code", "triggers", "asyncInvokeConfig"),
        *("provisionConfig", "concurrencyConfig"),
    }
    for key in PROPS.keys() - apart:
        assert found[key] == PROPS[key], key
    assert not apart & found.keys()
    assert found["functionArn"].endswith(":functions/full")


async def test_what_a_file_leaves_out_has_the_platforms_default(tmp_path: Path) -> None:
    """What a deployment fills in, and no more."""
    async with sdk(tmp_path) as client:
        found = (await client.get_function_async("bare", models.GetFunctionRequest())).body
    assert (found.instance_concurrency, found.memory_size, found.timeout) == (1, 512, 3)
    assert (found.cpu, found.disk_size, found.role, found.description) == (0.35, 512, "", "")
    assert (found.handler, found.internet_access) == ("handler", True)
    assert not {"environmentVariables", "customRuntimeConfig"} & found.to_map().keys()


async def test_the_instances_that_are_there_are_listed(tmp_path: Path) -> None:
    """By id and by status."""
    async with sdk(tmp_path) as client:

        async def ids(**asked: Any) -> list[str]:
            request = models.ListInstancesRequest(**asked)
            answer = await client.list_instances_async("full", request)
            return [each.instance_id for each in answer.body.instances]

        assert await ids() == ["c-1", "c-2", "c-3"]
        assert await ids(limit=2) == ["c-1", "c-2"]
        assert await ids(instance_ids=["c-2", "c-9"]) == ["c-2"]
        assert await ids(instance_status=["Running", "Destroying"]) == ["c-1", "c-3"]
        answer = await client.list_instances_async("full", models.ListInstancesRequest())
        first = answer.body.instances[0]
        assert (first.status, first.version_id, first.qualifier) == ("Running", "0", "LATEST")
        assert first.created_time_ms == 1_790_000_000_000


async def test_triggers_are_listed_page_by_page_and_read_by_name(tmp_path: Path) -> None:
    """Of any type; their configuration is a text, as on the platform."""
    async with sdk(tmp_path) as client:
        request = models.ListTriggersRequest(limit=1)
        page = (await client.list_triggers_async("full", request)).body
        assert [each.trigger_name for each in page.triggers] == ["daily"]
        request = models.ListTriggersRequest(next_token=page.next_token)
        page = (await client.list_triggers_async("full", request)).body
        assert [each.trigger_name for each in page.triggers] == ["hourly"]
        assert page.next_token is None
        found = (await client.get_trigger_async("full", "hourly")).body
        assert (found.trigger_type, json.loads(found.trigger_config)) == ("timer", TIMER)
        with pytest.raises(ClientException) as caught:
            await client.get_trigger_async("full", "weekly")
        assert caught.value.code == "TriggerNotFound"


async def test_the_configuration_of_asynchronous_calls_is_told(tmp_path: Path) -> None:
    """As the file has it; a function without one has none."""
    async with sdk(tmp_path) as client:
        request = models.GetAsyncInvokeConfigRequest()
        found = (await client.get_async_invoke_config_async("full", request)).body
        assert (found.max_async_retry_attempts, found.async_task) == (1, True)
        assert found.max_async_event_age_in_seconds is None
        with pytest.raises(ClientException) as caught:
            await client.get_async_invoke_config_async("bare", request)
        assert caught.value.code == "AsyncConfigNotExists"
        listed = await client.list_async_invoke_configs_async(
            models.ListAsyncInvokeConfigsRequest()
        )
        [config] = listed.body.configs
        assert config.function_arn.endswith(":functions/full")


async def test_concurrency_provision_and_scaling_are_told(tmp_path: Path) -> None:
    """What the file wants, and what there is."""
    async with sdk(tmp_path) as client:
        assert (await client.get_concurrency_config_async("full")).body.reserved_concurrency == 7
        assert (await client.get_concurrency_config_async("bare")).body.reserved_concurrency is None
        request = models.GetProvisionConfigRequest()
        found = (await client.get_provision_config_async("full", request)).body
        assert (found.target, found.default_target, found.current) == (2, 2, 1)
        assert found.always_allocate_cpu is True
        found = (await client.get_provision_config_async("bare", request)).body
        assert (found.target, found.current) == (0, 0)
        scaling = await client.get_scaling_config_async("full", models.GetScalingConfigRequest())
        assert (scaling.body.min_instances, scaling.body.current_instances) == (2, 1)
        listed = await client.list_concurrency_configs_async(models.ListConcurrencyConfigsRequest())
        assert [each.reserved_concurrency for each in listed.body.configs] == [7]
        listed = await client.list_provision_configs_async(models.ListProvisionConfigsRequest())
        assert [each.target for each in listed.body.provision_configs] == [2]


async def test_a_file_has_no_versions_and_no_aliases(tmp_path: Path) -> None:
    """Both lists are empty, for a function that is there."""
    async with sdk(tmp_path) as client:
        versions = await client.list_function_versions_async(
            "full", models.ListFunctionVersionsRequest()
        )
        aliases = await client.list_aliases_async("full", models.ListAliasesRequest())
        assert (versions.body.versions, aliases.body.aliases) == ([], [])
        with pytest.raises(ClientException) as caught:
            await client.list_aliases_async("none", models.ListAliasesRequest())
        assert caught.value.code == "FunctionNotFound"
