"""A `s.yaml` of Function Compute 2, in the form of Function Compute 3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..emulator.spec.document import section

_AS_IT_IS = (
    *("description", "runtime", "handler", "memorySize", "timeout", "cpu", "diskSize", "layers"),
    *("instanceConcurrency", "environmentVariables", "gpuMemorySize"),
)
"""Keys of a function that are the same in both."""

_OF_SERVICE = ("role", "internetAccess", "logConfig", "nasConfig")
"""Keys that a service said for its functions, and each function says now."""

_TRIGGER = {
    "name": "triggerName",
    "type": "triggerType",
    "role": "invocationRole",
    "sourceArn": "sourceArn",
    "qualifier": "qualifier",
    "description": "description",
}


_VARIABLE = re.compile(r"\$\{vars\.([\w.-]+)\}")
_DEEPEST = 30
"""Steps after which a variable that names itself is left as it is."""


def is_former_form(document: Any) -> bool:
    """Return whether a file is one of Function Compute 2: it has services."""
    return isinstance(document, Mapping) and "services" in document and "resources" not in document


def in_todays_form(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file as `s cli fc3 s2tos3` would write it, as far as a function is concerned. What
    is no function of the component `fc` is left out.
    """
    services = _whole(document.get("services"), section(document, "vars"))
    resources = {
        str(name): {"component": "fc3", "props": _props(section(each, "props"))}
        for name, each in section(services).items()
        if _is_function(each)
    }
    kept = {key: each for key, each in document.items() if key != "services"}
    return {**kept, "edition": "3.0.0", "resources": resources}


def _whole(value: Any, variables: Mapping[str, Any], depth: int = 0) -> Any:
    """Return a value with what is meant by `${vars.service}` in its place, if that is a mapping or
    a list; references to texts and numbers stay.
    """
    if isinstance(value, str) and (named := _VARIABLE.fullmatch(value)) and depth < _DEEPEST:
        meant: Any = variables
        for key in named[1].split("."):
            meant = section(meant).get(key)
        return _whole(meant, variables, depth + 1) if isinstance(meant, dict | list) else value
    if isinstance(value, Mapping):
        return {key: _whole(each, variables, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each, variables, depth + 1) for each in value]
    return value


def _is_function(service: Any) -> bool:
    component = str(section(service).get("component", "fc")).partition("@")[0]
    return component.rpartition("/")[2] == "fc" and bool(section(service, "props", "function"))


def _props(props: Mapping[str, Any]) -> dict[str, Any]:
    function, service = section(props, "function"), section(props, "service")
    found = {key: function[key] for key in _AS_IT_IS if key in function}
    found |= {key: service[key] for key in _OF_SERVICE if service.get(key) is not None}
    network = section(service, "vpcConfig")
    if network:
        switches = network.get("vswitchIds", network.get("vSwitchIds"))
        kept = {key: each for key, each in network.items() if key.lower() != "vswitchids"}
        found["vpcConfig"] = {**kept, "vSwitchIds": switches}
    elif service.get("vpcConfig") is not None:
        found["vpcConfig"] = service["vpcConfig"]
    if hooks := _hooks(function):
        found["instanceLifecycleConfig"] = hooks
    if calls := _asynchronous(section(function, "asyncConfiguration")):
        found["asyncInvokeConfig"] = calls
    region = props.get("region", "cn-hangzhou")
    return {
        "region": region,
        "functionName": function.get("name"),
        **found,
        "code": function.get("codeUri"),
        "triggers": [_trigger(each, region) for each in _list(props.get("triggers"))],
    }


def _hooks(function: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hooks; an initializer is named beside the handler, with seconds of its own."""
    said = section(function, "instanceLifecycleConfig")
    found = {
        key: said[key] for key in ("initializer", "preStop", "preFreeze") if section(said, key)
    }
    if name := function.get("initializer"):
        timeout = function.get("initializationTimeout", 3)
        found["initializer"] = {"handler": name, "timeout": timeout}
    return found


def _asynchronous(said: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("maxAsyncEventAgeInSeconds", "maxAsyncRetryAttempts")
    found = {key: said[key] for key in keys if key in said}
    targets = section(said, "destination")
    if targets:
        found["destinationConfig"] = {key: {"destination": each} for key, each in targets.items()}
    return found


def _trigger(said: Mapping[str, Any], region: Any) -> dict[str, Any]:
    found = {now: said[then] for then, now in _TRIGGER.items() if said.get(then) is not None}
    config = dict(section(said, "config"))
    bucket = config.pop("bucketName", None)
    if bucket and "sourceArn" not in found:  # of which account, no file says
        found["sourceArn"] = f"acs:oss:{region}:<account>:{bucket}"
    if said.get("type") == "oss":
        config = {key: _lower(each) if key == "filter" else each for key, each in config.items()}
    return {**found, "triggerConfig": config}


def _lower(value: Any) -> Any:
    """Return a filter with its keys as they are written today: `Key` was `key`."""
    if isinstance(value, Mapping):
        return {str(key).lower(): _lower(each) for key, each in value.items()}
    return value


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [section(each) for each in value] if isinstance(value, list) else []
