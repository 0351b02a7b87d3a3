"""Each public name of the service means one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.wings import FILES, module_of, tree_of

EACH_HAS_ITS_OWN = {
    "T",  # a type variable
    "add_flags",  # each command has it, and one place calls them
}


def defined(node: ast.stmt) -> Iterator[str]:
    """The public names that a statement of a module defines."""
    names: list[str] = []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        names = [node.name]
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    yield from (name for name in names if not name.startswith("_"))


def test_no_two_modules_define_the_same_public_name() -> None:
    """Who reads a name somewhere, or looks for it, finds one thing."""
    places: dict[str, set[str]] = defaultdict(set)
    for file in FILES:
        for node in tree_of(file).body:
            for name in defined(node):
                places[name].add(module_of(file))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: twice[name] for name in twice.keys() - EACH_HAS_ITS_OWN} == {}


def test_the_names_that_are_found_are_those_that_are_defined() -> None:
    """Functions, classes and variables count, and what begins with an underscore does not."""
    body = ast.parse("def f(): ...\nclass C: ...\nA = B = 1\nD: int = 2\n_e = 3\nimport os").body
    assert [name for node in body for name in defined(node)] == ["f", "C", "A", "B", "D"]


PHRASES = (
    "The ",
    "A ",
    "An ",
    "What ",
    "How ",
    "All ",
    "Each ",
    "True ",
    "Say yes",
    "Say whether ",
)
"""How a docstring begins that tells a thing where it should tell what is done."""


def is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """True for what is read as an attribute."""
    decorators = {ast.unparse(each).rpartition(".")[2] for each in node.decorator_list}
    return bool(decorators & {"property", "cached_property", "setter"})


def test_what_a_function_does_is_said_with_a_verb() -> None:
    """A docstring of a function begins with what it does, that of a property with what it is."""
    wrong = [
        f"{module_of(file)}:{node.lineno}"
        for file in FILES
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not is_property(node)
        and (ast.get_docstring(node) or "").startswith(PHRASES)
    ]
    assert wrong == []
