"""What two readings of a `s.yaml` differ in, for those who have changed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...recording.differences import value_differences
from .model import DeployedFunction, Spec

UNSHOWN = ("environmentVariables",)
"""Keys whose values are not shown: they may be secrets."""


def differences(before: Spec, after: Spec) -> Iterator[str]:
    """Yield what differs, a line each: functions that were added or removed, and the keys of others
    with their values.
    """
    old, new = before.functions, after.functions
    for name in sorted(new.keys() - old.keys()):
        yield f"{name} is added"
    for name in sorted(old.keys() - new.keys()):
        yield f"{name} is removed: its calls end, and its instances stop"
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield f"{name}: {', '.join(_changed(old[name], new[name]))}"


def _changed(old: DeployedFunction, new: DeployedFunction) -> Iterator[str]:
    """Yield the keys of the file that differ; if none does, what they come to."""
    secret = set(_secret(old.props, new.props))
    lines = value_differences(_without(old.props), _without(new.props))
    found = [line.removeprefix("$.") for line in lines]
    yield from found
    yield from sorted(secret)
    if not found and not secret:
        yield "what its file or its environment gives it has changed"


def _without(props: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in props.items() if name not in UNSHOWN}


def _secret(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of secret values that differ."""
    for key in UNSHOWN:
        values = [each.get(key) for each in (old, new)]
        one, two = (value if isinstance(value, Mapping) else {} for value in values)
        for name in one.keys() | two.keys():
            if one.get(name) != two.get(name):
                yield f"{key}.{name}"
