"""Makes bytes of a handler's result."""

from __future__ import annotations

import builtins
import dataclasses
import math
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NoReturn
from uuid import UUID

import msgspec
import orjson

from ..context.call import Context
from ..context.fields import Credentials
from ..errors import UnserializableResult

OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS
"""Dataclasses come to `_plain`: orjson leaves out `_fields` and does not ask `to_json`."""

ATTEMPTS: Final = (OPTIONS, OPTIONS | orjson.OPT_NON_STR_KEYS)
"""Most results have text keys only: asking for more makes all of them half as fast."""

NOT_FINITE: Final = ("null", "NaN", "Infinity")
"""What pydantic makes of a NaN or an infinity, among other things."""

LEAVES: Final = (str, int, types.NoneType, datetime, date, time, UUID, Decimal, orjson.Fragment)
HINTS: Final[Mapping[type, str]] = {
    set: "return a list",
    frozenset: "return a list",
    bytes: "return it alone, or as base64 text",
    types.CoroutineType: "await it",
    types.GeneratorType: "return a list",
}


BY_NAME = "return the fields that you mean, or to_json() if you mean these as well"
"""Advice if a result would tell credentials, most likely by mistake."""


class _Unfit(TypeError):
    """Something that cannot become JSON; `steps` lead to it, the last one first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.steps: list[str] = []


def encode(result: Any) -> bytes:
    """Return the bytes of a handler's result: bytes and str as they are, anything else as JSON.

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
            # `in` takes six times as long of bytes as `find`.
            if body.find(b"null") < 0 or (b'"null":' not in body and _finite(result)):
                return body
        except TypeError:
            continue
    return _exact(result)


def _plain(value: Any) -> Any:
    """Return what stands in JSON for an object that orjson does not know."""
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
    if isinstance(value, Context | Credentials):
        raise _Unfit(f"{type(value).__name__} holds the call's keys: {BY_NAME}")
    if hasattr(value, "to_json"):
        return value.to_json()
    if hasattr(value, "model_dump_json"):
        return _model(value)
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value, builtin_types=LEAVES[3:], enc_hook=_plain)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if _is_number_of_numpy(value):
        return value.item()
    form = next((form for kind, form in FORMS if isinstance(value, kind)), _refuse)
    return form(value)


def _model(value: Any) -> orjson.Fragment:
    """Return pydantic's own JSON, unless a NaN is hidden in it."""
    body = value.model_dump_json()
    if any(word in body for word in NOT_FINITE):
        _check_finite(value.model_dump())
    return orjson.Fragment(body)


def _check_finite(value: Any) -> None:
    """Raise _Unfit for a float within dicts and lists that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise _Unfit(f"a {type(value).__name__} that is not finite has no form in JSON")
    members: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list | tuple):
        members = enumerate(value)
    for key, member in members:
        try:
            _check_finite(member)
        except _Unfit as unfit:
            unfit.steps.append(_step(key))
            raise


def _is_number_of_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")  # never imported here: import time is cold start
    return numpy is not None and isinstance(value, numpy.generic) and value.dtype.kind in "biuf"


def _moment(value: date) -> str:
    if value != value:  # pandas' NaT says that it is a datetime
        raise _Unfit(f"a {type(value).__name__} is no time and has no form in JSON")
    return value.isoformat()


def _number(value: Decimal) -> orjson.Fragment:
    if not value.is_finite():
        raise _Unfit(f"a {type(value).__name__} that is not finite has no form in JSON")
    return orjson.Fragment(str(value))


def _refuse(value: Any) -> NoReturn:
    hint = HINTS.get(type(value)) or ("call its tolist()" if hasattr(value, "tolist") else "")
    raise _Unfit(f"{_name(value)} cannot become JSON" + (f"; {hint}" if hint else ""))


def _name(value: Any) -> str:
    """Return the class's name, with its module if Python itself has a class of that name."""
    kind = type(value)
    known = getattr(builtins, kind.__name__, kind)
    return kind.__name__ if known is kind else f"{kind.__module__}.{kind.__name__}"


FORMS: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (Decimal, _number),
    (date, _moment),
    (time, time.isoformat),
    (tuple, list),
    (float, float),
    (Enum, lambda member: member.value),
)


def _finite(result: Any) -> bool:
    """Return whether every null that orjson wrote was a None, and no NaN or infinity."""
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
    """Return JSON made step by step: for ints over 64 bits and deep nesting, and to say what is
    wrong where.
    """
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
    _check_finite(value)
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
    if _is_number_of_numpy(key):
        return _key(key.item())
    if isinstance(key, float) or key is None or isinstance(key, int | str | UUID | date | time):
        text = _scalar(key)
        return text if text.startswith(b'"') else b'"%b"' % text
    raise _Unfit(f"a key of type {type(key).__name__} cannot become JSON text")


def _step(key: Any) -> str:
    if isinstance(key, str):
        return f".{key[:40]}" if key.isidentifier() and key.isascii() else f"[{ascii(key)[:40]}]"
    return f"[{key}]" if type(key) is int and abs(key) < 2**63 else f"[{type(key).__name__}]"
