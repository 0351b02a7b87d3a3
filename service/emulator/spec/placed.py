"""`s.yaml` with the place of each thing: what is wrong, what is doubtful, and its functions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .document import FilePlace, load_document
from .extending import Sources
from .functions import CodeAt, Functions, folder_at
from .model import DeployedFunction
from .read import found_in, functions_of


@dataclass(frozen=True, slots=True)
class PlacedFunction:
    """A function whose props are sound: where they stand, and in the platform's types."""

    place: FilePlace
    props: Mapping[str, Any]
    deployed: DeployedFunction


@dataclass(frozen=True, slots=True)
class PlacedSpec:
    """A file: `faults` and `doubts` by the place where they stand. Functions that have a fault are
    not among `functions`.
    """

    sources: Sources
    functions: Sequence[PlacedFunction]
    faults: Mapping[FilePlace, str]
    doubts: Mapping[FilePlace, str]


def read_placed(
    path: Path,
    *,
    code: Path | None = None,
    environ: Mapping[str, str] | None = None,
    code_at: CodeAt = folder_at,
) -> PlacedSpec:
    """Read a file of Serverless Devs, whatever is wrong with the functions in it. `code` takes the
    place of each function's `code`; `environ` that of this process's environment; `code_at` finds
    the folder that a `code` names.

    Raises UsageError for a file that cannot be read, and is no mapping of resources.
    """
    environ = os.environ if environ is None else environ
    sources, found = found_in(str(path), load_document(path), code, environ, code_at)
    sound = functions_of(found, [*_sound(found)])
    functions = [PlacedFunction(place, found.typed[place], each) for place, each in sound.items()]
    doubts = {**found.mistyped, **found.left_out}
    faults = {place: text for place, text in found.faults.items() if place not in found.left_out}
    for place in sound:
        doubts |= dict(found.doubts_of(place))
    return PlacedSpec(sources, functions, faults, doubts)


def _sound(found: Functions) -> Iterator[FilePlace]:
    """Yield the places of props in which there is no fault."""
    for place in found.typed:
        if place in found.codes and not any(each[: len(place)] == place for each in found.faults):
            yield place
