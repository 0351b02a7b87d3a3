"""What an annotation is made of: its members and parts, whose they are, and which of them nothing
can decode or check. Nothing of pydantic's or attrs' is imported: their classes say themselves what
they are.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

CHECKED_BY_PYDANTIC = ("pydantic", "pydantic_core", "annotated_types")


def bare_annotation(annotation: Any) -> Any:
    """Return what an annotation is beneath `Annotated`, `| None` and an alias (`type X = ...`)."""
    if hasattr(annotation, "__value__"):
        return bare_annotation(annotation.__value__)
    if get_origin(annotation) is Annotated:
        return bare_annotation(get_args(annotation)[0])
    members = union_members(annotation)
    return bare_annotation(members[0]) if len(members) == 1 else annotation


def union_members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union without None, () if it is no union."""
    if not _is_union(annotation):
        return ()
    return tuple(kind for kind in get_args(annotation) if kind is not types.NoneType)


def takes_none(annotation: Any) -> bool:
    """Return whether None is among what an annotation allows."""
    if hasattr(annotation, "__value__"):
        return takes_none(annotation.__value__)
    if get_origin(annotation) is Annotated:
        return takes_none(get_args(annotation)[0])
    if _is_union(annotation):
        return any(map(takes_none, get_args(annotation)))
    return annotation in (None, types.NoneType)


def decodes_itself(kind: Any) -> bool:
    """Return whether a class, or an alias of it with arguments, has a decoder of its own."""
    origin = get_origin(kind) or kind
    own = ("__from_event__", "__event_decoder__")
    return isinstance(origin, type) and any(hasattr(origin, name) for name in own)


def is_pydantics(part: Any) -> bool:
    """Return whether only pydantic can decode or check something: a model, a dataclass of
    pydantic's, a constraint within `Annotated`.
    """
    if hasattr(part, "__get_pydantic_core_schema__") or hasattr(part, "__pydantic_validator__"):
        return True
    module = "" if isinstance(part, type) else type(part).__module__
    return module.partition(".")[0] in CHECKED_BY_PYDANTIC


def name_of(annotation: Any) -> str:
    """Return what messages call an annotation."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def parts_of(annotation: Any, where: str = "", seen: set[int] | None = None) -> Iterator[Any]:
    """Yield the types that an annotation is made of and what `Annotated` says of them, those of
    fields included: each as `(where, part)`, where is the field, "Order.number", or "".
    """
    seen = set() if seen is None else seen
    if hasattr(annotation, "__value__"):
        yield from parts_of(annotation.__value__, where, seen)
        return
    yield where, annotation
    if get_origin(annotation) is Annotated:
        yield from ((where, said) for said in annotation.__metadata__)
        yield from parts_of(annotation.__origin__, where, seen)
        return
    if get_origin(annotation) is not typing.Literal:
        for argument in get_args(annotation):
            yield from parts_of(argument, where, seen)
    kind = get_origin(annotation) or annotation
    if id(kind) not in seen:
        seen.add(id(kind))
        for name, hint in _fields_of(kind).items():
            yield from parts_of(hint, f"{kind.__name__}.{name}", seen)


def _fields_of(kind: Any) -> dict[str, Any]:
    """Return the annotations of a class's fields; those of pydantic's are its own matter."""
    if not isinstance(kind, type) or is_pydantics(kind) or not _has_fields(kind):
        return {}
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception:  # a name that is nowhere: whoever decodes the class says so
        return {}


def _has_fields(kind: type) -> bool:
    return (
        issubclass(kind, msgspec.Struct)
        or dataclasses.is_dataclass(kind)
        or typing.is_typeddict(kind)
        or hasattr(kind, "__attrs_attrs__")
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def with_arguments(annotation: Any, arguments: tuple[Any, ...]) -> Any:
    """Return an annotation with other arguments in place of its own."""
    if _is_union(annotation):
        return Union[arguments]  # noqa: UP007 - of as many members as there are
    if get_origin(annotation) is Annotated:
        return Annotated[(arguments[0], *annotation.__metadata__)]
    return get_origin(annotation)[arguments]


# --- what is refused at load


def refuse_unchecked(annotation: Any) -> None:
    """Raise TypeError for what msgspec would decode without the checks that are asked for."""
    for where, part in parts_of(annotation):
        shown = f"{where}: " if where else ""
        if isinstance(part, type):
            if hasattr(part, "__pydantic_validator__") and hasattr(part, "__dataclass_fields__"):
                raise TypeError(
                    f"{shown}a dataclass of pydantic's is not checked within a class of another"
                    f" kind: make {part.__name__} a pydantic.BaseModel"
                )
            _refuse_attributes(part)
        elif is_pydantics(part):
            raise TypeError(
                f"{shown}{type(part).__name__} is checked by pydantic alone: say msgspec.Meta(...),"
                " or make the class a pydantic.BaseModel"
            )


def _refuse_attributes(kind: type) -> None:
    """Raise TypeError for a class of attrs' with what is not heeded here."""
    for attribute in getattr(kind, "__attrs_attrs__", ()):
        if attribute.converter is not None:
            what = "converter"
        elif attribute.alias not in (None, attribute.name.lstrip("_")):
            what = "alias"
        else:
            continue
        raise TypeError(
            f"{kind.__name__}.{attribute.name}: the {what} of attrs' is not heeded: use a"
            " msgspec.Struct or a pydantic model"
        )


def undecodable(info: Any, seen: set[int] | None = None) -> str | None:
    """Return the class within a type that nothing can decode: msgspec would notice at the first
    event.
    """
    seen = set() if seen is None else seen
    if isinstance(info, msgspec.inspect.CustomType):
        known = info.cls is object or hasattr(info.cls, "__event_part__") or is_pydantics(info.cls)
        return None if known else str(getattr(info.cls, "__name__", info.cls))
    parts: Iterable[Any] = info if isinstance(info, tuple) else ()
    if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) and id(info) not in seen:
        seen.add(id(info))
        names = (name for name in info.__struct_fields__ if not name.startswith("default"))
        parts = (getattr(info, name) for name in names)
    return next(filter(None, (undecodable(part, seen) for part in parts)), None)
