"""Write the pages of docs/reference/ anew, from the code: `make reference`.

What they say is what the code says: the docstrings of what is public, the fields of the event
types, the errors with their statuses, the help of the commands. A test holds that they are equal.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin

import msgspec
import orjson

import service
import service.events
from service import errors
from service.commands.main import run_command
from service.commands.parser import COMMANDS
from service.events.moments import Moment
from tests.site.pages import ROOT

REFERENCE = ROOT / "docs/reference"
MADE = "<!-- made by `make reference` -->"
WIDTH = "100"
"""Columns of the help that is shown."""

# --- the public names


def python() -> Iterator[str]:
    """Yield the page of the package's public names."""
    yield "# Python names"
    yield from paragraph(
        "What `fc_event_service` has for a function, and `service`, which is the same package. What"
        " is not on this page may change in any release."
    )
    names = [name for name in service.__all__ if not name.startswith("_")]
    found = {name: getattr(service, name) for name in names}
    for title, holds in KINDS.items():
        yield from ("", f"## {title}")
        for name, each in found.items():
            if holds(each):
                yield from _entry(name, each)


CALLED = ("MemoryStore", "RedisStore", "Retry", "Router", "TablestoreStore")
"""Classes of which a function makes instances."""


def _is_function(each: Any) -> bool:
    return inspect.isfunction(each)


def _is_error(each: Any) -> bool:
    return isinstance(each, type) and issubclass(each, BaseException)


def _is_class(each: Any) -> bool:
    return isinstance(each, type) and not _is_error(each)


KINDS: dict[str, Callable[[Any], bool]] = {
    "Functions and decorators": _is_function,
    "Classes": _is_class,
    "Exceptions": _is_error,
    "Modules": inspect.ismodule,
}


def _entry(name: str, each: Any) -> Iterator[str]:
    yield from ("", f"### {name}", "")
    if _is_function(each) or name in CALLED:
        yield from block("python", f"def {name}{signature(each)}: ...")
    yield from docstring(each)
    if inspect.isclass(each) or inspect.ismodule(each):
        yield from _members(each)


def _members(owner: type | ModuleType) -> Iterator[str]:
    """Yield what of a class or module is public and says what it is, in the order of names."""
    for name, each in sorted(_named(owner).items()):
        plain = each.__func__ if isinstance(each, (classmethod, staticmethod)) else each
        if name.startswith("_") or not inspect.getdoc(plain):
            continue
        if isinstance(plain, property) or inspect.isdatadescriptor(plain):
            title = name
        elif inspect.isfunction(plain):
            waits = "await " if inspect.iscoroutinefunction(plain) else ""
            title = f"{waits}{name}{signature(plain)}"
        else:
            continue
        yield from paragraph(f"- `{' '.join(title.split())}`: {first_line(plain)}", indent="  ")


def _named(owner: type | ModuleType) -> dict[str, Any]:
    """Return what a class or module of ours has by name, with what the class inherits of ours."""
    if inspect.ismodule(owner):
        its_own = vars(owner).items()
        return {
            name: each
            for name, each in its_own
            if getattr(each, "__module__", "") == owner.__name__
        }
    found: dict[str, Any] = {}
    for kind in reversed(owner.__mro__):
        if kind.__module__.startswith("fc_event_service"):
            found |= vars(kind)
    return found


def signature(each: Callable[..., Any]) -> str:
    """Return a signature, over several lines if it is long."""
    found = inspect.signature(each)
    parts = [part for part in found.parameters.values() if part.name != "self"]
    inside = [_parameter(part) for part in parts]
    kinds = [part.kind for part in parts]
    keyword = inspect.Parameter.KEYWORD_ONLY
    if keyword in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        inside.insert(kinds.index(keyword), "*")
    returns = _annotation(found.return_annotation)
    arrow = f" -> {returns}" if returns else ""
    whole = f"({', '.join(inside)}){arrow}"
    if len(whole) < 80:
        return whole
    return "(\n" + "".join(f"    {part},\n" for part in inside) + f"){arrow}"


def _parameter(part: inspect.Parameter) -> str:
    name = str(part.replace(annotation=part.empty, default=part.empty))
    said = _annotation(part.annotation)
    typed = f"{name}: {said}" if said else name
    if part.default is inspect.Parameter.empty:
        return typed
    text = isinstance(part.default, str)
    default = orjson.dumps(part.default).decode() if text else repr(part.default)
    default = "..." if default.startswith("<") else default
    return f"{typed} = {default}" if said else f"{typed}={default}"


def _annotation(said: Any) -> str:
    """Return a type as the code has it, "" for none."""
    if said is inspect.Signature.empty:
        return ""
    text = said if isinstance(said, str) else inspect.formatannotation(said)
    return text.replace("'", '"')


# --- the event types


