"""Names of functions: what Function Compute and Python's packages both take."""

from __future__ import annotations

import re

from ..errors import UsageError

_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?", re.ASCII)
"""The platform takes 1 to 64 letters, digits, `_` and `-`, and neither a digit nor `-` in front
(docs/platform.md section 8); packages and images, neither of these nor `_` at an end.
"""
_YAML_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def check_function_name(name: str) -> str:
    """Return the name. Raises UsageError for one that the platform or Python does not take."""
    if _NAME.fullmatch(name):
        return name
    raise UsageError(
        f"{name[:80]!r} is no function's name: it has 1 to 64 letters, digits, - and _, begins with"
        " a letter and ends with a letter or a digit, my-function for example"
    )


def in_yaml(name: str) -> str:
    """Return a function's name as YAML has it: in quotes if it is a word of YAML's own."""
    return f'"{name}"' if name.lower() in _YAML_WORDS else name


def of_image(name: str) -> str:
    """Return the name of a function's image."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
