"""References in `s.yaml`, such as `${vars.region}` or `${env('NAME')}`, and what they name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from .document import Place, at

ACCOUNT = "1000000000000000"
"""The id of the account that everything here belongs to: nobody's."""

CONFIG = {
    "AccountID": ACCOUNT,
    "AccessKeyID": "emulated-access-key-id",
    "AccessKeySecret": "emulated-access-key-secret",
}
"""What `${config(...)}` names: nobody's, since nothing on a desk may reach an account."""

KNOWN = (
    "${vars.NAME}, ${env('NAME', 'default')}, ${env.NAME}, ${this.props.KEY},"
    " ${resources.NAME.props.KEY} and ${config('AccountID')}"
)

_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
_CALL = re.compile(r"(env|config)\(\s*('[^']*'|\"[^\"]*\"|[^'\",()]+?)\s*(?:,(.*))?\)", re.DOTALL)
_PATH = re.compile(r"(vars|this|resources)((?:\.[\w-]+)+)")


class _Unknown(Exception):
    """What is wrong with a reference."""


class References:
    """Puts values in the place of references.

    `faults` has what is wrong, by the place where it stands. A value with a faulty reference stays
    as it is written.
    """

    def __init__(self, document: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.faults: dict[Place, str] = {}
        self.met = 0
        """How often a faulty reference was met: what was resolved meanwhile is not whole."""
        self._document = document
        self._environ = environ
        self._open: list[Place] = []

    def resolve(self, value: Any, place: Place) -> Any:
        """Return the value that stands at `place`, with the references in it replaced."""
        if isinstance(value, Mapping):
            return {key: self.resolve(each, (*place, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self.resolve(each, (*place, index)) for index, each in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        try:
            return self._text(value, place)
        except _Unknown as reason:
            self.faults[place] = str(reason)
            self.met += 1
            return value

    def _text(self, text: str, place: Place) -> Any:
        if whole := _REFERENCE.fullmatch(text):
            return self._named(whole[1].strip(), place)
        if text.count("${") != len(_REFERENCE.findall(text)):
            raise _Unknown(f"{text!r} has a reference within a reference, or one without an end")
        return _REFERENCE.sub(lambda found: self._written(found[1].strip(), place), text)

    def _written(self, reference: str, place: Place) -> str:
        value = self._named(reference, place)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str | int | float):
            return str(value)
        raise _Unknown(f"${{{reference}}} is neither text nor a number: it cannot be part of text")

    def _named(self, reference: str, place: Place) -> Any:
        """What a reference names, without the braces."""
        if call := _CALL.fullmatch(reference):
            name = _unquoted(call[2])
            default = None if call[3] is None else _unquoted(call[3].strip())
            return self._variable(name, default) if call[1] == "env" else _config(name)
        if reference.startswith("env."):
            return self._variable(reference.removeprefix("env."), None)
        if path := _PATH.fullmatch(reference):
            return self._value(path[1], path[2].split(".")[1:], place)
        raise _Unknown(f"${{{reference}}} is not known; there are {KNOWN}")

    def _variable(self, name: str, default: str | None) -> str:
        value = self._environ.get(name, default)
        if value is None:
            raise _Unknown(
                f"the environment variable {name} is not set; set it, or write"
                f" ${{env('{name}', 'default')}}"
            )
        return value

    def _value(self, root: str, steps: list[str], place: Place) -> Any:
        written = f"${{{'.'.join([root, *steps])}}}"
        target: Place = (root, *steps)
        if root == "this":
            if place[0] != "resources":
                raise _Unknown(f"{written} has a meaning within a resource only")
            target = (*place[:2], *steps)
        if len(target) > 2 and target[0] == "resources" and target[2] != "props":
            raise _Unknown(f"{written} is known after a deployment only; props are known before")
        value, target = self._follow(written, target)
        if target in self._open:
            ring = " -> ".join(map(at, (*self._open[self._open.index(target) :], target)))
            raise _Unknown(f"{written} leads back to itself: {ring}")
        self._open.append(target)
        try:
            return self.resolve(value, target)
        finally:
            self._open.pop()

    def _follow(self, written: str, target: Place) -> tuple[Any, Place]:
        """The value at `target` as it is written, and the place with its list indexes."""
        value: Any = self._document
        place: Place = ()
        for step in target:
            if isinstance(value, list) and str(step).isdecimal() and int(step) < len(value):
                step = int(step)
                value = value[step]
            elif isinstance(value, Mapping) and step in value:
                value = value[step]
            else:
                keys = [str(key) for key in value] if isinstance(value, Mapping) else []
                near = difflib.get_close_matches(str(step), keys, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                where = at(place) or "the file"
                raise _Unknown(f"{written} leads nowhere: {where} has no {step!r}{hint}")
            place = (*place, step)
        return value, place


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _config(name: str) -> str:
    if name not in CONFIG:
        raise _Unknown(f"${{config('{name}')}} is not known; there are {', '.join(CONFIG)}")
    return CONFIG[name]
