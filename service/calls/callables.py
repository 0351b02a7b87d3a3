"""What user code is, judged once: whether and how it can be called, and what its event is to be."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

from ..errors import StartError

HandlerKind = Literal["async", "sync", "stream", "routed"]
Parameters = tuple[inspect.Parameter, ...]

EVENT_FUNCTION = "write handler(event, context), or start the application with a server of its own"
OF_HTTP = {
    ("environ", "start_response"): "WSGI",
    ("env", "start_response"): "WSGI",
    ("scope", "receive", "send"): "ASGI",
}
"""What the handlers of an HTTP function take, by their parameters."""


def judge_kind(wanted: object, found: Any, home: ModuleType | None = None) -> HandlerKind:
    """Return how user code is run. `wanted` is how messages call it, `home` the module it is in.

    Raises StartError, with file and line, for what cannot be called and for a generator.
    """
    if inspect.isclass(found) or not callable(found):
        what = "a class" if inspect.isclass(found) else f"{type(found).__name__}"
        raise StartError(
            f"{wanted} is {what}, not a function; name a function, or an object that can be called"
        )
    code = _called(found)
    if inspect.isgeneratorfunction(code):
        raise StartError(
            f"{wanted}: {place_of(found, home)} is a generator; Function Compute returns an event's"
            " result whole: return the value, or write an async generator of bytes or str"
        )
    if inspect.isasyncgenfunction(code):
        return "stream"
    return "async" if inspect.iscoroutinefunction(code) else "sync"


def check_takes(wanted: object, found: Any, what: str, home: ModuleType | None = None) -> None:
    """Raise StartError unless user code can be called as `what` says, "(event, context)" for
    example. Asked is what is called: a decorator may take more or less than what it wraps.
    """
    signature = _signature(found)
    if signature is None:
        raise StartError(f"{wanted} has no signature that can be read; wrap it in a function")
    try:
        signature.bind(*[None] * (what.count(",") + 1))
        fits = True
    except TypeError:
        fits = False
    shown = f"{wanted}: {place_of(found, home)} takes {_bare(signature)}"
    if server := OF_HTTP.get(tuple(signature.parameters)):
        raise StartError(
            f"{shown}: it is an HTTP function's handler ({server}), and event functions are served"
            f" here; {EVENT_FUNCTION}"
        )
    if not fits:
        kind = "handler" if "," in what else "hook"
        raise StartError(f"{shown}; a {kind} takes {what}")


def event_annotation(wanted: object, found: Any, home: ModuleType | None = None) -> Any:
    """Return what the first parameter is annotated with, Parameter.empty if it is not.

    Raises StartError, with file and line, if the annotation cannot be resolved.
    """
    code, parameter = _event_parameter(found)
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return inspect.Parameter.empty
    # This annotation alone: others may name what is imported for type checkers only.
    alone = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    names = getattr(_function(code), "__globals__", {})
    try:
        return typing.get_type_hints(alone, names, include_extras=True)[parameter.name]
    except Exception as reason:
        shown = getattr(parameter.annotation, "__forward_arg__", parameter.annotation)
        advice = "correct it"
        if isinstance(reason, NameError):
            advice = "correct the name, or import it outside of `if TYPE_CHECKING:`"
        raise StartError(
            f"{wanted}: {place_of(found, home)}: the annotation {shown!r} cannot be resolved:"
            f" {reason}; {advice}"
        ) from reason


def parameters_of(found: Any) -> tuple[str, ...]:
    """Return the names of what is taken by something that can be called, () if nobody knows."""
    signature = _signature(found) if callable(found) else None
    return tuple(signature.parameters) if signature else ()


def full_name(found: Any) -> str:
    """Return the module and the name of user code; of a partial, those of its function."""
    while isinstance(found, functools.partial):
        found = found.func
    name = getattr(found, "__qualname__", None) or type(found).__qualname__
    module = getattr(found, "__module__", None)
    return f"{module}.{name}".removeprefix("None.").replace("<locals>.", "")


def is_router(found: Any) -> bool:
    """Return whether something has handlers for types of events, as `Router` has."""
    return not inspect.isclass(found) and hasattr(found, "__event_routes__")


def awaits(found: Any) -> bool:
    """Return whether user code, or what it wraps, is an async function."""
    while True:
        if inspect.iscoroutinefunction(code := _called(found)) or inspect.isasyncgenfunction(code):
            return True
        if not hasattr(found, "__wrapped__"):
            return False
        found = found.__wrapped__


def place_of(found: Any, home: ModuleType | None = None) -> str:
    """Return the file and the line that user code begins at. An object of a library's class is
    where the function's own module, `home`, makes it.
    """
    code = getattr(_function(inspect.unwrap(found)), "__code__", None)
    file = getattr(home, "__file__", None)
    if home and file and (code is None or code.co_filename != file):
        names = {name for name, value in vars(home).items() if value is found}
        if line := _line_of_assignment(file, names):
            return f"{file} line {line}"
    return f"{code.co_filename} line {code.co_firstlineno}" if code else repr(found)


def _line_of_assignment(file: str, names: set[str]) -> int:
    """Return the line where a file assigns one of the names, 0 if it does not."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            given = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if given & names:
                return node.lineno
    return 0


