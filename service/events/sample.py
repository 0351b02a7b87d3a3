"""Sample events: one of every trigger, to try a handler with."""

from __future__ import annotations

import base64
import difflib
import json
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any


def names() -> list[str]:
    """The names of all samples: `oss.put` for example."""
    return sorted(_files())


def sample(name: str, changes: Mapping[str, str] = {}) -> bytes:
    """The body of a sample event, with fields changed: `{"events.0.region": "cn-beijing"}`.

    A new value is JSON if it parses, else text. Raises LookupError for a name or a path that does
    not exist, ValueError when the sample has no fields.
    """
    file = _file(name)
    body = file.read_bytes()
    if file.name.endswith(".base64"):
        body = base64.b64decode(body)
        return _changed_cbor(name, body, changes) if changes else body
    return _changed_json(name, body, changes) if changes else body


def _files() -> dict[str, Traversable]:
    folder = resources.files("service.events").joinpath("samples")
    return {file.name.rpartition(".")[0]: file for file in folder.iterdir()}


def _file(name: str) -> Traversable:
    files = _files()
    if name in files:
        return files[name]
    near = difflib.get_close_matches(name, files, n=3, cutoff=0.5)
    hint = f"near to it: {', '.join(near)}" if near else f"there are {', '.join(sorted(files))}"
    raise LookupError(f"no sample is called {name!r}; {hint}")


def _changed_json(name: str, body: bytes, changes: Mapping[str, str]) -> bytes:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict | list):
        raise ValueError(f"the sample {name} is plain text: it has no fields to change")
    _change(name, value, changes)
    return json.dumps(value, ensure_ascii=False, indent=2).encode()


def _changed_cbor(name: str, body: bytes, changes: Mapping[str, str]) -> bytes:
    import cbor2

    value = cbor2.loads(body)
    _change(name, value, changes)
    return cbor2.dumps(value)


def _change(name: str, value: Any, changes: Mapping[str, str]) -> None:
    for path, text in changes.items():
        holder, (*steps, last) = value, path.split(".")
        try:
            for step in steps:
                holder = holder[_place(holder, step)]
            holder[last if isinstance(holder, dict) else _place(holder, last)] = _value(text)
        except LookupError as missing:
            raise LookupError(f"the sample {name} has no {path!r}: {missing}") from None


def _place(holder: Any, step: str) -> str | int:
    """The key or index that `step` names in `holder`."""
    if isinstance(holder, dict) and step in holder:
        return step
    if isinstance(holder, list) and step.isdecimal() and int(step) < len(holder):
        return int(step)
    raise LookupError(f"nothing is called {step!r} there")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
