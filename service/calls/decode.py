"""What a handler's annotation asks for, made of an event's bytes."""

from __future__ import annotations

import importlib.util
import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

import msgspec
import orjson

from ..errors import InvalidEvent

Decode = Callable[[bytes], Any]


UNREADABLE: Final = (ValueError, msgspec.DecodeError)
"""Before msgspec 0.21 its errors are no ValueError."""


BOM: Final = b"\xef\xbb\xbf"


SHOWN: Final = 300
"""How many characters of a reason are told: a name in it may come from the body."""


ALLOWED: Final = (
    "allowed are bytes, str, dict, list, Any, a dataclass, a TypedDict, a msgspec.Struct,"
    " a pydantic model, containers and unions of those, and a class with __from_event__"
)


def decoder(annotation: Any) -> Decode:
    """What turns a body into the value `annotation` asks for; InvalidEvent when it does not fit.

    A class can decode itself: its classmethod `__from_event__(cls, body: bytes) -> Self` gets the
    body as it came, and a ValueError of it becomes InvalidEvent. The modules it needs stand in its
    `__event_needs__`, a tuple of names. An annotation that nothing can decode is a TypeError here,
    at load, never at a call.
    """
    kind = bare_annotation(annotation)
    if kind in (inspect.Parameter.empty, bytes):
        return bytes
    if kind is str:
        return _text
    if kind in (bytearray, memoryview):
        return cast(Decode, kind)
    if isinstance(kind, type) and hasattr(kind, "__from_event__"):
        return _guarded(_own(kind))
    if hasattr(annotation, "__pydantic_validator__"):
        return _guarded(_model(annotation))
    return _guarded(_built(annotation))


def bare_annotation(annotation: Any) -> Any:
    """What bytes, str and self-decoding classes are called beneath `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return bare_annotation(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not types.NoneType]
        return bare_annotation(kinds[0]) if len(kinds) == 1 else annotation
    return annotation


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        at = error.start
    raise InvalidEvent(f"not UTF-8 text: byte {at} does not fit")


def _own(kind: Any) -> Decode:
    for module in getattr(kind, "__event_needs__", ()):
        if importlib.util.find_spec(module) is None:
            name = kind.__name__
            raise TypeError(f"{name} needs {module}, which is missing: pip install {module}")
    return cast(Decode, kind.__from_event__)


def _model(kind: Any) -> Decode:
    try:
        return cast(Decode, kind.__pydantic_validator__.validate_json)
    except RuntimeError as error:
        # A model whose annotations name something that does not exist.
        raise TypeError(f"an event cannot become {kind.__name__}: {error}") from error


def _built(annotation: Any) -> Decode:
    """A decoder that validates while it parses.

    Also for dict, list and Any: orjson makes floats of ints over 64 bits, and looking for such ints
    first costs more time than msgspec does, which keeps them.
    """
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    try:
        unknown = _unknown(msgspec.inspect.type_info(annotation), set())
        built = msgspec.json.Decoder(annotation, dec_hook=_nested_model)
    except (TypeError, NameError) as error:
        raise TypeError(f"an event cannot become {name}: {error}; {ALLOWED}") from error
    if unknown is not None:
        raise TypeError(f"an event cannot become {name}: {unknown} is unknown; {ALLOWED}")
    return built.decode


def _unknown(info: Any, seen: set[int]) -> str | None:
    """The class within a type that nothing can decode: msgspec would notice at the first event."""
    if isinstance(info, msgspec.inspect.CustomType):
        known = info.cls is object or hasattr(info.cls, "model_validate_json")
        return None if known else str(getattr(info.cls, "__name__", info.cls))
    parts: Iterable[Any] = info if isinstance(info, tuple) else ()
    if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) and id(info) not in seen:
        seen.add(id(info))
        names = (name for name in info.__struct_fields__ if not name.startswith("default"))
        parts = (getattr(info, name) for name in names)
    return next(filter(None, (_unknown(part, seen) for part in parts)), None)


def _nested_model(kind: Any, value: Any) -> Any:
    """A pydantic model within another type; as JSON, since a strict model takes more from JSON."""
    if kind is object:
        return value
    try:
        return kind.model_validate_json(msgspec.json.encode(value))
    except ValueError as error:
        reason = _reason(error, b"")
    raise ValueError(reason)


def _guarded(read: Decode) -> Decode:
    """`read`, whose failures are InvalidEvent.

    It is raised outside of the `except`: the original may quote the body, and a log shows contexts.
    """

    def decode(body: bytes, bom: bytes = BOM) -> Any:
        try:
            return read(body)
        except RecursionError:
            reason = "$: nested too deeply"
        except UNREADABLE as error:
            reason = _reason(error, body)
        # RFC 8259 section 8.1 lets a reader ignore it; json.loads(event) does.
        if bom and body.startswith(bom):
            return decode(body[len(bom) :], b"")
        if not body.strip():
            reason = "the body is empty"
        raise InvalidEvent(reason[:SHOWN])

    return decode


def _reason(error: Exception, body: bytes) -> str:
    """The JSON path and what is wrong there, without a value of the body."""
    if hasattr(error, "errors") and hasattr(error, "error_count"):
        return _model_reason(error.errors(include_url=False, include_input=False))
    if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
        return _malformed(error, body)
    if isinstance(error, UnicodeDecodeError):
        return _malformed(ValueError("a string is not UTF-8"), body)
    found = re.fullmatch(r"(?s)(.*) - at (?:`(key)` in )?`(\$[^`]*)`", str(error))
    reason, key, path = found.groups() if found else (str(error), None, "$")
    if key:
        path += " (a key)"
    if reason.startswith("$"):
        return path + reason[1:]
    return f"{path}: " + re.sub(r"(?s)^(Invalid (?:enum )?value) .*", r"\1", reason)


def _model_reason(errors: list[Mapping[str, Any]]) -> str:
    reasons = []
    for error in errors[:3]:
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"])
        # The one message of pydantic's own that quotes the input.
        reason = re.sub(r"(?s)^Input tag .* found using", "Input tag of", error["msg"])
        reasons.append(f"${''.join(steps)}: {reason}")
    more = len(errors) - len(reasons)
    return "; ".join(reasons) + (f"; and {more} more" if more else "")


def _malformed(error: Exception, body: bytes) -> str:
    """Where the JSON breaks: orjson knows line, column and cause, also of a lone surrogate."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as found:
        return f"not JSON: {found.msg} (line {found.lineno}, column {found.colno})"
    return str(error)
