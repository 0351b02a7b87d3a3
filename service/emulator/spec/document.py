"""A YAML file: its value, and the line and column at which each part of it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UsageError
from .yaml12 import loader

FilePlace = tuple[str | int, ...]
"""Where a value stands: the keys and list indexes that lead to it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's value, and the tree of nodes that it was made of, if it was made of a file."""

    path: Path
    value: Any
    tree: Any = None

    def position(self, place: FilePlace) -> tuple[int, str]:
        """Return how many steps of the place the file has, and `FILE:LINE:COLUMN` of that part.

        The position of a key's value is that of the key. It is "" for a value without a file.
        """
        node, mark, depth = self.tree, getattr(self.tree, "start_mark", None), 0
        for step in place:
            found = _child(node, step)
            if found is None:
                break
            node, mark = found
            depth += 1
        return depth, f"{self.path}:{mark.line + 1}:{mark.column + 1}" if mark else ""


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """Return the node below a key or an index, with the mark of the key or the item."""
    if isinstance(step, int) and getattr(node, "id", "") == "sequence":
        items = node.value
        return (items[step], items[step].start_mark) if step < len(items) else None
    if getattr(node, "id", "") == "mapping":
        # From the end: keys that `<<` brings stand before the mapping's own.
        for key, value in reversed(node.value):
            if key.id == "scalar" and key.value == step:
                return value, key.start_mark
    return None


def at(place: FilePlace) -> str:
    """Return the place as it is told: `resources.fn.props.triggers[0].triggerName`."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(parts).removeprefix(".")


def missing_key(reason: ImportError) -> UsageError:
    """Return what to say if a package of the extra `emulator` is not installed."""
    return UsageError(
        f"the emulator needs packages that are not installed ({reason.name}):"
        " install fc-event-service[emulator], or run `make dev` in the repository of the service"
    )


def load_document(path: Path) -> Document:
    """Read a file. Raises UsageError, with the line and column of what is no YAML."""
    try:
        import yaml
    except ImportError as reason:
        raise missing_key(reason) from None
    reader = None
    try:
        reader = loader()(_text(path))
        tree = reader.get_single_node()
        value = None if tree is None else reader.construct_document(tree)
    except yaml.MarkedYAMLError as reason:
        mark = reason.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UsageError(f"{path}{where}: {reason.problem}") from None
    except yaml.YAMLError as reason:
        raise UsageError(f"{path}: {str(reason).splitlines()[0]}") from None
    except RecursionError:
        raise UsageError(f"{path}: is nested too deep") from None
    finally:
        if reader is not None:
            reader.dispose()
    return Document(path, value, tree)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as reason:
        raise UsageError(f"{path}: cannot be read: {reason.strerror}") from None
    except UnicodeDecodeError as reason:
        line = data.count(b"\n", 0, reason.start) + 1
        column = reason.start - data.rfind(b"\n", 0, reason.start)
        raise UsageError(f"{path}:{line}:{column}: is not UTF-8 text: {reason.reason}") from None


def section(value: Any, *keys: str) -> Mapping[str, Any]:
    """Return the mapping at the end of `keys`, {} if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
