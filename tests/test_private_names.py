"""No private name of a dependency: a patch release may rename it, and then every call ends in EOF.

A private name is an attribute with one leading underscore. It may be asked of `self` and `cls`, if
the class or one of its bases in the service has it, and of what the service itself defines.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator, Set
from functools import cache

import pytest

from service.http.server import BufferedConnection
from tests.wings import FILES, module_of, tree_of, wing_of

OWN = {"self", "cls", "mcs", "other"}
DOCUMENTED = {
    *("_replace", "_asdict", "_fields", "_make"),  # of named tuples
    *("_exit", "_getframe", "_current_frames", "_thread"),  # os, sys, and a module of Python's
}
"""Public all the same: Python's documentation has them."""

ALLOWED = {
    # Python's own, whose sources are read at each release (the module says why).
    "logs.attribution": {"concurrent.futures.thread._worker"},
    # Public, though it begins so as long as it may change: OpenTelemetry's logs.
    "traces.log_records": {
        "from opentelemetry._logs import LogRecord, SeverityNumber, get_logger_provider,"
        " set_logger_provider",
        "from opentelemetry.sdk._logs import LoggerProvider",
        "from opentelemetry.sdk._logs.export import BatchLogRecordProcessor",
    },
}


def is_private(name: str) -> bool:
    """Say whether a name begins with one underscore and is no documented one."""
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def own_names(tree: ast.AST) -> set[str]:
    """The private names that a module defines: attributes of its own classes, and their slots."""
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)  # in __slots__
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id in OWN
        ):
            found.add(node.attr)
    return found


@cache
def ours_in(wing: str) -> frozenset[str]:
    """The private names that a wing defines."""
    inside = [file for file in FILES if wing_of(module_of(file)) == wing]
    return frozenset[str]().union(*(own_names(tree_of(file)) for file in inside))


def private_names(tree: ast.Module, ours: Set[str]) -> Iterator[str]:
    """The private names that a module asks of others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if isinstance(node.value, ast.Name) and node.value.id in OWN:
                continue
            if node.attr not in ours:
                yield f"{node.lineno}: {ast.unparse(node)}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = getattr(node, "module", "") or ""
            relative = getattr(node, "level", 0) > 0
            names = [*module.split("."), *(p for a in node.names for p in a.name.split("."))]
            if not relative and any(map(is_private, names)):
                yield f"{node.lineno}: {ast.unparse(node)}"


def test_no_module_asks_a_dependency_for_a_private_name() -> None:
    """What is asked of others is public, but for what its module gives a reason for."""
    found = {
        module_of(file): names
        for file in FILES
        if (names := set(private_names(tree_of(file), ours_in(wing_of(module_of(file))))))
    }
    wrong = {
        f"{module}:{name}"
        for module, names in found.items()
        for name in names
        if name.split(": ")[1] not in ALLOWED.get(module, set())
    }
    assert wrong == set()


@pytest.mark.parametrize(
    "source",
    [
        "request._match_info = match",
        "request._payload_writer",
        "handler._parser.feed_data(b'')",
        "asyncio.tasks._unregister_task(task)",
        "from aiohttp.web_protocol import _ErrInfo",
        "import aiohttp._http_parser",
        "self.connection._messages.popleft()",
    ],
)
def test_what_is_forbidden_is_found(source: str) -> None:
    """The rule sees each form in which a private name can be asked for."""
    assert list(private_names(ast.parse(source), {"_wire"}))


@pytest.mark.parametrize(
    "source", ["self._wire.close()", "message._replace(a=1)", "x.__class__", "from . import _own"]
)
def test_what_is_our_own_is_not(source: str) -> None:
    """Names of our own, documented ones and Python's protocols are asked for freely."""
    assert not list(private_names(ast.parse(source), {"_wire"}))


def classes() -> Iterator[type]:
    """The classes of the service that have a base of aiohttp's."""
    for file in FILES:
        name = module_of(file)
        if name.startswith("http.") and not name.endswith("__init__"):
            module = importlib.import_module(f"service.{name}")
            for _, found in inspect.getmembers(module, inspect.isclass):
                mine = found.__module__ == module.__name__
                if mine and any(base.__module__.startswith("aiohttp") for base in found.__mro__):
                    yield found


@pytest.mark.parametrize("kind", [*classes()], ids=lambda kind: kind.__name__)
def test_a_class_on_aiohttps_takes_none_of_its_private_names(kind: type) -> None:
    """What it calls its own is not what its base calls so: neither writes over the other's."""
    theirs, ours = set[str](), set[str]()
    for base in kind.__mro__:
        names = {*vars(base), *getattr(base, "__slots__", ())}
        if not base.__module__.startswith(("service", "fc_event_service")):
            theirs |= {name for name in names if is_private(name)}
            continue
        tree = ast.parse(inspect.getsource(base).strip())
        ours |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
            and is_private(node.attr)
        }
    assert ours & theirs <= {"_abc_impl"}


def test_the_connections_fields_are_listed() -> None:
    """Every field of a connection is one of its slots: none is made on the way."""
    for kind in BufferedConnection.__mro__[:-1]:
        assert "__slots__" in vars(kind), kind
