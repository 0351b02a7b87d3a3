"""Events for a test: a sample with some of its fields changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..calls.encode import encode
from ..events.sample import sample


def changed_sample(
    name: str, changes: Mapping[str, object] | None = None, /, **fields: object
) -> bytes:
    """Return a sample event with other values: `changes` by path, `{"events.0.region": "cn-x"}`,
    and `fields` by their name alone, which must be that of one field of the sample.

    Raises LookupError for a sample, a path or a name that there is not, and for a name that stands
    in several places, which it tells.
    """
    given = {path: json.dumps(value) for path, value in (changes or {}).items()}
    if fields:
        places = list(_paths(_decoded(sample(name))))
        given |= {_the_one(name, key, places): json.dumps(value) for key, value in fields.items()}
    return sample(name, given)


def event_body(event: object) -> bytes:
    """Return the bytes of an event as a test gives it: bytes and text as they are, else JSON."""
    return bytes(event) if isinstance(event, bytearray | memoryview) else encode(event)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _paths(value: object, before: str = "") -> Iterator[str]:
    steps: Any = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    for step, part in steps:
        yield f"{before}{step}"
        yield from _paths(part, f"{before}{step}.")


def _the_one(name: str, key: str, places: list[str]) -> str:
    found = [place for place in places if place.rpartition(".")[2] == key]
    if not found:
        names = sorted({place.rpartition(".")[2] for place in places} - set("0123456789"))
        raise LookupError(f"the sample {name} has no field {key!r}; there are {', '.join(names)}")
    if len(found) > 1:
        raise LookupError(
            f"the sample {name} has {key!r} in several places: name one by its path,"
            f" fc_event({name!r}, {{{found[0]!r}: ...}}); there are {', '.join(found)}"
        )
    return found[0]
