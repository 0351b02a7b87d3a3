"""References in `s.yaml`, such as `${vars.region}` or `${env('NAME')}`, and what they name.

A reference that is the whole of a text has the type of what it names; within text it is written as
JavaScript writes it. What a call returns is looked at once more, as Serverless Devs does it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...errors import UsageError
from .called import CALLABLE, ReferenceFault, config
from .document import FilePlace, at, section
from .expressions import CallExpression, Expression, Literal, Named, parse_expression
from .yaml12 import written

KNOWN = (
    "${vars.NAME}, ${env('NAME', 'default')}, ${this.props.KEY}, ${resources.NAME.props.KEY},"
    " ${cwd}, path(), file(), json(), yaml(), str(), base64() and config('AccountID')"
)

_REFERENCE = re.compile(r"\$\{(.*?)\}", re.DOTALL)
_LATER = re.compile(r"(?:resources|components)\.[^.]+\.(?:output|info)(?:\.|$)|(?:self|shared)\.")
"""What Serverless Devs leaves as it is until it deploys."""


MOST = 100_000
"""Values of a file at most: a few aliases of aliases can stand for more than memory holds."""


class References:
    """Puts values in the place of references.

    `faults` has what is wrong and `warnings` what stays as it is written, both by the place where
    it stands. A value with a faulty reference stays as it is written.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        environ: Mapping[str, str],
        folder_of: Callable[[FilePlace], Path],
    ) -> None:
        """`folder_of` tells the folder of the file in which a place stands."""
        self.faults: dict[FilePlace, str] = {}
        self.warnings: dict[FilePlace, str] = {}
        self.met = 0
        """How often a faulty reference was met: what was resolved meanwhile is not whole."""
        self._values = 0
        self._document = document
        self._environ = environ
        self._folder_of = folder_of
        self._open: list[FilePlace] = []

    def resolve(self, value: Any, place: FilePlace) -> Any:
        """Return the value that stands at `place`, with its references replaced.

        Keys and items that have nothing are left out. Raises UsageError if it has no end.
        """
        self._values += 1
        if self._values > MOST:
            raise UsageError(f"{at(place[:2])}: stands for more than {MOST:,} values")
        if isinstance(value, Mapping):
            pairs = ((key, self.resolve(each, (*place, key))) for key, each in value.items())
            return {key: each for key, each in pairs if each is not None}
        if isinstance(value, list):
            items = (self.resolve(each, (*place, index)) for index, each in enumerate(value))
            return [each for each in items if each is not None]
        if not isinstance(value, str) or "${" not in value:
            return value
        try:
            return self._text(value, place)
        except ReferenceFault as reason:
            self.faults[place] = str(reason)
            self.met += 1
            return value

    def _text(self, text: str, place: FilePlace, *, again: bool = True) -> Any:
        before = self.met
        first = _REFERENCE.match(text)
        if first and first.end() == len(text):
            value = self._reference(first[1], place)
        else:
            value = _REFERENCE.sub(lambda found: self._within_text(found[1], place), text)
        is_new = self.met == before and value != text
        if again and is_new and isinstance(value, str) and "${" in value:
            return self._text(value, place, again=False)
        return value

    def _within_text(self, code: str, place: FilePlace) -> str:
        value = self._reference(code, place)
        if isinstance(value, Mapping):
            raise ReferenceFault(f"${{{code}}} is a mapping: it cannot be part of text")
        return written(value)

    def _reference(self, code: str, place: FilePlace) -> Any:
        """Return what a reference names, by what stands between its braces."""
        if "${" in code:
            raise ReferenceFault(f"${{{code}}} has a reference within a reference")
        if _LATER.match(code.strip()):
            return self._later(code, place)
        try:
            value = self._value(parse_expression(code), place)
        except ValueError:
            raise ReferenceFault(f"${{{code}}} is not known; there are {KNOWN}") from None
        if value is None:
            raise ReferenceFault(f"${{{code}}} has no value")
        return value

    def _later(self, code: str, place: FilePlace) -> Any:
        """Return what a deployment brings: the props tell it, or it stays as it is written."""
        root, name, *keys = code.strip().split(".")
        props = section(self._document, root, name, "props")
        if root == "resources" and len(keys) == 2 and keys[1] in props:
            return self._follow(code, (root, name, "props", keys[1]))
        self.warnings[place] = (
            f"${{{code}}} is known after a deployment only: it stays as it is written"
        )
        return f"${{{code}}}"

    # --- values

    def _value(self, expression: Expression, place: FilePlace) -> Any:
        if isinstance(expression, Literal):
            return expression.value
        if isinstance(expression, CallExpression):
            arguments = [self._value(each, place) for each in expression.arguments]
            return self._call(expression.name, arguments, place)
        return self._named(expression, place)

    def _named(self, named: Named, place: FilePlace) -> Any:
        root, *steps = named.steps
        shown = ".".join(named.steps)
        if root == "cwd" and not steps:
            return str(self._folder_of(place))
        if root == "env" and steps:
            return self._variable(".".join(steps), None)
        if root == "credential" and len(steps) == 1:
            return config(steps[0])
        if root == "this" and steps:
            return self._this(shown, steps, place)
        if root in ("vars", "resources") and steps:
            return self._follow(shown, named.steps)
        raise ValueError(shown)

    def _this(self, shown: str, steps: list[str], place: FilePlace) -> Any:
        if place[0] != "resources":
            raise ReferenceFault(f"${{{shown}}} has a meaning within a resource only")
        if steps == ["name"]:
            return place[1]
        if steps == ["access"]:
            return self._follow(shown, ("access",))
        return self._follow(shown, (*place[:2], *steps))

    def _follow(self, shown: str, target: FilePlace) -> Any:
        """Return the value at `target`, by way of the references that it is made of."""
        value: Any = self._document
        there: FilePlace = ()
        for step in target:
            if isinstance(value, str) and "${" in value:
                value = self._resolved(shown, value, there)
            if isinstance(value, list) and str(step).isdecimal() and int(step) < len(value):
                step = int(step)
            elif not isinstance(value, Mapping) or step not in value:
                raise ReferenceFault(_nowhere(shown, there, value, step))
            value = value[step]
            there = (*there, step)
        return self._resolved(shown, value, there)

    def _resolved(self, shown: str, value: Any, target: FilePlace) -> Any:
        if target in self._open:
            ring = " -> ".join(map(at, (*self._open[self._open.index(target) :], target)))
            raise ReferenceFault(f"${{{shown}}} leads back to itself: {ring}")
        self._open.append(target)
        try:
            return self.resolve(value, target)
        finally:
            self._open.pop()

    # --- calls

    def _call(self, name: str, arguments: list[Any], place: FilePlace) -> Any:
        if name == "env" and len(arguments) in (1, 2):
            return self._variable(str(arguments[0]), *(arguments[1:] or [None]))
        if name == "secret":
            self.warnings[place] = "secret() is not known on a desk: it stays as it is written"
            return f"${{secret('{written(arguments[0] if arguments else '')}')}}"
        if name not in CALLABLE:
            raise ValueError(name)
        if len(arguments) != 1:
            raise ReferenceFault(f"{name}() takes one argument, here it has {len(arguments)}")
        argument = self._said(arguments[0], place) if name == "str" else arguments[0]
        return CALLABLE[name](written(argument), self._folder_of(place))

    def _said(self, argument: Any, place: FilePlace) -> Any:
        """Return what `str(vars.size)` asks for: the value of that name, or the text itself."""
        try:
            named = parse_expression(argument) if isinstance(argument, str) else None
            return self._named(named, place) if isinstance(named, Named) else argument
        except (ValueError, ReferenceFault):
            return argument

    def _variable(self, name: str, default: Any) -> Any:
        value = self._environ.get(name) or default
        if value is None:
            raise ReferenceFault(
                f"the environment variable {name} is not set; set it, write it into .env, or write"
                f" ${{env('{name}', 'default')}}"
            )
        return value


def _nowhere(shown: str, there: FilePlace, value: Any, step: str | int) -> str:
    keys = [str(key) for key in value] if isinstance(value, Mapping) else []
    near = difflib.get_close_matches(str(step), keys, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"${{{shown}}} leads nowhere: {at(there) or 'the file'} has no {str(step)!r}{hint}"
