"""Says in JSON Schema what an event is to be, for whoever writes one: an editor, a console."""

from __future__ import annotations

import sys
from typing import Any, Final, get_origin

import msgspec

from ..calls.annotations import bare_annotation, is_pydantics, name_of, parts_of, union_members
from ..calls.decode import decoder

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ANY_BODY: Final = (bytes, bytearray, memoryview, str)
"""What takes any body, JSON or not."""


def schema(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what a handler takes whose event is annotated with
    `kind`: a type of `service.events`, one of your own, a union of such.

    It says what the trigger sends; decoding takes more, null for what may be absent for example.
    Tablestore's events, which are CBOR, are described as JSON would hold them. Raises TypeError for
    what nothing can be decoded as.
    """
    if kind is None or isinstance(kind, str):
        raise TypeError(
            f"schema() takes a type, OssEvent of service.events for example, and not {kind!r}"
        )
    decoder(kind)  # raises TypeError
    if any(is_pydantics(part) for _, part in parts_of(kind)):
        made: dict[str, Any] = sys.modules["pydantic"].TypeAdapter(kind).json_schema()
        return {"$schema": DIALECT, **made}
    bare = bare_annotation(kind)
    members = union_members(bare) or (bare,)
    parts: dict[str, Any] = {}
    anys = [_member(each, parts) for each in members]
    whole = anys[0] if len(anys) == 1 else {"anyOf": anys}
    title = " | ".join(name_of(get_origin(each) or each) for each in members)
    return {"$schema": DIALECT, "title": title, **whole, **({"$defs": parts} if parts else {})}


def _member(kind: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of one type; the classes in it are added to `parts`."""
    if kind in ANY_BODY:
        return {}
    origin = get_origin(kind) or kind
    if hasattr(origin, "__event_item__"):
        one = _member(origin.__event_item__(kind), parts)
        return {"anyOf": [{"type": "array", "items": one}, one]}
    (made,), found = msgspec.json.schema_components(
        [kind], schema_hook=lambda _kind: {}, ref_template="#/$defs/{name}"
    )
    for part in found.values():
        # A field without a name holds what the event has beside its fields.
        part.get("properties", {}).pop("", None)
    if hasattr(origin, "__event_schema__"):
        origin.__event_schema__(kind, found[made["$ref"].rpartition("/")[2]])
    parts |= found
    return made
