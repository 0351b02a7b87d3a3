"""The function that is measured: of `s.yaml`, or of a folder with a handler."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...emulator.spec.model import DeployedFunction, Spec
from ...emulator.spec.read import read, read_mapping
from ...errors import UsageError
from ...names import NAME
from ..report import SizeSubject
from ..request import SizeRequest

SPEC_FILE = "s.yaml"


def sized_function(request: SizeRequest) -> DeployedFunction:
    """Return the function that a request names. Raises UsageError."""
    functions = _spec(request).functions
    if request.function is None:
        if len(functions) > 1:
            raise UsageError(f"--function: which one? There are {', '.join(functions)}")
        return next(iter(functions.values()))
    if request.function not in functions:
        raise UsageError(
            f"--function {request.function}: is not there; there are {', '.join(functions)}"
        )
    return functions[request.function]


def _spec(request: SizeRequest) -> Spec:
    code = None if request.code is None else request.folder / request.code
    path = request.folder / (request.spec or SPEC_FILE)
    if path.exists():
        return read(path, code=code)
    if request.spec is not None:
        raise UsageError(f"--spec {request.spec}: there is no such file")
    return _of_folder(code or request.folder, request.handler)


def _of_folder(code: Path, handler: str) -> Spec:
    """Return a function of which only the code is there, with the sizes of a small instance."""
    module = re.split(r"[.:](?=[^.:/]*\Z)", handler)[0].replace(".", "/")
    if not any((code / f"{module}{end}").exists() for end in (".py", "/__init__.py")):
        raise UsageError(
            f"there is neither {SPEC_FILE} nor {module}.py in {code}: --spec FILE names a file,"
            " --code DIR and --handler module.function a handler"
        )
    name = re.sub(r"[^A-Za-z0-9_-]", "-", code.resolve().name) or "function"
    name = name if re.match(r"[A-Za-z_]", name) else f"f-{name}"
    props: Mapping[str, Any] = {
        "region": "cn-hangzhou",
        "functionName": name[:64],
        "runtime": "custom.debian12",
        "code": str(code),
        "handler": handler,
        "timeout": 600,
        "cpu": 1,
        "memorySize": 1024,
        "customRuntimeConfig": {"command": [sys.executable], "args": ["-P", "-m", NAME]},
    }
    resource = {"component": "fc3", "props": props}
    document = {"edition": "3.0.0", "name": name, "resources": {"function": resource}}
    return read_mapping(document, folder=code)


def subject_of(function: DeployedFunction, event: bytes) -> SizeSubject:
    """Return what tells one measurement from another."""
    workers = function.environment.get("SERVICE_WORKERS", "1")
    return SizeSubject(
        function.name,
        function.handler,
        f"{len(event)} bytes, {hashlib.sha256(event).hexdigest()[:12]}",
        (os.cpu_count() or 1) if workers == "auto" else int(workers) if workers.isdigit() else 1,
        f"{sys.version_info.major}.{sys.version_info.minor}",
    )


def deployed_size(request: SizeRequest, function: DeployedFunction) -> dict[str, float]:
    """Return what the file deploys: concurrency, memory in MB, and vCPU, 0 if it does not say;
    nothing if there is no file.
    """
    if not (request.folder / (request.spec or SPEC_FILE)).exists():
        return {}
    cpu = function.props.get("cpu", 0)
    return {
        "concurrency": function.concurrency,
        "memory": function.memory,
        "cpu": float(cpu) if isinstance(cpu, int | float) else 0.0,
    }
