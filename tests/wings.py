"""How the wings of `service/` hang together, read from their imports.

`python -m tests.wings` draws the map of docs/how-a-call-flows.md anew (`make map`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import service
from tests.wings_picture import wings_svg

ROOT = Path(service.__file__).parent
PAGE = ROOT.parent / "docs" / "how-a-call-flows.md"
PICTURE = PAGE.with_name("wings.svg")
BEGIN, END = "<!-- the map: written by make map -->\n", "<!-- end of the map -->"
FILES = sorted(ROOT.rglob("*.py"))


def module_of(file: Path) -> str:
    """The module's name below `service`, `http.connection` for example; "" for the package."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def wing_of(module: str) -> str:
    """The wing that a module is in: a folder, or a module at the top."""
    return module.split(".")[0]


def imported(module: str, node: ast.AST) -> Iterator[str]:
    """The names that an import statement brings: `.http.connection.Connection` of the service's,
    `aiohttp.web` of others'.
    """
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        folder = module.split(".")[: -node.level] if node.level else []
        parts = [*folder, *filter(None, [node.module])]
        for alias in node.names:
            yield ("." if node.level else "") + ".".join([*parts, alias.name])


@cache
def target_of(name: str) -> str:
    """The module of the service that `.http.connection.Connection` names; the package itself for a
    name of its own.
    """
    parts = name[1:].split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        if path.with_suffix(".py").exists():
            return ".".join(parts[:length])
        if (path / "__init__.py").exists():
            return ".".join([*parts[:length], "__init__"])
    return "__init__"


@cache
def tree_of(file: Path) -> ast.Module:
    """What a file says."""
    return ast.parse(file.read_text())


@cache
def imports(file: Path) -> list[str]:
    """The name of each import of a file, at any depth."""
    module, nodes = module_of(file), ast.walk(tree_of(file))
    found = (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
    return [name for node in found for name in imported(module, node)]


def edges() -> dict[str, set[str]]:
    """Return each wing with those that it imports."""
    found: dict[str, set[str]] = {wing_of(module_of(file)): set() for file in FILES}
    for file in FILES:
        wing = wing_of(module_of(file))
        found[wing] |= {wing_of(target_of(name)) for name in imports(file) if name[0] == "."}
        found[wing].discard(wing)
    return found


def depths(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return how far each wing is from the ground: 0 if it imports no other."""

    @cache
    def depth(wing: str) -> int:
        return 1 + max((depth(below) for below in graph[wing]), default=-1)

    return {wing: depth(wing) for wing in graph}


def row_of(graph: dict[str, set[str]]) -> list[str]:
    """Return the wings from the top of the staircase to its ground: the deepest first."""
    found = depths(graph)
    return sorted(graph, key=lambda wing: (-found[wing], wing))


def arrows(graph: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Yield each import that is not said already by a longer way through other wings."""

    @cache
    def below(wing: str) -> set[str]:
        return graph[wing] | {far for near in graph[wing] for far in below(near)}

    for wing in row_of(graph):
        others = {far for near in graph[wing] for far in below(near)}
        yield from ((wing, near) for near in sorted(graph[wing] - others))


def purpose_of(wing: str) -> str:
    """Return the first sentence of a wing's docstring."""
    folder = ROOT / wing / "__init__.py"
    tree = ast.parse((folder if folder.exists() else ROOT / f"{wing}.py").read_text())
    text = " ".join((ast.get_docstring(tree) or "").split())
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def shown() -> dict[str, set[str]]:
    """Return the wings that the map shows, each with those that it imports."""
    graph = edges()
    del graph["__init__"], graph["__main__"]
    return {wing: below - {"__init__"} for wing, below in graph.items()}


def picture() -> str:
    """Return the imports as an SVG."""
    graph = shown()
    return wings_svg(depths(graph), list(arrows(graph)))


def drawn() -> str:
    """Return the map: its picture, and what each wing is for."""
    rows = "\n".join(
        f"| `{wing}{'/' if (ROOT / wing).is_dir() else '.py'}` | {purpose_of(wing)}"
        f" | {', '.join(modules_of(wing))} |"
        for wing in row_of(shown())
    )
    return (
        f"![the wings, each above those that it imports]({PICTURE.name})\n\n"
        f"| wing | purpose | modules |\n| --- | --- | --- |\n{rows}\n"
    )


def modules_of(wing: str) -> list[str]:
    """Return the modules and sub-wings of a folder, none for a module."""
    paths = (ROOT / wing).glob("*") if (ROOT / wing).is_dir() else ()
    return sorted(
        f"{path.name}/" if path.is_dir() else path.stem
        for path in paths
        if (path / "__init__.py").exists() or (path.suffix == ".py" and path.stem != "__init__")
    )


def with_map(page: str) -> str:
    """Return the page with the map as it is now."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{drawn()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_map(PAGE.read_text()))
    PICTURE.write_text(picture())
