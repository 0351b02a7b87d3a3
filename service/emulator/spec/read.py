"""`s.yaml` as the emulator reads it: each function with what the platform would do for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import UsageError
from .document import Document, FilePlace, at, load_document
from .extending import Sources
from .function import function
from .functions import CodeAt, Functions, folder_at
from .launch import launch
from .model import DeployedFunction, Spec


def read(path: Path, *, code: Path | None = None, environ: Mapping[str, str] | None = None) -> Spec:
    """Read a file of Serverless Devs: edition 3.0.0, component fc3.

    `code` takes the place of each function's `code`; `environ` that of this process's environment,
    for `${env(...)}`. Raises UsageError, which lists all that is wrong, each with its file, line,
    column and place.
    """
    return _spec(str(path), load_document(path), code, environ)


def read_mapping(
    document: Mapping[str, Any],
    *,
    folder: Path,
    code: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Spec:
    """Read what a file would hold; relative paths in it are relative to `folder`."""
    return _spec("the spec", Document(folder / "s.yaml", document), code, environ)


def _spec(
    name: str, document: Document, code: Path | None, environ: Mapping[str, str] | None
) -> Spec:
    sources, found = found_in(name, document, code, environ)
    if found.faults:
        raise UsageError(_told(name, sources, found.faults))
    functions = functions_of(found, found.typed)
    warnings = (f"{at(place)}: {text}" for place, text in found.warnings.items())
    named = {each.name: each for each in functions.values()}
    return Spec(named, (*sources.warnings, *warnings))


def found_in(
    name: str,
    document: Document,
    code: Path | None,
    environ: Mapping[str, str] | None,
    code_at: CodeAt = folder_at,
) -> tuple[Sources, Functions]:
    """Return what a file is made of, and its functions with what is wrong with them. Raises
    UsageError if it cannot be read.
    """
    if code is not None and not code.is_dir():
        raise UsageError(f"--code {code}: is no directory")
    if not isinstance(document.value, Mapping):
        raise UsageError(f"{name}: is not a mapping with edition, resources and so on")
    try:
        sources = Sources(document)
        environ = os.environ if environ is None else environ
        found = Functions(sources, document.path.parent, code, environ, code_at)
        found.read()
    except RecursionError:
        raise UsageError(f"{name}: contains itself, or is nested too deep") from None
    return sources, found


def _told(name: str, sources: Sources, faults: Mapping[FilePlace, str]) -> str:
    """Return all faults, a line each."""
    lines = []
    for place, text in faults.items():
        position = sources.position(place)
        lines.append(f"{position}: {at(place)}: {text}" if position else f"{at(place)}: {text}")
    if len(lines) == 1:
        return lines[0] if sources.position(()) else f"{name}: {lines[0]}"
    return "\n  ".join([f"{name} has {len(lines)} faults:", *lines])


def functions_of(
    found: Functions, places: Iterable[FilePlace]
) -> dict[FilePlace, DeployedFunction]:
    """Return the functions whose props stand at `places` and are sound."""
    names = {props["functionName"] for props in found.typed.values() if "functionName" in props}
    functions = {}
    for place in places:
        props = found.typed[place]

        def tell(inside: FilePlace, text: str, place: FilePlace = place) -> None:
            found.warnings[*place, *inside] = text

        start = launch(props, found.codes[place], tell)
        functions[place] = function(found.props[place], props, found.codes[place], start, names)
    return functions
