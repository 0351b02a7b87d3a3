"""Tells what is wrong with an event: the JSON path and the reason, without a value of the body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

UNREADABLE: Final = (ValueError, msgspec.DecodeError)
"""What a decoder raises for a body that does not fit. Before msgspec 0.21 its errors are no
ValueError.
"""


def tell_reason(error: Exception, body: bytes) -> str:
    """Return the JSON path and what is wrong there, without a value of the body."""
    if hasattr(error, "errors") and hasattr(error, "error_count"):
        return _tell_model(error.errors(include_url=False, include_input=False))
    if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
        return _tell_malformed(error, body)
    if isinstance(error, UnicodeDecodeError):
        return _tell_malformed(ValueError("a string is not UTF-8"), body)
    found = re.fullmatch(r"(?s)(.*) - at (?:`(key)` in )?`(\$[^`]*)`", str(error))
    reason, key, path = found.groups() if found else (str(error), None, "$")
    if key:
        path += " (a key)"
    if reason.startswith("$"):
        return path + reason[1:]
    return f"{path}: " + re.sub(r"(?s)^(Invalid (?:enum )?value) .*", r"\1", reason)


def _tell_model(errors: list[Mapping[str, Any]]) -> str:
    """Return the first errors of pydantic's."""
    reasons = []
    for error in errors[:3]:
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"])
        # The one message of pydantic's own that quotes the input.
        reason = re.sub(r"(?s)^Input tag .* found using", "Input tag of", error["msg"])
        reasons.append(f"${''.join(steps)}: {reason}")
    more = len(errors) - len(reasons)
    return "; ".join(reasons) + (f"; and {more} more" if more else "")


def _tell_malformed(error: Exception, body: bytes) -> str:
    """Return where the JSON breaks: orjson knows line, column and cause, also of a lone
    surrogate.
    """
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as found:
        return f"not JSON: {found.msg} (line {found.lineno}, column {found.colno})"
    return str(error)
