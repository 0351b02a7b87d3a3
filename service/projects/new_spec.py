"""The `s.yaml` of a function that moves from a built-in runtime."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..advice.finding import MAY_BREAK, Finding, Level
from ..emulator.spec.document import section
from ..protocol import HOOK_NAMES
from .old_project import OldProject

_WRITTEN_ANEW = {
    *("runtime", "customRuntimeConfig", "code", "handler", "functionName", "region"),
    *("instanceConcurrency", "environmentVariables", "instanceLifecycleConfig", "triggers"),
}
"""Keys that are not taken over as they are."""

_STAYS = re.compile(r"\$\{(vars\.|env\()[^}]*\}")
"""References that are taken over: what they name is taken over, too, or is the reader's."""

_HOOKS = {"initializer": ("initializer", "initialize", 60), "pre_stop": ("preStop", "pre_stop", 70)}
"""By its setting: a hook's key, the name it has unless the file names one, and its seconds."""

_TIMEOUTS = {"initializer": "SERVICE_INITIALIZE_TIMEOUT", "pre_stop": "SERVICE_DRAIN_TIMEOUT"}

_COMMENTS = {
    "customRuntimeConfig": "The runtime's own Python, 3.11; `make bundle` puts the packages into"
    " python/.",
    "instanceConcurrency": "Calls that one instance serves at once, 1 to 200; the variable says"
    " the same.",
    "instanceLifecycleConfig": "The service is told when a hook is due; what it runs, the variables"
    " say, or its name.",
}


def new_spec(old: OldProject, name: str, concurrency: int) -> tuple[bytes, list[Finding]]:
    """Return the file, and what is to be said of what the old one had. Raises UsageError."""
    import yaml

    triggers, told = _triggers(old)
    props = {
        "region": _taken_over(old, "region", "cn-hangzhou"),
        "functionName": name,
        "runtime": "custom.debian12",
        "customRuntimeConfig": {
            "command": ["python3"],
            "args": ["-P", "-m", "fc_event_service"],
            "port": 9000,
        },
        "code": "./build/code",
        "handler": old.handler,
        "instanceConcurrency": concurrency,
        "environmentVariables": _variables(old, concurrency),
        "instanceLifecycleConfig": _hooks(old),
        **_others(old),
        **({"triggers": triggers} if triggers else {}),
    }
    told += _no_more(old, triggers)
    if old.props.get("layers"):
        what = "a layer that was built for the built-in runtime's Python may not fit 3.11"
        told.append(_said("layer", MAY_BREAK, what, "Put its packages into requirements.txt."))
    text = yaml.safe_dump(_whole(old, name, props), sort_keys=False, allow_unicode=True, width=1000)
    return _commented(text).encode(), told


def hook_variable(old: OldProject, setting: str) -> str:
    """Return what the variable of a hook has to say, "" if its name says it. A built-in runtime
    runs a hook only if the file names it, the service also one that is called as usual.
    """
    named: str = getattr(old, setting)
    module = old.handler.rpartition(".")[0]
    if named:
        return "" if named in {f"{module}.{usual}" for usual in HOOK_NAMES[setting]} else named
    return "none" if old.names & set(HOOK_NAMES[setting]) else ""


def _whole(old: OldProject, name: str, props: Mapping[str, Any]) -> dict[str, Any]:
    actions = {"pre-deploy": [{"run": "make bundle", "path": "./"}]}
    return {
        "edition": "3.0.0",
        "name": name,
        "access": old.whole.get("access", "default"),
        **({"vars": old.whole["vars"]} if old.whole.get("vars") else {}),
        "resources": {name: {"component": "fc3", "actions": actions, "props": dict(props)}},
    }


