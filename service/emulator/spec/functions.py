"""The functions of a `s.yaml`: found among its resources, with references replaced, and checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .document import FilePlace, at, section
from .dotenv import variables_of_file
from .doubts import doubts
from .extending import Sources
from .launch import CONTAINER, kind_of
from .references import References
from .rules import faults
from .schema import Objection, objections
from .typed import as_typed
from .unplayed import unplayed
from .yaml12 import written

DESTINATION = re.compile(r"acs:fc:[^:]*:[^:]*:functions/([^/]+)(?:/[^/]+)?")
"""A function as a destination names it."""
OUTCOMES = ("asyncInvokeConfig", "destinationConfig")

CodeAt = Callable[[Path], Path | str]
"""Returns the folder with the code that a path names, or why there is none."""


def folder_at(path: Path) -> Path | str:
    """Return the path if it is a folder."""
    if path.is_dir():
        return path
    return "is no directory: make it (`make bundle`), or run the files where they are with --code ."


class Functions:
    """Goes through a file once and collects its functions, what is wrong, and the warnings.

    By the place of its props, `props` has each function's as the file says them, `typed` the same
    in the platform's types, and `codes` what is `/code`. They are sound if `faults` is empty.
    `mistyped` are those of the warnings that tell of a value in another type than the platform's.
    `left_out` has what nobody plays: it is a fault if nothing else is there.
    """

    def __init__(
        self,
        sources: Sources,
        folder: Path,
        code: Path | None,
        environ: Mapping[str, str],
        code_at: CodeAt = folder_at,
    ) -> None:
        self.props: dict[FilePlace, Mapping[str, Any]] = {}
        self.typed: dict[FilePlace, Mapping[str, Any]] = {}
        self.codes: dict[FilePlace, Path] = {}
        self.faults: dict[FilePlace, str] = {}
        self.warnings: dict[FilePlace, str] = {}
        self.mistyped: dict[FilePlace, str] = {}
        self.left_out: dict[FilePlace, str] = {}
        self._objections: dict[FilePlace, list[Objection]] = {}
        self._document: Mapping[str, Any] = sources.value
        self._folder = folder
        self._code = code
        self._code_at = code_at
        resources = section(sources.value, "resources")
        folders = (section(each, "props").get("code") for each in resources.values())
        codes = [folder / each for each in folders if isinstance(each, str) and "\0" not in each]
        environ = variables_of_file([*codes, folder], environ)
        self._references = References(sources.value, environ, sources.folder_of)

    def read(self) -> None:
        """Fill in all of it."""
        if told := _no_edition(self._document):
            self.faults |= told
            if "services" in self._document:
                return
        self._references.resolve(self._document.get("vars"), ("vars",))
        for name, resource in section(self._document, "resources").items():
            if resource is not None:
                self._resource(("resources", str(name)), resource)
        self.faults |= self._references.faults
        self._agree()
        if not self.props and not self.faults:
            nothing = "has no function of the component fc3"
            self.faults |= self.left_out or dict[FilePlace, str]({("resources",): nothing})
        if not self.faults:
            self._warn()

    def _resource(self, place: FilePlace, resource: Any) -> None:
        if not isinstance(resource, Mapping) or "component" not in resource:
            self.faults[*place, "component"] = "is missing"
            return
        where = (*place, "component")
        component = str(self._references.resolve(resource["component"], where))
        # The component of a registry, one version of it, or a copy of it on this machine.
        component = component.partition("@")[0].rstrip("/").rpartition("/")[2]
        if component == "fc":
            self.left_out[where] = "fc is that of FC 2, and left out: the emulator reads fc3"
        elif component != "fc3":
            self.warnings[where] = f"{component} is not played"
        elif not isinstance(resource.get("props"), Mapping):
            self.faults[*place, "props"] = "is not a mapping with functionName, runtime and so on"
        else:
            self._function((*place, "props"), resource["props"])

    def _function(self, place: FilePlace, said: Mapping[str, Any]) -> None:
        before = self._references.met
        where = (*place, "runtime")
        runtime = self._references.resolve(said.get("runtime"), where)
        if isinstance(runtime, str) and "${" not in runtime and not kind_of({"runtime": runtime}):
            self.left_out[where] = (
                f"{runtime!r} brings a server of its own, and the function is left out: custom"
                " runtimes, images and python3 are played"
            )
            return
        self.props[place] = props = self._references.resolve(said, place)
        if self._references.met != before:
            return
        self.typed[place] = typed = as_typed(props, self._tell(place))
        # Without a runtime the schema takes the function for an image.
        form = {**typed, "runtime": typed.get("runtime", "custom")}
        self._objections[place] = found = list(objections(form))
        told = faults(typed, found)
        self.faults |= {(*place, *inside): text for inside, text in told.items()}
        self._find_code(place, typed)

    def _tell(self, place: FilePlace) -> Any:
        def tell(inside: FilePlace, text: str) -> None:
            self.warnings[*place, *inside] = self.mistyped[*place, *inside] = text

        return tell

    def _find_code(self, place: FilePlace, props: Mapping[str, Any]) -> None:
        code = self._code
        if code is None and kind_of(props) == CONTAINER:
            code = self._folder
        if code is None:
            said = props.get("code")
            said = said.get("src") if isinstance(said, Mapping) else said
            if not isinstance(said, str) or "\0" in said:
                self.faults[*place, "code"] = _no_code(props)
                return
            found = self._code_at(self._folder / said)
            if isinstance(found, str):
                self.faults[*place, "code"] = f"{said} {found}"
                return
            code = found
        self.codes[place] = code.resolve()

    # --- what functions say of each other

    def _agree(self) -> None:
        places: dict[str, FilePlace] = {}
        for place, props in self.props.items():
            name = props.get("functionName")
            if isinstance(name, str) and (first := places.setdefault(name, place)) != place:
                told = f"{name!r} is that of {at((*first, 'functionName'))} too"
                self.faults.setdefault((*place, "functionName"), told)
        for place, props in self.typed.items():
            for outcome, target in destinations(props):
                found = DESTINATION.fullmatch(target)
                if target and not (found and found[1] in places):
                    self.warnings[*place, *OUTCOMES, outcome, "destination"] = (
                        "is not played: only functions of this file are sent results"
                    )

    def doubts_of(self, place: FilePlace) -> Iterator[tuple[FilePlace, str]]:
        """Yield what a deployment may refuse of the sound props at a place."""
        for inside, text in doubts(self.typed[place], self._objections[place]):
            yield (*place, *inside), text

    def _warn(self) -> None:
        self.warnings |= self.left_out | self._references.warnings
        for place, props in self.typed.items():
            for where, text in self.doubts_of(place):
                self.warnings.setdefault(where, text)
            for inside, text in unplayed(props):
                self.warnings.setdefault((*place, *inside), text)


def destinations(props: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each outcome of a function's asynchronous calls, and who is sent it."""
    for outcome, target in section(props, *OUTCOMES).items():
        arn = section(target).get("destination")
        if isinstance(arn, str):
            yield outcome, arn


def _no_edition(document: Mapping[str, Any]) -> dict[FilePlace, str]:
    """Return what is wrong with the file's edition."""
    edition = document.get("edition")
    if "services" in document and "resources" not in document:
        told = "is for Function Compute 2; `s cli fc3 s2tos3` turns the file into one for fc3"
        return {("services",): told}
    if edition is None or written(edition) != "3.0.0":
        told = "is missing" if edition is None else f"{edition!r} is not read"
        return {("edition",): f"{told}: the emulator reads edition: 3.0.0"}
    return {}


def _no_code(props: Mapping[str, Any]) -> str:
    if "code" not in props:
        return "is missing"
    if isinstance(props["code"], Mapping):
        return "is in OSS: run a directory of this machine with --code DIR"
    return f"{props['code']!r:.100} is neither a directory nor an object"
