"""What an instance is given by the platform: its environment, and the headers of each request
(docs/platform.md sections 2 and 5).
"""

from __future__ import annotations

import os
import re
import site
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ...names import place_on_path
from ...protocol import (
    ACCESS_KEY_ID,
    ACCESS_KEY_SECRET,
    CONTROL_PATH,
    FUNCTION_TIMEOUT,
    PRE_FREEZE,
    PRE_STOP,
    REQUEST_ID,
    SECURITY_TOKEN,
    SESSION_COOKIE,
    Operation,
)
from ..account import Account
from ..spec.called import ACCOUNT
from ..spec.model import DeployedFunction
from .ports import INSTANCE_HOST

QUALIFIER = "LATEST"

NO_TOKEN = "custom.debian11"
"""The runtime whose requests carry no security token (docs/platform.md section 2)."""

OLD_IMAGES = ("custom", "custom.debian10")
"""The runtimes that are told their version as FC_VER_ID, others as FC_FUNCTION_VERSION."""

SYSTEM = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where the programs of an image lie; ours stand before them."""

PLATFORM_PYTHON = "/var/fc/lang/"
"""Where the platform's runtimes have their own languages."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def environment(
    function: DeployedFunction,
    instance_id: str,
    port: int,
    account: Account,
    *,
    home: str,
    temporary: str,
    desk: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return all variables of an instance. Of the desk's own (`desk`, else this process's) it has
    no more than LANG and, unless the file has a PATH, that.

    FC_EMULATOR_ENDPOINT, which the platform has not, says where the API is: the instance's keys are
    good for it. This service comes last on PYTHONPATH: what the bundle has in /code/python is not
    on the desk.
    """
    own = os.environ if desk is None else desk
    packages = function.environment.get("PYTHONPATH", "").split(os.pathsep)
    return {
        "HOME": home,
        "LANG": own.get("LANG", "C.UTF-8"),
        "TMPDIR": temporary,
        **_user_packages(),
        **function.environment,
        "PATH": path_for(function.environment.get("PATH", ""), own.get("PATH") or os.defpath),
        "PYTHONPATH": os.pathsep.join([*filter(None, packages), place_on_path()]),
        **platform_variables(function, instance_id, port, account),
    }


def platform_variables(
    function: DeployedFunction, instance_id: str, port: int, account: Account
) -> dict[str, str]:
    """Return the variables that the platform sets, and FC_EMULATOR_ENDPOINT."""
    keys = account.issue()
    version = "FC_VER_ID" if function.runtime in OLD_IMAGES else "FC_FUNCTION_VERSION"
    return {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": keys.key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": keys.secret,
        "ALIBABA_CLOUD_SECURITY_TOKEN": keys.token,
        "FC_ACCOUNT_ID": ACCOUNT,
        "FC_CUSTOM_LISTEN_PORT": str(port),
        "FC_EMULATOR_ENDPOINT": account.endpoint,
        "FC_FUNC_CODE_PATH": str(function.code.resolve()),
        "FC_FUNCTION_HANDLER": function.handler,
        "FC_FUNCTION_MEMORY_SIZE": str(function.memory),
        "FC_FUNCTION_NAME": function.name,
        "FC_INSTANCE_ID": instance_id,
        "FC_REGION": function.region,
        "FC_SERVER_PORT": str(port),
        version: QUALIFIER,
    }


def path_for(written: str, desk: str) -> str:
    """Return the PATH of an instance: as the file has it, else the desk's; in both the Python that
    runs the emulator stands for the platform's.

    It takes the place of /var/fc/lang, which is not on the desk; else it comes before the first
    folder of the system. So what the file puts before those stays before it.
    """
    ours = str(Path(sys.executable).parent)
    if not written:
        return os.pathsep.join((ours, desk))
    folders = written.split(os.pathsep)
    if PLATFORM_PYTHON in written:
        folders = [ours if PLATFORM_PYTHON in f"{each}/" else each for each in folders]
    else:
        of_system = [place for place, folder in enumerate(folders) if folder.rstrip("/") in SYSTEM]
        folders.insert(of_system[0] if of_system else len(folders), ours)
    return os.pathsep.join(folders)


def _user_packages() -> dict[str, str]:
    """Let an instance, which has another HOME, find the packages of `pip install --user`."""
    if site.ENABLE_USER_SITE and Path(site.getusersitepackages()).is_dir():
        return {"PYTHONUSERBASE": site.getuserbase()}
    return {}


class Requests:
    """Writes the heads of the requests to one instance. What is the same in all is written once."""

    def __init__(self, function: DeployedFunction, account: Account) -> None:
        self._account = account
        self._has_token = function.runtime != NO_TOKEN
        self._affinity = function.sessions
        self._common = _fields(
            {
                "Host": INSTANCE_HOST,
                "User-Agent": "fc-emulator",
                "x-fc-function-name": function.name,
                "x-fc-function-handler": function.handler,
                "x-fc-function-memory": str(function.memory),
                FUNCTION_TIMEOUT: f"{function.timeout:g}",
                "x-fc-region": function.region,
                "x-fc-account-id": ACCOUNT,
                "x-fc-qualifier": QUALIFIER,
                # Empty, as the platform sends them for a function without a log project, a
                # version, a service or tracing.
                "x-fc-version-id": "",
                "x-fc-service-name": "",
                "x-fc-service-logproject": "",
                "x-fc-service-logstore": "",
                "x-fc-client-ip": "",
                "x-fc-tracing-opentracing-span-context": "",
                "x-fc-tracing-opentracing-span-baggages": "",
                "x-fc-tracing-jaeger-endpoint": "",
            }
        )

    def head(
        self,
        operation: Operation,
        request_id: str,
        size: int = 0,
        retry_count: int = 0,
        session: str = "",
    ) -> bytes:
        """Return the head of a request with a body of `size` bytes, credentials of its own, and the
        session that it belongs to, as its caller has sent it.
        """
        keys = self._account.issue()
        own = (
            f"Content-Length: {size}\r\n"
            f"{REQUEST_ID}: {request_id}\r\n"
            f"{ACCESS_KEY_ID}: {keys.key_id}\r\n"
            f"{ACCESS_KEY_SECRET}: {keys.secret}\r\n"
            f"x-fc-retry-count: {retry_count}\r\n"
        )
        if self._has_token:
            own += f"{SECURITY_TOKEN}: {keys.token}\r\n"
        if session and self._affinity is not None:
            header = self._affinity.header
            own += f"{header}: " if header else f"Cookie: {SESSION_COOKIE}="
            own += f"{session}\r\n"
        return _opening(operation) + self._common + own.encode() + b"\r\n"

    def look(self, path: str) -> bytes:
        """Return the request of a health check, which is nobody's call."""
        return f"GET {path} HTTP/1.1\r\n".encode() + self._common + b"\r\n"


@cache
def _opening(operation: Operation) -> bytes:
    # Hooks before an end are asked for with GET, the rest with POST (section 1.1).
    method = "GET" if operation in (PRE_STOP, PRE_FREEZE) else "POST"
    fields = {"Content-Type": "application/octet-stream", CONTROL_PATH: operation.path}
    return f"{method} {operation.path} HTTP/1.1\r\n".encode() + _fields(fields)


def _fields(fields: Mapping[str, str]) -> bytes:
    return "".join(
        f"{name}: {_CONTROL.sub('', value)}\r\n" for name, value in fields.items()
    ).encode()
