"""What is sent to the page, as JSON: a text that no JSON can hold is escaped, and loses nothing
else.
"""

from __future__ import annotations

from typing import Any

import orjson


def json_bytes(value: Any) -> bytes:
    """Return a value of mappings, lists and texts as JSON."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # a lone surrogate, of a file name for example
        return orjson.dumps(_writable(value))


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list | tuple):
        return [_writable(each) for each in value]
    if isinstance(value, dict):
        return {_writable(str(name)): _writable(each) for name, each in value.items()}
    return value