def _others(old: OldProject) -> dict[str, Any]:
    """Return the keys that are taken over, with what the platform would fill in else."""
    found = {
        key: _taken_over(old, key)
        for key in old.written
        if key not in _WRITTEN_ANEW and key in old.props
    }
    found.setdefault("timeout", 60)
    found.setdefault("memorySize", 512)
    if "cpu" not in found and "diskSize" not in found:
        # The platform takes 1 to 4 GB of memory for each vCPU, in steps of 0.05.
        found["cpu"] = max(0.05, round(int(old.props.get("memorySize", 512)) / 2048 / 0.05) / 20)
        found["diskSize"] = 512
    return found


def _variables(old: OldProject, concurrency: int) -> dict[str, Any]:
    said = section(_taken_over(old, "environmentVariables", {}))
    own = said.get("PYTHONPATH")
    found = {**said, "PYTHONPATH": f"/code/python:{own}" if own else "/code/python"}
    found["SERVICE_CONCURRENCY"] = str(concurrency)
    hooks = _hooks(old)
    for setting, (key, _, _) in _HOOKS.items():
        found[_TIMEOUTS[setting]] = f"{max(1, hooks[key]['timeout'] - 5)}"
        if named := hook_variable(old, setting):
            found[f"SERVICE_{setting.upper()}"] = named
    return found


def _hooks(old: OldProject) -> dict[str, Any]:
    found = {}
    for key, usual, seconds in _HOOKS.values():
        said = section(old.props, "instanceLifecycleConfig", key)
        timeout = max(10, int(said.get("timeout", seconds)))
        found[key] = {"handler": said.get("handler") or usual, "timeout": timeout}
    return found


def _triggers(old: OldProject) -> tuple[list[Any], list[Finding]]:
    """Return the triggers but those of HTTP, which no event function has, and tell of these."""
    typed = old.props.get("triggers") or []
    taken_over = _taken_over(old, "triggers", typed)
    kept = [
        trigger
        for trigger, each in zip(taken_over, typed, strict=True)
        if each.get("triggerType") != "http"
    ]
    if len(kept) == len(typed):
        return kept, []
    what = "an HTTP trigger sends requests, not events: it is left out"
    advice = "Call the function by InvokeFunction or API Gateway, or leave it where it is."
    return kept, [_said("trigger", MAY_BREAK, what, advice)]


def _no_more(old: OldProject, triggers: list[Any]) -> list[Finding]:
    """Tell of what a file of Function Compute 2 has, and one of 3 cannot say."""
    told = []
    if section(old.props, "instanceLifecycleConfig", "preFreeze"):
        what = "preFreeze is no more in Function Compute 3: nothing is told before a freeze"
        told.append(_said("hook", MAY_BREAK, what, "Do at the end of a call what it did."))
    if any("<account>" in str(section(each).get("sourceArn")) for each in triggers):
        what = "the sourceArn of an OSS trigger names the account, which the file does not say"
        told.append(
            _said("trigger", MAY_BREAK, what, "Write its number in the place of <account>.")
        )
    return told


def _said(rule: str, level: Level, what: str, advice: str) -> Finding:
    return Finding("s.yaml", 1, rule, level, what, advice)


def _taken_over(old: OldProject, key: str, default: Any = None) -> Any:
    """Return the value of a key as the file has it, references that can stay included."""
    if key not in old.props:
        return default
    return _kept(old.written.get(key), old.props[key])


def _kept(written: Any, value: Any) -> Any:
    if isinstance(written, Mapping) and isinstance(value, Mapping):
        return {key: _kept(written.get(key), each) for key, each in value.items()}
    if isinstance(written, list) and isinstance(value, list) and len(written) == len(value):
        return [_kept(one, other) for one, other in zip(written, value, strict=True)]
    stays = isinstance(written, str) and "${" in written and "${" not in _STAYS.sub("", written)
    return written if stays else value


def _commented(text: str) -> str:
    """Put a comment above the keys that need one, and one at the top."""
    for key, comment in _COMMENTS.items():
        text = re.sub(rf"^(      ){key}:", rf"\1# {comment}\n\1{key}:", text, flags=re.MULTILINE)
    return (
        "# What is deployed: `make bundle`, then `s deploy`. Taken over from a built-in runtime.\n"
        + text
    )
