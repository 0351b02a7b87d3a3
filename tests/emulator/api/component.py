"""What Serverless Devs' component fc3 compares for `s plan`, in Python.

After devsapp/fc3 0.1.22: `handlePreRun` in src/base.ts fills the file's props in, `getFunction` and
`getTrigger` in src/resources/fc/index.ts clear the platform's answers, src/subCommands/plan
compares both. Where this finds no difference, the component itself found none: it was run against
the emulator with all files in tests/cases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

ACCOUNT = "1000000000000000"
"""The account of the credentials that Serverless Devs was told."""

FILLED = {"internetAccess": True, "description": "", "memorySize": 512, "timeout": 3}
OF_OTHERS = (
    *("region", "code", "triggers", "asyncInvokeConfig", "endpoint", "vpcBinding", "customDomain"),
    *("scalingConfig", "provisionConfig", "concurrencyConfig"),
)
OF_PLATFORM = (
    *("functionArn", "functionId", "createdTime", "lastModifiedTime", "state", "lastUpdateStatus"),
    *("codeSize", "codeChecksum", "resourceGroupId"),
)
NAMED = {"logConfig": "project", "vpcConfig": "vpcId"}
MOUNTED = ("nasConfig", "ossMountConfig")
HOOKS = ("initializer", "preStop")


def file_side(props: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The function of a file as the component has it; `auto` is what the platform has."""
    said = {**FILLED, **_without(props, (*OF_OTHERS, "resourceGroupId"))}
    if said["runtime"].startswith("custom"):
        said = {"instanceConcurrency": 1, "handler": "handler", **said}
    if said["memorySize"] == 512 and not said.keys() & {"cpu", "diskSize"}:
        said |= {"cpu": 0.35, "diskSize": 512}
    said["role"] = _role(said, found)
    for key in (*NAMED, *MOUNTED):
        if str(said.get(key)).partition("|")[0].lower() == "auto" and key in found:
            said[key] = found[key]
    for hook in HOOKS:
        played = said.get("instanceLifecycleConfig", {}).get(hook) or {}
        if played.get("handler") or played.get("command"):
            played.setdefault("timeout", 3)
    for mount in said.get("nasConfig", {}).get("mountPoints", []):
        mount.setdefault("enableTLS", False)
    said.get("customContainerConfig", {}).pop("registryConfig", None)
    return said


def platform_side(answer: Mapping[str, Any]) -> dict[str, Any]:
    """GetFunction's answer as the component compares it."""
    found = _without(answer, OF_PLATFORM)
    for key, name in NAMED.items():
        if not found.get(key, {}).get(name):
            found.pop(key, None)
    for key in MOUNTED:
        if not found.get(key, {}).get("mountPoints"):
            found.pop(key, None)
    if "layers" in found:
        found["layers"] = [layer["arn"] for layer in found["layers"]]
    if "sessionAffinityConfig" in found:
        found["sessionAffinityConfig"] = json.loads(found["sessionAffinityConfig"])
    return found


def trigger_sides(trigger: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[Any, Any]:
    """A trigger of the file, and GetTrigger's answer, as the component compares them."""
    apart = ("createdTime", "httpTrigger", "lastModifiedTime", "triggerId")
    found = _without(answer, apart) | {"triggerConfig": json.loads(answer["triggerConfig"])}
    return {"qualifier": "LATEST", "description": "", **trigger}, found


def _role(said: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    role: str = said.get("role", "")
    if role:
        return (role if role.startswith("acs:") else f"acs:ram::{ACCOUNT}:role/{role}").lower()
    config = said.get("ossMountConfig")
    mounts = isinstance(config, Mapping) and config.get("mountPoints")
    return found.get("role") or "auto" if mounts else ""


def _without(value: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(value))
    return {key: each for key, each in copied.items() if key not in keys}
