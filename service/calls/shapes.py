"""Decodes an event as the member of a union whose shape it has: the names of its fields say it.

A type of `service.events` has marks: the fields that an event of its trigger has and no other's. Of
classes without marks that one is taken of which the event has the most fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, get_origin

import msgspec

from ..errors import InvalidEvent
from .annotations import bare_annotation, is_pydantics, name_of

Decode = Callable[[bytes], Any]

RAW: Final = 4
"""The order of what takes any body as it is; types of `service.events` go up to 3."""


class Candidate(msgspec.Struct, frozen=True):
    """One member of a union."""

    name: str
    decode: Decode
    order: int
    """Members of a lower order are asked first: the more a type takes, the higher it is."""
    marks: tuple[str, ...]
    is_batch: bool
    fields: frozenset[str] | None
    """The names of its fields; None if it has no fields, or takes any."""


def has_shape(kind: Any) -> bool:
    """Return whether a type has marks of its own."""
    return bool(_marks_of(kind))


def decode_by_shape(members: Sequence[tuple[Any, Decode]]) -> Decode:
    """Return a decoder for a union, given its members each with a decoder of its own. It raises
    InvalidEvent if no member fits.
    """
    candidates = candidates_of(members)

    def decode(body: bytes) -> Any:
        reasons = {}
        for candidate in fitting(body, candidates):
            try:
                return candidate.decode(body)
            except InvalidEvent as error:
                reasons[candidate.name] = str(error)
        if len(reasons) == 1:
            raise InvalidEvent(*reasons.values())
        told = [f"{name}: {reason}" for name, reason in reasons.items()]
        names = ", ".join(candidate.name for candidate in candidates)
        raise InvalidEvent("; ".join(told) or f"$: it is none of {names}")

    return decode


def candidates_of(members: Sequence[tuple[Any, Decode]]) -> list[Candidate]:
    """Return the members of a union, each with its decoder, in the order to try them."""
    return sorted(
        (_candidate(kind, decode) for kind, decode in members),
        key=lambda candidate: (candidate.order, not candidate.marks),
    )


def fitting(body: bytes, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that a body may be, in the order to try them."""
    value = _parsed(body)
    fits = [each for each in candidates if not each.marks or _has_marks(each, value)]
    if not isinstance(value, dict) or any(each.marks for each in fits):
        return fits
    shared = [len(value.keys() & each.fields) for each in fits if each.fields is not None]
    most = max(shared, default=0)
    return [f for f in fits if f.fields is None or len(value.keys() & f.fields) == most]


def _candidate(kind: Any, decode: Decode) -> Candidate:
    bare = bare_annotation(kind)
    origin = get_origin(bare) or bare
    return Candidate(
        name=name_of(origin),
        decode=decode,
        order=RAW if bare in (bytes, bytearray, memoryview) else _order_of(origin),
        marks=_marks_of(bare),
        is_batch=hasattr(origin, "__event_item__"),
        fields=None if hasattr(origin, "__event_marks__") else _field_names(bare),
    )


def _order_of(origin: Any) -> int:
    order: int = getattr(origin, "__event_order__", 0)
    return order


def _marks_of(kind: Any) -> tuple[str, ...]:
    origin = get_origin(kind) or kind
    if hasattr(origin, "__event_item__"):
        return _marks_of(origin.__event_item__(kind))
    marks: tuple[str, ...] = getattr(origin, "__event_marks__", ())
    return marks


def _field_names(kind: Any) -> frozenset[str] | None:
    if is_pydantics(kind) and hasattr(kind, "model_fields"):
        fields = kind.model_fields
        aliases = {field.validation_alias or field.alias for field in fields.values()}
        return frozenset({*fields, *(alias for alias in aliases if isinstance(alias, str))})
    try:
        info: Any = msgspec.inspect.type_info(kind)
    except (TypeError, NameError):
        return None
    if not hasattr(info, "fields"):
        return None
    return frozenset(field.encode_name for field in info.fields)


def _parsed(body: bytes) -> Any:
    """Return the JSON value of a body, None if it has none."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


def _has_marks(candidate: Candidate, value: Any) -> bool:
    if isinstance(value, list):
        if not candidate.is_batch:
            return False
        if not value:
            return True
        value = _parsed(value[0].encode()) if isinstance(value[0], str) else value[0]
    return all(_has(value, mark.split(".")) for mark in candidate.marks)


def _has(value: Any, steps: list[str]) -> bool:
    for step in steps:
        if isinstance(value, list) and value:
            value = value[0]
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True
