"""Makes of an event's bytes what the handler's annotation asks for."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Literal, cast, get_args, get_origin

import msgspec

from ..errors import InvalidEvent
from .annotations import (
    bare_annotation,
    decodes_itself,
    is_pydantics,
    name_of,
    parts_of,
    refuse_unchecked,
    takes_none,
    undecodable,
    union_members,
    with_arguments,
)
from .reasons import UNREADABLE, tell_reason
from .shapes import Decode, decode_by_shape, has_shape

BOM: Final = b"\xef\xbb\xbf"

SHOWN: Final = 300
"""How many characters of a reason are told: a name in it may come from the body."""

NEVER_UNKNOWN: Final = (Any, dict, list)
"""What most functions take: nothing of these is unknown to msgspec."""

ALLOWED: Final = (
    "allowed are bytes, str, dict, list, Any, a dataclass, a TypedDict, a msgspec.Struct,"
    " a pydantic model, containers and unions of those, and a class with __from_event__"
)


def decoder(annotation: Any) -> Decode:
    """Return what turns a body into the value that an annotation asks for, or raises InvalidEvent.

    A class can decode itself: its classmethod `__from_event__(cls, body: bytes) -> Self` gets the
    body as it came, and a ValueError of it becomes InvalidEvent. The modules it needs stand in its
    `__event_needs__`, a tuple of names. Raises TypeError for an annotation that nothing can decode,
    or of which something would not be checked: at load, never at a call.
    """
    kind = bare_annotation(annotation)
    if kind is inspect.Parameter.empty:
        return bytes
    if kind in (bytes, str, bytearray, memoryview):
        return _raw(annotation, kind)
    return json_decoder(annotation)


def json_decoder(annotation: Any) -> Decode:
    """Return what `decoder` does, for a body that is JSON in any case: text has its quotes there,
    and bytes are base64.
    """
    return _guarded(_reader(annotation), optional=takes_none(annotation))


def _raw(annotation: Any, kind: Any) -> Decode:
    """Return a decoder that leaves the body as it is, as bytes or text."""
    read: Decode = _text if kind is str else kind
    if get_origin(annotation) is not Annotated:
        return read
    check = _check(annotation)
    return _guarded(lambda body: check(read(body)))


def _check(annotation: Any) -> Callable[[Any], Any]:
    """Return what holds a value against the constraints in `Annotated`."""
    if any(is_pydantics(part) for _, part in parts_of(annotation)):
        return cast("Callable[[Any], Any]", _validator(annotation).validate_python)
    return lambda value: msgspec.convert(value, annotation)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        at = error.start
    raise InvalidEvent(f"not UTF-8 text: byte {at} does not fit")


def _reader(annotation: Any) -> Decode:
    """Return a decoder that raises what its library raises."""
    kind = bare_annotation(annotation)
    if decodes_itself(kind):
        return _own(kind)
    members = union_members(kind)
    if any(decodes_itself(member) or has_shape(member) for member in members):
        return _by_shape(members)
    parts = [part for _, part in parts_of(annotation)]
    if any(map(is_pydantics, parts)) and not any(map(_is_msgspecs, parts)):
        return cast(Decode, _validator(annotation).validate_json)
    try:
        return _built(annotation)
    except TypeError:
        if len(members) < 2:
            raise
    return _by_shape(members)


def _is_msgspecs(part: Any) -> bool:
    """Return whether pydantic cannot decode something."""
    kind = get_origin(part) or part
    return decodes_itself(kind) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct))


def _by_shape(members: Iterable[Any]) -> Decode:
    # Text is a JSON string there, as beside a single class; only alone it is the body itself.
    readers = ((each, _guarded(_built(each)) if each is str else decoder(each)) for each in members)
    return decode_by_shape(list(readers))


def _own(kind: Any) -> Decode:
    origin = get_origin(kind) or kind
    check_needs(origin)
    if hasattr(origin, "__event_decoder__"):
        return cast(Decode, origin.__event_decoder__(kind, decoder, _built))
    return cast(Decode, origin.__from_event__)


def check_needs(kind: Any) -> None:
    """Raise TypeError if a module is missing that a class of events needs."""
    for module in getattr(kind, "__event_needs__", ()):
        if importlib.util.find_spec(module) is None:
            name = kind.__name__
            raise TypeError(f"{name} needs {module}, which is missing: pip install {module}")


def _validator(annotation: Any) -> Any:
    """Return pydantic's validator: it decodes all of an annotation that has something of its."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:
        raise TypeError(
            f"an event cannot become {name_of(annotation)}: its constraints are checked by pydantic"
            " alone; add it to dependencies, or say msgspec.Meta(...)"
        )
    try:
        validator = pydantic.TypeAdapter(annotation).validator
        validator.validate_json  # noqa: B018 - fails if the model is not complete
        return validator
    except (RuntimeError, NameError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise TypeError(f"an event cannot become {name_of(annotation)}: {reason}") from error


def _built(annotation: Any) -> Decode:
    """Return a decoder of msgspec's, which validates while it parses.

    Also for dict, list and Any: orjson makes floats of ints over 64 bits, and looking for such ints
    first costs more time than msgspec does, which keeps them.
    """
    if any(annotation is each for each in NEVER_UNKNOWN):
        return msgspec.json.Decoder(annotation).decode  # `msgspec.inspect` is imported for others
    name = name_of(annotation)
    try:
        held = _with_holders(annotation)
        refuse_unchecked(held)
        unknown = undecodable(msgspec.inspect.type_info(held))
        built = msgspec.json.Decoder(held, dec_hook=_decode_part)
    except (TypeError, NameError) as error:
        raise TypeError(f"an event cannot become {name}: {error}; {ALLOWED}") from error
    if unknown is not None:
        raise TypeError(f"an event cannot become {name}: {unknown} is unknown; {ALLOWED}")
    return _lenient(built.decode, held)


def _lenient(read: Decode, annotation: Any) -> Decode:
    """Return a decoder that mends a body which was refused and decodes it again, if a class in the
    annotation has an `__event_mended__(value, annotation)`: most bodies need none of it.
    """
    parts = (part for _, part in parts_of(annotation))
    mended = next((p.__event_mended__ for p in parts if hasattr(p, "__event_mended__")), None)
    if mended is None:
        return read

    return _Mending(read, lambda body: json_of(mended(msgspec.json.decode(body), annotation)))


class _Mending:
    """A decoder that mends a body which it has refused, and decodes it again."""

    def __init__(self, read: Decode, mend: Decode) -> None:
        self.read = read
        self._mend = mend

    def __call__(self, body: bytes) -> Any:
        try:
            return self.read(body)
        except msgspec.ValidationError:
            pass
        return self.read(self._mend(body))


def _with_holders(annotation: Any) -> Any:
    """Replace in an annotation's arguments what msgspec cannot decode by classes that can."""
    if hasattr(annotation, "__value__"):
        return _with_holders(annotation.__value__)
    arguments = get_args(annotation)
    if not arguments or get_origin(annotation) is Literal:
        return annotation
    if get_origin(annotation) is Annotated:
        arguments = arguments[:1]
    held = tuple(map(_held, arguments))
    if all(new is old for new, old in zip(held, arguments, strict=True)):
        return annotation
    return with_arguments(annotation, held)


def _held(part: Any) -> Any:
    said = getattr(part, "__metadata__", ())
    members = union_members(part)
    if decodes_itself(part) or any(map(is_pydantics, (part, *said))):
        return _holder(part)
    if len(members) < 2:
        return _with_holders(part)
    try:
        msgspec.json.Decoder(part)
    except TypeError:
        return _holder(part)
    return part if _with_holders(part) is part else _holder(part)


class _Holder(type):
    """A class that msgspec takes for one it does not know: `_decode_part` decodes it."""

    def __instancecheck__(cls, instance: object) -> bool:
        return True  # msgspec asks whether it was decoded: it is what stands behind the holder


def _holder(part: Any) -> type:
    return _Holder(name_of(part), (), {"__event_part__": staticmethod(decoder(part))})


def _decode_part(kind: Any, value: Any) -> Any:
    """Decode what msgspec does not know; as JSON, since a strict model takes more from JSON."""
    if kind is object:
        return value
    body = json_of(value)
    try:
        if hasattr(kind, "__event_part__"):
            return kind.__event_part__(body)
        return _validator(kind).validate_json(body)
    except InvalidEvent as error:
        reason = str(error)
    except ValueError as error:
        reason = tell_reason(error, b"")
    raise ValueError(reason)


def json_of(value: Any) -> bytes:
    """Return a decoded value as the JSON that it came from."""
    try:
        return msgspec.json.encode(value)
    except OverflowError:  # an int over 64 bits
        return json.dumps(value).encode()


def _guarded(read: Decode, *, optional: bool = False) -> Decode:
    """Return `read`, whose failures are InvalidEvent; an empty body is None if it is `optional`.

    It is raised outside of the `except`: the original may quote the body, and a log shows contexts.
    """

    def decode(body: bytes, bom: bytes = BOM) -> Any:
        try:
            return read(body)
        except InvalidEvent as error:
            reason = str(error)
        except RecursionError:
            reason = "$: nested too deeply"
        except UNREADABLE as error:
            reason = tell_reason(error, body)
        # RFC 8259 section 8.1 lets a reader ignore it; json.loads(event) does.
        if bom and body.startswith(bom):
            return decode(body[len(bom) :], b"")
        if optional and body.strip() in (b"", b"null"):
            return None
        if not body.strip():
            reason = "the body is empty"
        raise InvalidEvent(reason[:SHOWN])

    return _direct(read.read, decode) if isinstance(read, _Mending) else decode


def _direct(read: Decode, otherwise: Decode) -> Decode:
    """Return a decoder that comes to `read` at once, and to `otherwise` for what that refuses: most
    bodies need none of its care.
    """

    def decode(body: bytes) -> Any:
        try:
            return read(body)
        except (RecursionError, *UNREADABLE):
            pass
        return otherwise(body)

    return decode