def event_types() -> Iterator[str]:
    """Yield the page of the types of `service.events`."""
    yield "# Event types"
    yield from paragraph(
        "The names of `fc_event_service.events`, each with its fields. A field that an event lacks"
        " has its default; one without a default must be there. [Events](../events.md) tells which"
        " trigger sends which, and what else a handler may ask for."
    )
    for name in service.events.__all__:
        each = getattr(service.events, name)
        yield from ("", f"## {name}", "")
        if _is_function(each):
            yield from block("python", f"def {name}{signature(each)}: ...")
        yield from docstring(each)
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            yield from _fields(each)


def _fields(kind: type[msgspec.Struct]) -> Iterator[str]:
    yield from ("", "| field | type | default |", "| --- | --- | --- |")
    for field in msgspec.structs.fields(kind):
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        shown = "must be there" if default is msgspec.NODEFAULT else f"`{_shown(default)}`"
        yield f"| `{field.name}` | `{type_name(field.type)}` | {shown} |"


def _shown(default: Any) -> str:
    text = re.sub(r" at 0x\w+", "", repr(default))
    return f"{type(default).__name__}()" if isinstance(default, msgspec.Struct) else text


def type_name(kind: Any) -> str:
    """Return how a reader would write a type; `|` as `or`, which a table's cell can hold."""
    if kind is type(None):
        return "None"
    origin, inner = get_origin(kind), get_args(kind)
    if kind == Moment:
        return "datetime or None"
    if origin is None:
        return getattr(kind, "__name__", str(kind)).removeprefix("typing.")
    if not isinstance(origin, type) or origin.__name__ in ("Union", "UnionType"):
        return " or ".join(map(type_name, inner))
    return f"{origin.__name__}[{', '.join(map(type_name, inner))}]"


# --- the errors


def all_errors() -> Iterator[str]:
    """Yield the page of the errors."""
    yield "# Errors"
    yield from paragraph(
        "What a caller is told of a call that failed: `errorType` in the JSON of the answer, and"
        " the status. Nothing is ever answered with 5xx ([platform](../platform.md) section 3). An"
        " exception of the function has its class name as `errorType`, and 404."
    )
    yield from ("", "| `errorType` | status | when |", "| --- | ---: | --- |")
    rows: dict[tuple[str, int], list[str]] = {}
    for each in sorted(_all_of(errors.ServiceError), key=lambda kind: (kind.code, kind.status)):
        if "code" in vars(each) or "status" in vars(each):
            rows.setdefault((each.code, each.status), []).append(first_line(each))
    for (code, status), told in rows.items():
        if code != errors.ServiceError.code:
            yield f"| `{code}` | {status} | {' '.join(told)} |"
    yield from ("", "## Exit codes", "", "| code | when |", "| ---: | --- |")
    yield "| 0 | it was stopped, and every call in flight was finished |"
    for kind in (errors.UsageError, errors.StartError):
        yield f"| {kind.exit_code} | {first_line(kind)} |"


def _all_of(kind: type[errors.ServiceError]) -> Iterator[type[errors.ServiceError]]:
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from _all_of(each)


# --- the commands


def commands() -> Iterator[str]:
    """Yield the page of the commands: the help of each, as it is printed."""
    yield "# Commands"
    yield from paragraph(
        "`fc-event-service` and `python -m service` are the same. Without a command it serves."
    )
    for name in COMMANDS:
        yield from ("", f"## {name}", "")
        yield from block("text", _help(name))


def _help(name: str) -> str:
    """Return what `python -m service NAME --help` prints."""
    told, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
            run_command([name, "--help"], ROOT)
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return told.getvalue().rstrip()


# --- Markdown


def docstring(each: Any) -> Iterator[str]:
    """Yield what a docstring says; an indented part of it is code."""
    for part in re.split(r"\n\n+(?![ \n])", inspect.getdoc(each) or ""):
        prose, _, code = part.partition("\n\n    ")
        yield from paragraph(" ".join(prose.split()))
        if code:
            yield ""
            yield from block("python", textwrap.dedent("    " + code))


def first_line(each: Any) -> str:
    """Return the first paragraph of a docstring in one line."""
    return " ".join((inspect.getdoc(each) or "").split("\n\n")[0].split())


def paragraph(text: str, indent: str = "") -> Iterator[str]:
    """Yield an empty line, and a text in lines of at most 120 characters."""
    yield ""
    yield from textwrap.wrap(
        text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def block(kind: str, text: str) -> Iterator[str]:
    """Yield a block of code."""
    yield from (f"```{kind}", *text.splitlines(), "```")


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "python.md": python,
    "event-types.md": event_types,
    "errors.md": all_errors,
    "commands.md": commands,
}


def page(name: str) -> str:
    """Return a page's text."""
    title, *lines = PAGES[name]()
    text = "\n".join((title, "", MADE, *lines)) + "\n"
    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [re.sub(r"\n{3,}", "\n\n", prose) for prose in parts[::2]]
    return "".join(parts)


def write(folder: Path = REFERENCE) -> None:
    """Write all pages."""
    folder.mkdir(exist_ok=True)
    for name in PAGES:
        (folder / name).write_text(page(name), encoding="utf-8")


if __name__ == "__main__":
    write()
