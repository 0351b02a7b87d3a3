"""The bytes of an event into what the handler's annotation asks for, and its result into bytes."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, NoReturn, Union, cast, get_args, get_origin
from uuid import UUID

import msgspec
import orjson

from service.errors import InvalidEvent, UnserializableResult

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
    kind = _bare(annotation)
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


def _bare(annotation: Any) -> Any:
    """What bytes, str and self-decoding classes are called beneath `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not types.NoneType]
        return _bare(kinds[0]) if len(kinds) == 1 else annotation
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


OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS
"""Dataclasses come to `_plain`: orjson leaves out `_fields` and does not ask `to_json`."""

ATTEMPTS: Final = (OPTIONS, OPTIONS | orjson.OPT_NON_STR_KEYS)
"""Most results have text keys only: asking for more makes all of them half as fast."""

LEAVES: Final = (str, int, types.NoneType, datetime, date, time, UUID, Decimal, orjson.Fragment)
HINTS: Final[Mapping[type, str]] = {
    set: "return a list",
    frozenset: "return a list",
    bytes: "return it alone, or as base64 text",
    types.CoroutineType: "await it",
    types.GeneratorType: "return a list",
}


class _Unfit(TypeError):
    """Something that cannot become JSON; `steps` lead to it, the last one first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.steps: list[str] = []


def encode(result: Any) -> bytes:
    """The bytes of a handler's result: bytes and str as they are, anything else as JSON.

    Structs and pydantic models become what their own library makes of them, except that a Struct's
    Decimal is a number. Raises UnserializableResult for what JSON has no form for, NaN included:
    orjson's null would hide it.
    """
    cause = None
    try:
        if type(result) is dict:  # before all else: most results are
            return _json(result)
        if isinstance(result, bytes | bytearray | memoryview):
            return bytes(result)
        if isinstance(result, str):
            return result.encode()
        return _json(result)
    except UnicodeEncodeError:
        where, reason = "result", "a str with a lone surrogate is not Unicode text"
    except RecursionError:
        where, reason = "result", f"{type(result).__name__} is nested too deeply or holds itself"
    except _Unfit as unfit:
        where, reason = "result" + "".join(reversed(unfit.steps)), str(unfit)
        cause = unfit.__cause__
    raise UnserializableResult(f"{where}: {reason}") from cause


def _json(result: Any) -> bytes:
    for options in ATTEMPTS:
        try:
            body = orjson.dumps(result, _plain, options)
            if b"null" not in body or (b'"null":' not in body and _finite(result)):
                return body
        except TypeError:
            continue
    return _exact(result)


def _plain(value: Any) -> Any:
    """What stands in JSON for an object that orjson does not know."""
    try:
        return _form(value)
    except _Unfit:
        raise
    except Exception as error:
        reason = f"{type(error).__name__} while it became JSON"
        raise _Unfit(f"{type(value).__name__} cannot become JSON: {reason}") from error


def _form(value: Any) -> Any:
    if isinstance(value, type):
        return _refuse(value)
    if hasattr(value, "to_json"):
        return value.to_json()
    if hasattr(value, "model_dump_json"):
        return orjson.Fragment(value.model_dump_json())
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value, builtin_types=LEAVES[3:], enc_hook=_plain)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    form = next((form for kind, form in FORMS if isinstance(value, kind)), _refuse)
    return form(value)


def _number(value: Decimal) -> orjson.Fragment:
    if not value.is_finite():
        raise _Unfit(f"a {type(value).__name__} that is not finite has no form in JSON")
    return orjson.Fragment(str(value))


def _refuse(value: Any) -> NoReturn:
    hint = HINTS.get(type(value))
    raise _Unfit(f"{type(value).__name__} cannot become JSON" + (f"; {hint}" if hint else ""))


FORMS: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (Decimal, _number),
    (date, lambda day: day.isoformat()),
    (time, time.isoformat),
    (tuple, list),
    (float, float),
    (Enum, lambda member: member.value),
)


def _finite(result: Any) -> bool:
    """True when every null that orjson wrote was a None, and no NaN or infinity."""
    stack = [result]
    while stack:
        value = stack.pop()
        if isinstance(value, LEAVES):
            continue
        if isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list | tuple):
            stack.extend(value)
        elif not isinstance(value, float):
            stack.append(_plain(value))
        elif not math.isfinite(value):
            return False
    return True


def _exact(value: Any) -> bytes:
    """JSON step by step: for ints over 64 bits and deep nesting, and to say what is wrong where."""
    if isinstance(value, dict):
        return b"{%b}" % b",".join([_key(key) + b":" + _member(value, key) for key in value])
    if isinstance(value, list | tuple):
        return b"[%b]" % b",".join([_member(value, index) for index in range(len(value))])
    return _scalar(value)


def _member(container: Any, key: Any) -> bytes:
    try:
        return _exact(container[key])
    except _Unfit as unfit:
        unfit.steps.append(_step(key))
        raise


def _scalar(value: Any) -> bytes:
    if isinstance(value, int) and not isinstance(value, bool):
        # Not str(): it refuses ints of more than 4300 digits.
        return str(Decimal(int(value))).encode()
    if isinstance(value, float) and not math.isfinite(value):
        raise _Unfit(f"a {type(value).__name__} that is not finite has no form in JSON")
    if isinstance(value, Enum) and not isinstance(value, str):
        return _exact(value.value)
    try:
        return orjson.dumps(value, None, OPTIONS)
    except TypeError:
        if isinstance(value, str):
            raise _Unfit("a str with a lone surrogate is not Unicode text") from None
    return _exact(_plain(value))


def _key(key: Any) -> bytes:
    if isinstance(key, Enum):
        return _key(key.value)
    if isinstance(key, float) or key is None or isinstance(key, int | str | UUID | date | time):
        text = _scalar(key)
        return text if text.startswith(b'"') else b'"%b"' % text
    raise _Unfit(f"a key of type {type(key).__name__} cannot become JSON text")


def _step(key: Any) -> str:
    if isinstance(key, str):
        return f".{key[:40]}" if key.isidentifier() and key.isascii() else f"[{ascii(key)[:40]}]"
    return f"[{key}]" if type(key) is int and abs(key) < 2**63 else f"[{type(key).__name__}]"
