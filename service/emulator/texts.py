"""Names and texts that several parts of the emulator write."""

from __future__ import annotations

from .spec.called import ACCOUNT
from .spec.model import DeployedFunction


def function_arn(function: DeployedFunction) -> str:
    """Return the resource name of a function."""
    return f"acs:fc:{function.region}:{ACCOUNT}:functions/{function.name}"


def readable(text: str) -> str:
    """Return a text that can become JSON: lone surrogates (of file names) are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
