"""The staircase of design section 5: a module imports only modules on lower steps."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import service

ROOT = Path(service.__file__).parent

# Read it from the bottom: each module may import what stands on the lines below its own.
STAIRCASE = """
8    __main__
7    cli
6d   supervisor
6c   parent
6b   arbiter
6a   invoke event seat
5c   server reload turns
5b   site
5a   runner selfcheck
4c   connection
4b   receiver
4a   app
3b   routes
3a   middleware
2c   emulator
2b   logs timeouts watchdog spawned mailbox
2a   answers
1d   __init__
1c   loader
1b   body handler sink workers
1a   allocator lines settings framing admission codec threads lifecycle health
0c   calls
0b   sources context frames
0a   errors protocol knobs signals
leaf events deferred
"""

# What is imported inside of functions only, where it is used: import time is cold start.
LATE = {
    "__init__": {"service.body", "service.context", "service.errors"},  # within a `try`
    "reload": {"watchfiles"},
    "server": {"uvloop"},
    "arbiter": {"gunicorn"},
    "invoke": {"aiohttp", "service.events.sample"},
    "emulator": {"jsonschema", "uvloop", "yaml"},
    "events": {"cbor2", "pydantic"},
    "codec": {"pydantic"},
    "cli": {
        "service.emulator",
        "service.event",
        "service.invoke",
        "service.reload",
        "service.supervisor",
    },
    "allocator": {"ctypes"},
}
OPTIONAL = {"uvloop", "watchfiles", "gunicorn", "cbor2", "pydantic", "jsonschema", "yaml"}
PACKAGES = {"emulator", "events"}

STEPS = {
    module: number
    for number, line in enumerate(reversed(STAIRCASE.split("\n")[1:-1]))
    for module in line.split()[1:]
}
FILES = sorted(ROOT.rglob("*.py"))


def module_of(file: Path) -> str:
    """The name in the table: a folder counts as one module."""
    parts = file.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else file.stem


def imported(node: ast.AST) -> Iterator[str]:
    """The full names that an import statement brings, `service.body.EventStream` for example."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(name: str) -> str:
    """The module of the service that a full name is of, "" for other packages."""
    package, *rest = name.split(".")
    if package != "service":
        return ""
    return rest[0] if rest and rest[0] in STEPS else "__init__"


def late(tree: ast.Module) -> Iterator[str]:
    """The full names that are imported anywhere but at the top of the module."""
    for node in ast.walk(tree):
        if node not in tree.body:
            yield from imported(node)


@pytest.fixture(params=FILES, ids=lambda file: str(file.relative_to(ROOT)))
def source(request: pytest.FixtureRequest) -> tuple[str, ast.Module]:
    """Each module of the service: its name in the table, and what it says."""
    file: Path = request.param
    return module_of(file), ast.parse(file.read_text())


def test_the_table_lists_each_module_once() -> None:
    """Every module has its step, and every name in the table is a module."""
    names = [name for line in STAIRCASE.split("\n")[1:-1] for name in line.split()[1:]]
    assert sorted(names) == sorted({module_of(file) for file in FILES})


def test_a_module_imports_only_modules_below_it(source: tuple[str, ast.Module]) -> None:
    """At any depth, what is imported of the service stands on a lower step; a package knows
    itself.
    """
    module, tree = source
    for node in ast.walk(tree):
        for name in imported(node):
            target = ours(name)
            if target and not (target == module and module in PACKAGES):
                assert STEPS[target] < STEPS[module], f"{module} imports {name}"


def test_a_leaf_needs_nothing_of_the_service(source: tuple[str, ast.Module]) -> None:
    """`events` imports itself alone, and only what sends events knows it."""
    module, tree = source
    for node in ast.walk(tree):
        targets = {ours(name) for name in imported(node)} - {""}
        assert module != "events" or targets <= {"events"}
        assert "events" not in targets or module in ("emulator", "event", "events", "invoke")


def test_nothing_is_imported_late_but_what_may_be_missing(source: tuple[str, ast.Module]) -> None:
    """Inside of functions stand optional extras, and what most starts do not need."""
    module, tree = source
    for name in late(tree):
        package = name.split(".")[0]
        allowed = LATE.get(module, set())
        assert any(f"{name}.".startswith(f"{entry}.") for entry in allowed), (
            f"{module} imports {name} late"
        )
        assert package in OPTIONAL or module in {"__init__", "invoke", "cli", "allocator"}


def test_no_optional_extra_is_imported_at_start(source: tuple[str, ast.Module]) -> None:
    """What may be missing is never needed to import a module."""
    _, tree = source
    at_start = {name.split(".")[0] for node in tree.body for name in imported(node)}
    assert not at_start & OPTIONAL


def test_there_are_no_back_edges_for_type_checkers(source: tuple[str, ast.Module]) -> None:
    """TYPE_CHECKING is named nowhere."""
    names = {node.id for node in ast.walk(source[1]) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(source[1]) if isinstance(node, ast.Attribute)}
    assert "TYPE_CHECKING" not in names | attributes


def test_the_protocol_is_pure() -> None:
    """`protocol` and `framing` import neither aiohttp nor asyncio."""
    for module in ("protocol", "framing"):
        tree = ast.parse((ROOT / f"{module}.py").read_text())
        packages = {name.split(".")[0] for node in ast.walk(tree) for name in imported(node)}
        assert not packages & {"aiohttp", "asyncio", "service"}
