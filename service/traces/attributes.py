"""What is told of the function and of a call, by OpenTelemetry's conventions for `faas` and `cloud`
(opentelemetry.io/docs/specs/semconv/faas).
"""

from __future__ import annotations

import inspect
import os
import typing
import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from ..calls.annotations import bare_annotation, parts_of
from ..context.call import Context
from ..context.fields import Platform

CLOUD = {"cloud.provider": "alibaba_cloud", "cloud.platform": "alibaba_cloud_fc"}

TRIGGERS = {
    **dict.fromkeys(("apigateway", "http"), "http"),
    **dict.fromkeys(("cdn", "dts", "oss", "sls", "tablestore"), "datasource"),
    **dict.fromkeys(("cloudevents", "eventbridge", "messaging", "mns"), "pubsub"),
    "timer": "timer",
}
"""The kind of trigger by the module of `service.events` that has the event's type."""

OTHER = "other"
"""The kind of a trigger that is not known: the platform does not tell it."""


def resource_of(platform: Platform) -> Resource:
    """Return what all spans, metrics and log records of this process are of. What
    OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say wins.
    """
    ours: dict[str, Any] = {
        **CLOUD,
        **_function(platform.function_name, platform.version, platform.region, platform.account_id),
        "faas.instance": platform.instance_id,
        "faas.max_memory": platform.memory * 1024 * 1024,
        "service.name": platform.function_name,
        "service.instance.id": str(uuid.uuid4()),  # each worker counts for itself
        "process.pid": os.getpid(),
    }
    known = {name: value for name, value in ours.items() if value}
    return Resource.create({**known, **OTELResourceDetector().detect().attributes})


def call_attributes(context: Context, trigger: str) -> dict[str, Any]:
    """Return the attributes of a call's span that are known when it begins."""
    function = context.function
    version = function.version_id or function.qualifier
    known = _of_function(function.name, version, context.region, context.account_id)
    return {**known, "faas.invocation_id": context.request_id, "faas.trigger": trigger}


@lru_cache(maxsize=16)  # the same for all calls of a function
def _of_function(name: str, version: str, region: str, account: str) -> dict[str, str]:
    return {**CLOUD, **_function(name, version, region, account)} if name else {}


def _function(name: str, version: str, region: str, account: str) -> dict[str, str]:
    resource = f"acs:fc:{region}:{account}:functions/{name}" if name and region and account else ""
    found = {
        "faas.name": name,
        "faas.version": version,
        "cloud.region": region,
        "cloud.account.id": account,
        "cloud.resource_id": resource,
    }
    return {key: value for key, value in found.items() if value}


def trigger_of(handler: Callable[..., Any]) -> str:
    """Return the kind of trigger that a handler is for, by its event's type: `faas.trigger`."""
    try:
        hints = typing.get_type_hints(handler, include_extras=True)
        first = next(iter(inspect.signature(handler).parameters))
        parts = [part for _, part in parts_of(bare_annotation(hints[first]))]
    except Exception:  # no annotation, or one that names what is not there
        return OTHER
    for part in parts:
        package, _, module = getattr(part, "__module__", "").rpartition(".")
        if package.endswith("service.events") and module in TRIGGERS:
            return TRIGGERS[module]
    return OTHER
