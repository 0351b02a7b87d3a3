"""A file and what it is made of: the file that it extends, and the templates of its resources."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import UsageError
from .document import Document, FilePlace, load_document, section


class Sources:
    """The files that a spec is read from, and what they say together.

    `value` is the whole with the base below the file and each template below its resource's props;
    `warnings` has what of it is not as its author may think.
    """

    def __init__(self, document: Document) -> None:
        """Read the file that `document` extends. Raises UsageError if that cannot be read."""
        self.warnings: list[str] = []
        self._files = [document]
        self.value: Any = document.value
        if isinstance(self.value, Mapping):
            self.value = self._extended(self.value)
            self.value = self._with_templates(self.value)

    def position(self, place: FilePlace) -> str:
        """Return `FILE:LINE:COLUMN` of the nearest thing that is written at or above the place."""
        found = [file.position(place) for file in self._files]
        return max(found, key=lambda each: each[0])[1]

    def folder_of(self, place: FilePlace) -> Path:
        """Return the folder of the file in which the place stands, which paths in it start from."""
        found = max(self._files, key=lambda file: file.position(place)[0])
        return found.path.parent.absolute()

    def _extended(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        name = value.get("extend")
        if not isinstance(name, str):
            return value
        path = self._files[0].path.parent / name
        if not path.is_file():
            where = self.position(("extend",)) or self._files[0].path
            raise UsageError(f"{where}: extend: {name} is not there: {path} is looked for")
        base = load_document(path)
        if not isinstance(base.value, Mapping):
            raise UsageError(f"{path}: is not a mapping with edition, resources and so on")
        if base.value.get("extend"):
            self.warnings.append(
                f"{path}: extend: is not followed: Serverless Devs goes one file deep"
            )
        self._files.append(base)
        return merged(without_nothing(base.value), without_nothing(value))

    def _with_templates(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        resources = value.get("resources")
        if not isinstance(resources, Mapping):
            return value
        found = {name: self._resource(str(name), each, value) for name, each in resources.items()}
        return {**value, "resources": found}

    def _resource(self, name: str, resource: Any, value: Mapping[str, Any]) -> Any:
        extend = section(resource, "extend")
        if not extend.get("name"):
            return resource
        template = section(value, "template").get(str(extend["name"]))
        if not isinstance(template, Mapping):
            self.warnings.append(
                f"resources.{name}.extend.name: template has no {extend['name']!r}, so nothing is"
                " extended"
            )
            return resource
        ignored = extend.get("ignore")
        for path in ignored if isinstance(ignored, list) else [ignored]:
            template = _without(template, str(path).split("."))
        return {**resource, "props": merged(template, section(resource, "props"))}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, mappings within mappings joined, and `over` in all else."""
    found = dict(base)
    for key, value in over.items():
        below = found.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = merged(below, value)
        found[key] = value
    return found


def without_nothing(value: Any) -> Any:
    """Return the value without the keys that have nothing."""
    if isinstance(value, Mapping):
        return {key: without_nothing(each) for key, each in value.items() if each is not None}
    return value


def _without(value: Mapping[str, Any], path: list[str]) -> Mapping[str, Any]:
    key, *rest = path
    if key not in value:
        return value
    if rest and isinstance(value[key], Mapping):
        return {**value, key: _without(value[key], rest)}
    return {each: value[each] for each in value if each != key}
