"""A function as a deployment of its file leaves it: with what the component fc3 fills in, makes
and writes differently, so that `s plan` finds no difference (docs/platform.md section 10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from ..spec.called import ACCOUNT
from ..spec.document import section
from ..spec.model import DeployedFunction

OF_FUNCTION = frozenset(
    (
        *("functionName", "runtime", "handler", "description", "tags", "resourceGroupId", "role"),
        *("memorySize", "cpu", "diskSize", "gpuConfig", "timeout", "idleTimeout"),
        *("instanceConcurrency", "instanceLifecycleConfig", "instanceIsolationMode"),
        *("sessionAffinity", "sessionAffinityConfig", "enableLongLiving", "disableOndemand"),
        *("customRuntimeConfig", "customContainerConfig", "environmentVariables", "layers"),
        *("internetAccess", "vpcConfig", "nasConfig", "ossMountConfig", "polarFsConfig"),
        *("customDNS", "logConfig", "tracingConfig", "disableInjectCredentials"),
    )
)
"""Keys of the file that are the function's own; others are those of what belongs to it."""

_SMALL = {"cpu": 0.35, "diskSize": 512}
"""What the component gives to a function of 512 MB that says neither."""

_HOOK_TIMEOUT = 3
"""Seconds that a hook has, if the file does not say."""

_NETWORK = {"vpcId": "vpc-auto", "vSwitchIds": ["vsw-auto"], "securityGroupId": "sg-auto"}
"""What a deployment makes for the parts of a network that are `auto`; only the names are told."""


def deployed_props(function: DeployedFunction) -> dict[str, Any]:
    """Return the function's own keys as GetFunction has them after a deployment of the file.

    A value that the platform cannot have taken, a number for a list say, is left out.
    """
    props = {key: said for key, said in function.props.items() if key in OF_FUNCTION}
    written = {key: _written(function, key, said) for key, said in props.items()}
    said = {key: value for key, value in written.items() if value is not None}
    if function.memory == 512 and not _SMALL.keys() & said.keys():
        said |= _SMALL
    return {**_defaults(function), **said, "role": _role(function)}


def _written(function: DeployedFunction, key: str, said: Any) -> Any:
    """Return the value of a key as a deployment writes it, None for one of another type."""
    if key in _MADE and _is_auto(said):
        return _MADE[key](function, _words(said))
    kind = list if key in _LISTS else Mapping if key in _MAPPINGS else object
    if not isinstance(said, kind):
        return None
    return _WRITTEN[key](said) if key in _WRITTEN else said


def role_arn(role: Any) -> str:
    """Return a role's resource name, for one that the file gives by its name too."""
    text = str(role)
    return (text if text.startswith("acs:") else f"acs:ram::{ACCOUNT}:role/{text}").lower()


def _defaults(function: DeployedFunction) -> dict[str, Any]:
    """Return what the component fills in; it leaves a built-in runtime's concurrency open."""
    filled = {
        "description": "",
        "internetAccess": True,
        "memorySize": function.memory,
        "timeout": _whole(function.timeout),
    }
    if function.runtime.startswith("custom"):
        filled |= {"handler": function.handler, "instanceConcurrency": function.concurrency}
    return filled


def _role(function: DeployedFunction) -> str:
    """Return "" if there is none; a deployment gives one to a function that mounts a bucket."""
    if role := function.props.get("role"):
        return role_arn(role)
    mounts = section(function.props, "ossMountConfig").get("mountPoints")
    return role_arn("AliyunFCDefaultRole") if mounts else ""


def _log(function: DeployedFunction, words: Mapping[str, Any]) -> Any:
    return {
        "enableInstanceMetrics": True,
        "enableRequestMetrics": True,
        "logBeginRule": "DefaultRegex",
        "logstore": "default-logs",
        "project": f"serverless-{function.region}-{ACCOUNT}",
        **words,
    }


def _bucket(function: DeployedFunction, words: Mapping[str, Any]) -> Any:
    name = f"serverless-{function.region}-{ACCOUNT}"
    mount = {
        "mountDir": f"/mnt/{name}",
        "bucketName": name,
        "endpoint": f"http://oss-{function.region}-internal.aliyuncs.com",
        "readOnly": False,
        "bucketPath": "/",
    }
    return {"mountPoints": [{**mount, **words}]}


