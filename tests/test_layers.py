"""The wings: what each may import, at any depth, and that no import leads back."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter

import pytest

from tests.wings import (
    FILES,
    PAGE,
    PICTURE,
    ROOT,
    imported,
    imports,
    module_of,
    picture,
    target_of,
    tree_of,
    wing_of,
    with_map,
)

# Read it from the top: a wing may import those above it that its line names, and itself.
WINGS = {
    "first": "",
    "names": "",
    "origins": "",
    "protocol": "",
    "errors": "",
    "locks": "",
    "patterns": "",
    "whole_folder": "errors",
    "bundling": "whole_folder",
    "counting": "patterns",
    "advice": "",
    "pictures": "",
    "clients": "errors locks protocol",
    "context": "clients locks protocol patterns",
    "calls": "context errors protocol names",
    "events": "calls errors",
    "console": "calls events origins errors protocol",
    "routing": "calls context errors",
    "logs": "context locks protocol patterns",
    "settings": "context errors protocol",
    "profiling": "pictures calls",
    "http": "calls logs context errors protocol patterns",
    "instance": "http calls logs settings context counting errors protocol",
    "lifetime": "instance http calls context errors protocol",
    "traces": "instance http calls logs settings context errors locks protocol",
    "app": "traces lifetime instance http calls logs settings context errors protocol",
    "in_process": "app instance http calls context errors protocol",
    "metrics": "counting protocol",
    "batching": "metrics calls context counting errors protocol",
    "idempotency": "metrics calls context counting errors protocol",
    "resources": "metrics lifetime calls context clients counting errors protocol",
    "records": "metrics calls context counting errors protocol",
    "process": "instance http calls logs settings context errors protocol",
    "embed": "process app instance http calls logs settings context errors protocol",
    "__init__": "lifetime embed batching first idempotency metrics routing calls context errors"
    " names records resources",
    "recording": "__init__ instance http calls logs settings context errors protocol",
    "testing": "in_process embed process app events instance calls logs settings context errors"
    " protocol",
    "own_console": "console recording instance http calls logs context __init__ protocol",
    "workers": "process instance http calls logs settings context counting errors protocol",
    "emulator": "recording __init__ console origins http calls logs settings errors protocol events"
    " names",
    "projects": "__init__ advice emulator whole_folder errors protocol",
    "checking": "advice emulator calls settings errors protocol names",
    "sizing": "pictures emulator errors protocol names",
    "commands": "sizing"
    " checking own_console console recording __init__ projects advice emulator workers"
    " process profiling pictures in_process app instance http calls logs settings events first"
    " context bundling whole_folder counting errors protocol names",
    "__main__": "first commands process",
}

# The same within the emulator, for its folders and the modules beside them.
PARTS = {
    "account": "",
    "calls": "",
    "log": "",
    "spec": "",
    "texts": "spec",
    "failures": "calls",
    "figures": "calls",
    "instances": "spec failures account calls log",
    "queue": "spec texts calls",
    "api": "queue spec failures texts account calls",
    "disagreements": "instances spec account",
    "recorded": "instances spec account calls log",
    "played": "instances spec figures calls",
    "watching": "queue instances calls",
    "local": "watching played recorded api queue instances spec figures account calls log",
    "console": "local watching api queue instances spec texts figures account calls log",
    "testing": "local queue instances spec figures calls log",
    "__init__": "testing local calls",
    "reloading": "spec",
    "banner": "local disagreements spec",
    "flags": "console instances",
    "command": "flags banner console reloading local recorded instances spec figures log",
}

# What is imported inside of functions only, where it is used: import time is cold start.
LATE = {
    "app": "lifetime traces",
    "calls.allocator": "ctypes",
    "calls.decode": "pydantic",
    "calls.encode": "pydantic",
    "calls.loader": "calls",
    "context.call": "clients",
    "bundling.builds.sitecustomize": "setuptools",
    "commands.bundle": "bundling",
    "commands.check": "commands",
    "commands.client": "aiohttp emulator",
    "commands.event_source": "events",
    "commands.handlers": "settings",
    "commands.invoke": "commands",
    "commands.main": "commands emulator",
    "commands.new": "projects",
    "commands.parser": "difflib",
    "commands.profile": "profiling",
    "commands.reload.supervise": "watchfiles",
    "commands.serve": "commands console own_console recording workers",
    "commands.watch": "aiohttp pictures rich",
    "console": "jsonschema",
    "emulator": "debugpy jsonschema uvloop watchfiles yaml",
    "first.begin": "first",
    "events": "cbor2 pydantic",
    "idempotency.redis_store": "redis",
    "idempotency.tablestore_store": "tablestore",
    "own_console": "aiohttp",
    "process.loop": "uvloop",
    "projects.new_spec": "yaml",
    "records": "stamina",
    "settings.refusals": "difflib",
    "sizing": "matplotlib simpy",
    "settings.sources": "tomllib",
    "testing.strategies": "cbor2 hypothesis",
    "traces.providers": "traces",
    "traces.wiring": "traces",
    # Within a `try`, or when asked for.
    "__init__": "lifetime embed batching first idempotency metrics routing calls context errors"
    " names records resources",
}
EXTRA = {"profiling": "pyinstrument", "traces": "opentelemetry"}
"""Wings that are imported late as a whole, with the extra that their modules may import at once;
their `wiring` comes first and does not.
"""
OPTIONAL = {
    *EXTRA.values(),
    *("uvloop", "watchfiles", "cbor2", "pydantic", "jsonschema", "yaml", "rich", "debugpy"),
    *("redis", "tablestore"),
    "stamina",
    *("matplotlib", "simpy"),
}
PURE = ("patterns", "protocol", "http.chunked", "http.heads", "http.wire")
"""Modules of rules and bytes, which know nothing of sockets and tasks."""


def test_the_table_lists_each_wing_once() -> None:
    """Every folder and module at the top has its line, and a line names only those above it."""
    assert {wing_of(module_of(file)) for file in FILES} == set(WINGS)
    above: set[str] = set()
    for wing, allowed in WINGS.items():
        assert set(allowed.split()) <= above, wing
        above.add(wing)


def test_a_module_imports_only_what_its_wing_may() -> None:
    """At any depth, what is imported of the service is of the same wing or of one it may know."""
    for file in FILES:
        module = module_of(file)
        wing = wing_of(module)
        for name in imports(file):
            assert not f"{name}.".startswith(("service.", "fc_event_service.")), (
                f"{module}: {name}: imports of our own are relative"
            )
            if name.startswith("."):
                target = wing_of(target_of(name))
                assert target == wing or target in WINGS[wing].split(), f"{module}: {name}"


def part_of(module: str) -> str:
    """The part of the emulator that a module of it is: a folder, or a module beside them."""
    return module.split(".")[1]


def test_the_emulators_table_lists_each_part_once() -> None:
    """Every folder and module of it has its line, and a line names only those above it."""
    modules = map(module_of, FILES)
    assert {part_of(name) for name in modules if wing_of(name) == "emulator"} == set(PARTS)
    above: set[str] = set()
    for part, allowed in PARTS.items():
        assert set(allowed.split()) <= above, part
        above.add(part)


def test_a_module_of_the_emulator_imports_only_what_its_part_may() -> None:
    """Files are read below, instances are played above them, and the queue and the API on top."""
    for file in FILES:
        module = module_of(file)
        if wing_of(module) != "emulator":
            continue
        for name in imports(file):
            if name.startswith(".emulator."):
                part, target = part_of(module), part_of(target_of(name))
                assert target == part or target in PARTS[part].split(), f"{module}: {name}"


def test_no_import_leads_back() -> None:
    """The modules can be put in a row in which each imports only those before it."""
    graph = {
        module_of(file): {target_of(name) for name in imports(file) if name.startswith(".")}
        - {module_of(file)}
        for file in FILES
    }
    assert len(list(TopologicalSorter(graph).static_order())) >= len(FILES)


def test_the_map_shows_the_imports_of_today() -> None:
    """`make map` has nothing to change in docs/how-a-call-flows.md and its picture."""
    assert PAGE.read_text() == with_map(PAGE.read_text())
    assert PICTURE.read_text() == picture()


def test_nothing_is_imported_late_but_what_may_be_missing() -> None:
    """Inside of functions stand optional extras, and what most starts do not need."""
    for file in FILES:
        module, tree = module_of(file), tree_of(file)
        allowed = {*LATE.get(module, "").split(), *LATE.get(wing_of(module), "").split()}
        early = set(tree.body)
        for node in ast.walk(tree):
            for name in imported(module, node) if node not in early else ():
                first = name.lstrip(".").split(".")[0]
                assert first in allowed, f"{module}: {name} is imported late"


def test_no_optional_extra_is_imported_at_start() -> None:
    """What may be missing is never needed to import a module."""
    for file in FILES:
        module = module_of(file)
        names = {name for node in tree_of(file).body for name in imported(module, node)}
        extra = "" if module.endswith(".wiring") else EXTRA.get(wing_of(module), "")
        assert not {name.split(".")[0] for name in names} & (OPTIONAL - {extra}), module


def test_a_wing_that_needs_an_extra_is_imported_late() -> None:
    """Nothing outside of it imports it at once, nor does what comes first in it."""
    for file in FILES:
        module = module_of(file)
        names = [name for node in tree_of(file).body for name in imported(module, node)]
        wings = {wing_of(target_of(name)) for name in names if name.startswith(".")}
        if module.endswith(".wiring") or wing_of(module) not in EXTRA:
            assert not wings & set(EXTRA), module


def test_there_are_no_back_edges_for_type_checkers() -> None:
    """TYPE_CHECKING is named where the package says which module its late names are of, and nowhere
    else.
    """
    for file in FILES:
        if module_of(file) == "__init__":
            continue
        nodes = list(ast.walk(tree_of(file)))
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        assert "TYPE_CHECKING" not in names | attributes, module_of(file)


@pytest.mark.parametrize("module", PURE)
def test_rules_and_bytes_are_pure(module: str) -> None:
    """They import neither aiohttp nor asyncio, and nothing of the service but such modules."""
    file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    for name in imports(file):
        if name.startswith("."):
            assert target_of(name) in PURE
        assert name.split(".")[0] not in ("aiohttp", "asyncio")
