"""Values that are written in another type than the platform takes: `timeout: "60"`, `PORT: 8080`.

Serverless Devs passes them on as they are, and references to the environment are text whatever they
hold. What is meant is clear, so it is played, with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .document import FilePlace
from .sessions import SESSION_RANGES
from .yaml12 import written

CONFIGS = ("customRuntimeConfig", "customContainerConfig")
CHECKS = (
    "initialDelaySeconds",
    "periodSeconds",
    "timeoutSeconds",
    "failureThreshold",
    "successThreshold",
)
NUMBERS: frozenset[tuple[str, ...]] = frozenset(
    {
        *((key,) for key in ("timeout", "memorySize", "instanceConcurrency", "cpu", "diskSize")),
        *((config, "port") for config in CONFIGS),
        *((config, "healthCheckConfig", key) for config in CONFIGS for key in CHECKS),
        *(("instanceLifecycleConfig", hook, "timeout") for hook in ("initializer", "preStop")),
        ("asyncInvokeConfig", "maxAsyncRetryAttempts"),
        ("asyncInvokeConfig", "maxAsyncEventAgeInSeconds"),
        ("provisionConfig", "defaultTarget"),
        ("scalingConfig", "minInstances"),
        ("concurrencyConfig", "reservedConcurrency"),
        *(("sessionAffinityConfig", key) for key in SESSION_RANGES),
    }
)
SWITCHES: frozenset[tuple[str, ...]] = frozenset(
    {
        ("internetAccess",),
        ("asyncInvokeConfig", "asyncTask"),
        ("provisionConfig", "alwaysAllocateCPU"),
        ("triggers", "*", "triggerConfig", "enable"),
    }
)
TEXT_KEYS: frozenset[tuple[str, ...]] = frozenset(
    {
        ("description",),
        ("environmentVariables", "*"),
        *((config, key, "*") for config in CONFIGS for key in ("command", "args", "entrypoint")),
        ("triggers", "*", "triggerName"),
        ("triggers", "*", "triggerConfig", "payload"),
    }
)
_NUMBER = re.compile(r"\s*[0-9]{1,15}(\.[0-9]{1,15})?\s*")
_SWITCH = {"true": True, "false": False}

Tell = Callable[[FilePlace, str], None]
"""Takes a place of the file, and what is to be said of it."""


def as_typed(props: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Return a function's props in the platform's types, and `tell` what was read as another."""
    return {key: _typed(value, (key,), (key,), tell) for key, value in props.items()}


def _typed(value: Any, place: FilePlace, kind: tuple[str, ...], tell: Tell) -> Any:
    """Return the value at `place`; `kind` is the same with `*` for variables' names and indexes."""
    if isinstance(value, Mapping):
        free = kind == ("environmentVariables",)
        return {
            key: _typed(each, (*place, key), (*kind, "*" if free else str(key)), tell)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [
            _typed(each, (*place, index), (*kind, "*"), tell) for index, each in enumerate(value)
        ]
    return _converted(value, place, kind, tell)


def _converted(value: Any, place: FilePlace, kind: tuple[str, ...], tell: Tell) -> Any:
    if kind in NUMBERS and isinstance(value, str) and _NUMBER.fullmatch(value):
        tell(place, f"{value!r} is text, read as a number: write it without quotes")
        return float(value) if "." in value else int(value)
    if kind in SWITCHES and isinstance(value, str) and value.lower() in _SWITCH:
        tell(place, f"{value!r} is text, read as {value.lower()}: write it without quotes")
        return _SWITCH[value.lower()]
    if kind in TEXT_KEYS and isinstance(value, bool | int | float):
        text = written(value)
        tell(place, f"is not text, read as {_short(text)!r}: write it in quotes")
        return text
    return value


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
