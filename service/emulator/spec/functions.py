"""The functions of a `s.yaml`: found among its resources, with references replaced, and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .document import Place, at
from .references import References
from .rules import faults, section
from .unplayed import warnings

DESTINATION = re.compile(r"acs:fc:[^:]*:[^:]*:functions/([^/]+)(?:/[^/]+)?")
"""A function as a destination names it."""


class Functions:
    """Goes through a document once and collects its functions, what is wrong, and the warnings.

    `props` and `codes`, what is `/code`, are by the place of the props. They are sound where
    `faults` is empty.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        folder: Path,
        code: Path | None,
        environ: Mapping[str, str],
    ) -> None:
        self.props: dict[Place, Mapping[str, Any]] = {}
        self.codes: dict[Place, Path] = {}
        self.faults: dict[Place, str] = {}
        self.warnings: list[str] = []
        self._document = document
        self._folder = folder
        self._code = code
        self._references = References(document, environ)

    def read(self) -> None:
        """Fill in all of it."""
        edition = self._document.get("edition")
        if edition != "3.0.0":
            told = "is missing" if edition is None else f"{edition!r} is not read"
            self.faults["edition",] = f"{told}; the emulator reads 3.0.0"
        self._references.resolve(self._document.get("vars"), ("vars",))
        resources = self._document.get("resources")
        if isinstance(resources, Mapping):
            for name, resource in resources.items():
                self._resource(("resources", str(name)), resource)
        self.faults |= self._references.faults
        self._agree()
        if not self.props and not self.faults:
            self.faults["resources",] = "has no function of the component fc3"
        if not self.faults:
            for place, props in self.props.items():
                self.warnings.extend(warnings(props, place))

    def _resource(self, place: Place, resource: Any) -> None:
        if not isinstance(resource, Mapping) or "component" not in resource:
            self.faults[*place, "component"] = "is missing"
            return
        component = str(resource["component"]).removeprefix("devsapp/").partition("@")[0]
        if component == "fc":
            self.faults[*place, "component"] = "fc is that of FC 2; the emulator reads fc3"
        elif component != "fc3":
            self.warnings.append(f"{at((*place, 'component'))}: {component} is not played")
        elif "extend" in resource:
            self.faults[*place, "extend"] = "is not read: write what it brings into props"
        elif not isinstance(resource.get("props"), Mapping):
            self.faults[*place, "props"] = "is not a mapping with functionName, runtime and so on"
        else:
            self._function((*place, "props"), resource["props"])

    def _function(self, place: Place, written: Mapping[str, Any]) -> None:
        before = self._references.met
        props = self._references.resolve(written, place)
        self.props[place] = props
        if self._references.met == before:
            found = faults(props)
            self.faults |= {(*place, *inside): text for inside, text in found.items()}
            if not any(inside[0] == "code" for inside in found):
                self._find_code(place, props)

    def _find_code(self, place: Place, props: Mapping[str, Any]) -> None:
        written = props.get("code", "") if props.get("runtime") != "custom-container" else ""
        if isinstance(written, Mapping):
            written = written["src"]
        self.codes[place] = code = (self._code or self._folder / written).resolve()
        if not code.is_dir():
            self.faults[*place, "code"] = (
                f"{written} is no directory: make it (`make bundle`), or run the files where they"
                " are with --code ."
            )

    def _agree(self) -> None:
        """Check what functions say of each other: names, and who is sent results."""
        places: dict[str, Place] = {}
        for place, props in self.props.items():
            name = props.get("functionName")
            if isinstance(name, str) and (first := places.setdefault(name, place)) != place:
                told = f"{name!r} is that of {at((*first, 'functionName'))} too"
                self.faults.setdefault((*place, "functionName"), told)
        for place, props in self.props.items():
            path = ("asyncInvokeConfig", "destinationConfig")
            for outcome in section(props, *path):
                arn = section(props, *path, outcome).get("destination")
                where = (*place, *path, outcome, "destination")
                if isinstance(arn, str) and (told := _no_destination(arn, list(places))):
                    self.faults.setdefault(where, told)


def _no_destination(arn: str, functions: list[str]) -> str:
    """What is wrong with a destination, "" for nothing."""
    if not arn.startswith("acs:fc:"):
        return ""
    found = DESTINATION.fullmatch(arn)
    if not found:
        return f"{arn!r} is not of the form acs:fc:REGION:ACCOUNT:functions/NAME"
    if found[1] not in functions:
        return f"the function {found[1]!r} is not in this file; there are {', '.join(functions)}"
    return ""