def _called(found: Any) -> Any:
    """Return the code that runs when `found` is called: of an object, its class's `__call__`."""
    if isinstance(found, functools.partial) or _is_function(found):
        return found
    calls = (kind.__dict__["__call__"] for kind in type(found).__mro__ if "__call__" in vars(kind))
    call = next(calls, None)
    return call.__get__(found) if inspect.isfunction(call) else found


def _is_function(found: Any) -> bool:
    return inspect.isfunction(found) or inspect.ismethod(found) or inspect.isbuiltin(found)


def _function(found: Any) -> Any:
    """Return the function beneath partials and callable objects."""
    while isinstance(found, functools.partial):
        found = found.func
    return _called(found)


def _signature(found: Any) -> inspect.Signature | None:
    """Return the signature of what is called; of what it wraps, if its own cannot be read."""
    given = getattr(found, "__signature__", None)
    if isinstance(given, inspect.Signature):
        return given
    try:
        return read_signature(_called(found))
    except (TypeError, ValueError):
        return _signature(found.__wrapped__) if hasattr(found, "__wrapped__") else None


def read_signature(code: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of one function, whatever names its annotations have."""
    options: dict[str, Any] = {"follow_wrapped": False}
    if sys.version_info >= (3, 14):  # annotations are code there: others' may name what is missing
        annotationlib = importlib.import_module("annotationlib")
        options["annotation_format"] = annotationlib.Format.FORWARDREF
    return inspect.signature(code, **options)


def _bare(signature: inspect.Signature) -> str:
    """Show what is taken, without annotations and defaults' values."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters))


def _event_parameter(found: Any) -> tuple[Any, inspect.Parameter | None]:
    """Return the function that says what the event is, and its first parameter.

    `functools.wraps` gives a wrapper the annotations of what it wraps. They are meant for the event
    only if both take the same. An object that has a `__signature__` says itself what it takes.
    """
    signature = _signature(found)
    while hasattr(found, "__wrapped__") and not _says_itself(found):
        inner = _signature(found.__wrapped__)
        if signature is None or inner is None or not _agree(signature, inner):
            return found, None
        found, signature = found.__wrapped__, inner
    parameters = signature.parameters.values() if signature else ()
    return found, next(iter(parameters), None)


def _says_itself(found: Any) -> bool:
    return not _is_function(found) and hasattr(found, "__signature__")


def _agree(outer: inspect.Signature, inner: inspect.Signature) -> bool:
    if list(outer.parameters) == list(inner.parameters):
        return True
    first = next(iter(outer.parameters.values()), None)
    if first is None or first.kind is not inspect.Parameter.VAR_POSITIONAL:
        return False
    try:
        inner.bind(None, None)
    except TypeError:
        return False
    return True
