"""The files of a new project, each of which explains itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from .. import __version__
from .naming import in_yaml, of_image

NEW_FILES = {
    "index.py": "the function: `handler(event, context)`",
    "config/service.toml": "settings of the service",
    "s.yaml": "what is deployed: size, calls at once, variables, triggers",
    "Dockerfile": "the same as an image",
    "tests/test_index.py": "tests: one call, a hundred at once, under a local Function Compute",
    "Makefile": "`make run`, `make test`, `make emulate`, `make bundle`",
    "pyproject.toml": "settings of the tools",
    "requirements.txt": "packages that are deployed",
    "requirements-dev.txt": "packages for the tests and tools",
    "README.md": "this list, and how to begin",
    ".gitignore": "",
    ".dockerignore": "",
}
"""The files of a project that begins from nothing, and what each is for."""

SHARED_FILES = (
    *("Dockerfile", "Makefile", "pyproject.toml", "requirements.txt", "requirements-dev.txt"),
    *(".gitignore", ".dockerignore"),
)
"""Files that a project from a built-in runtime has, too."""


def fresh_project(name: str) -> dict[str, bytes]:
    """Return the files of a new function by their paths."""
    values = values_of(name) | {"FILES": file_rows(NEW_FILES)}
    return {path: filled(path, values) for path in NEW_FILES}


def values_of(name: str, code: str = ".", packages: str = "") -> dict[str, str]:
    """Return what stands in the templates' places; `code` is the function's folder."""
    return {
        "NAME": name,
        "NAME_IN_YAML": in_yaml(name),
        "IMAGE": of_image(name),
        "CODE": code,
        "CD": "" if code == "." else f"cd {code} && ",
        "VERSION": __version__,
        "PACKAGES": packages,
    }


def filled(path: str, values: Mapping[str, str]) -> bytes:
    """Return a template with its values."""
    name = path.rpartition("/")[2].removeprefix(".")
    text = (resources.files(__package__) / "templates" / f"{name}.txt").read_text("utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return (text.rstrip("\n") + "\n").encode()


def file_rows(files: Mapping[str, str]) -> str:
    """Return the rows of a table in Markdown."""
    return "\n".join(f"| `{path}` | {what} |" for path, what in files.items() if what)