def _file_system(function: DeployedFunction, words: Mapping[str, Any]) -> Any:
    directory = words.get("nasDir", f"/{function.name}")
    mount = {
        "serverAddr": f"auto.{function.region}.nas.aliyuncs.com:{directory}",
        "mountDir": words.get("mountDir", f"/mnt/{function.name}"),
        "enableTLS": False,
    }
    return {"groupId": 0, "userId": 0, "mountPoints": [mount]}


def _network(_function: DeployedFunction, _words: Mapping[str, Any]) -> Any:
    return dict(_NETWORK)


_MADE: Mapping[str, Callable[[DeployedFunction, Mapping[str, Any]], Any]] = {
    "logConfig": _log,
    "ossMountConfig": _bucket,
    "nasConfig": _file_system,
    "vpcConfig": _network,
}
"""Keys for which a deployment makes something if they are `auto`, and what. The emulator makes
nothing: the names are only told.
"""


def _with_tls(said: Mapping[str, Any]) -> Any:
    points = [{"enableTLS": False, **each} for each in _mappings(said.get("mountPoints"))]
    return {**said, "mountPoints": points} if points else said


def _with_network(said: Mapping[str, Any]) -> Any:
    return {key: _NETWORK.get(key, each) if _is_auto(each) else each for key, each in said.items()}


def _without_password(said: Mapping[str, Any]) -> Any:
    kept = {key: value for key, value in said.items() if key != "registryConfig"}
    return kept | ({"image": str(kept["image"]).strip()} if "image" in kept else {})


def _with_timeouts(said: Mapping[str, Any]) -> Any:
    hooks = {key: hook for key, hook in said.items() if isinstance(hook, Mapping)}
    timed = {key for key, hook in hooks.items() if hook.get("handler") or hook.get("command")}
    return {**said, **{key: {"timeout": _HOOK_TIMEOUT, **hooks[key]} for key in timed}}


def _as_text(said: Any) -> Any:
    return said if isinstance(said, str) else orjson.dumps(said).decode()


def _layers(said: list[Any]) -> Any:
    return [{"arn": each, "size": 0} for each in said]


def _tags(said: list[Any]) -> Any:
    return [{"Key": each.get("key"), "Value": each.get("value")} for each in _mappings(said)]


_WRITTEN: Mapping[str, Callable[[Any], Any]] = {
    "nasConfig": _with_tls,
    "vpcConfig": _with_network,
    "customContainerConfig": _without_password,
    "instanceLifecycleConfig": _with_timeouts,
    "sessionAffinityConfig": _as_text,
    "layers": _layers,
    "tags": _tags,
}
"""Keys that a deployment does not leave as the file has them, and how it writes them."""

_LISTS = frozenset(("layers", "tags"))
_MAPPINGS = _MADE.keys() | {
    *("customRuntimeConfig", "customContainerConfig", "instanceLifecycleConfig", "gpuConfig"),
    *("environmentVariables", "polarFsConfig", "customDNS", "tracingConfig"),
}


def _is_auto(said: Any) -> bool:
    return isinstance(said, str) and said.partition("|")[0].lower() == "auto"


def _mappings(said: Any) -> list[Mapping[str, Any]]:
    listed = said if isinstance(said, list) else []
    return [each for each in listed if isinstance(each, Mapping)]


def _words(said: str) -> dict[str, Any]:
    """Return what follows in `auto|mountDir=/mnt/o|readOnly=true`, JSON as what it is."""
    found: dict[str, Any] = {}
    for word in said.split("|")[1:]:
        key, equals, value = word.partition("=")
        if key and equals and value:
            try:
                found[key.strip()] = orjson.loads(value)
            except orjson.JSONDecodeError:
                found[key.strip()] = value.strip()
    return found


def _whole(seconds: float) -> int | float:
    """Return seconds without a fraction if they have none."""
    return int(seconds) if seconds == int(seconds) else seconds
