"""A project on the disk, as a user has it, and what a check finds in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from service.checking.checked import CheckedFunction
from service.checking.families import checked_file, checked_function
from service.checking.finding import CheckFinding
from service.checking.lock import read_lock
from service.checking.measured import Measured
from service.emulator.spec.placed import read_placed

PROPS: Mapping[str, Any] = {
    "region": "cn-hangzhou",
    "functionName": "fn",
    "runtime": "custom.debian12",
    "code": "./code",
    "customRuntimeConfig": {
        "command": ["python3"],
        "args": ["-P", "-m", "fc_event_service"],
        "port": 9000,
    },
    "environmentVariables": {"SERVICE_CONCURRENCY": "10", "PYTHONPATH": "/code/python"},
    "instanceConcurrency": 10,
    "memorySize": 512,
    "cpu": 0.5,
    "diskSize": 512,
    "timeout": 30,
}
"""Of a function in which all fits."""

HANDLER = "async def handler(event, context):\n    return 1\n"
CODE = {"code/index.py": HANDLER, "code/python/fc_event_service/__init__.py": ""}


def project(
    folder: Path, changes: Mapping[str, Any] | None = None, files: Mapping[str, str] | None = None
) -> Path:
    """Write a project; return its file. A change within a mapping changes that key of it, and None
    removes a key.
    """
    props: dict[str, Any] = dict(PROPS)
    for key, value in (changes or {}).items():
        if isinstance(value, Mapping) and isinstance(props.get(key), Mapping):
            value = {k: v for k, v in {**props[key], **value}.items() if v is not None}
        props[key] = value
    props = {key: value for key, value in props.items() if value is not None}
    for name, text in {**CODE, **(files or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    spec = {"edition": "3.0.0", "name": "app", "resources": {"fn": {"component": "fc3"}}}
    spec["resources"]["fn"]["props"] = props  # type: ignore[index]
    (folder / "s.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return folder / "s.yaml"


def found(
    file: Path, *, measured: Measured | None = None, events: Sequence[tuple[str, int]] = ()
) -> list[CheckFinding]:
    """Return all that a check finds."""
    spec = read_placed(file, environ={})
    lock = read_lock(file.parent / "requirements.lock")
    findings = [*checked_file(spec, file.parent).findings]
    for placed in spec.functions:
        function = CheckedFunction(placed, spec.sources, file.parent, lock, measured, events)
        findings += checked_function(function).findings
    return findings


def told(findings: Sequence[CheckFinding], level: str = "") -> list[str]:
    """Return findings as `LEVEL RULE KEY: TEXT`, those of one level or all; without a key, with
    file and line in its place.
    """
    return [
        f"{each.level} {each.rule} {each.key or each.where}: {each.text}"
        for each in findings
        if not level or each.level == level
    ]
