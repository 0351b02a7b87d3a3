"""YAML as js-yaml reads it, which is what Serverless Devs uses, made of PyYAML's parts.

PyYAML speaks YAML 1.1, in which `yes` is true, 010 is 8 and 1:30 is 90, takes the last of two
equal keys, and stops at a tab after a colon and at a `?` in `[0 0 4 ? * MON]`. The scanner's
methods that are replaced here are public in PyYAML, and all that is known of its inside is here.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, cast

# Types of plain values: tag, form, and the characters that it may begin with. Numbers that are not
# finite are left out: no key takes one.
PLAIN = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,400}|0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
)
MERGE = "tag:yaml.org,2002:merge"
BREAKS = "\r\n\x85\u2028\u2029"
ENDS = f"\0 \t{BREAKS}"
FLOW = ",[]{}"


@cache
def loader() -> type[Any]:
    """Return the class of a loader. Raises ImportError if PyYAML is not installed."""
    import yaml

    own = {"yaml": yaml, "yaml_implicit_resolvers": {}}  # without those of YAML 1.1
    made: Any = type("Loader", (JsYaml, yaml.SafeLoader), own)
    for tag, form, first in PLAIN:
        made.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{form})\Z"), first)
    made.add_constructor("tag:yaml.org,2002:int", _whole)
    return cast("type[Any]", made)


_Parts: Any = object


class JsYaml(_Parts):  # type: ignore[misc] # PyYAML's loader comes beneath it when it is there
    """What js-yaml does in another way than PyYAML."""

    yaml: Any
    """PyYAML."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        """Refuse a second value for a key."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _value in node.value:
            if not isinstance(key, self.yaml.ScalarNode) or key.tag == MERGE:
                continue
            if key.value in seen:
                raise self.yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Return a mapping whose keys are text, as an object's are in JavaScript."""
        return {written(key): value for key, value in super().construct_mapping(node, deep).items()}

    def scan_to_next_token(self) -> None:
        """Pass over a tab, too, unless it indents something."""
        super().scan_to_next_token()
        while self.peek() == "\t" and self._may_skip_tabs():
            while self.peek() in ("\t", " "):
                self.forward()
            super().scan_to_next_token()

    def _may_skip_tabs(self) -> bool:
        length = 0
        while self.peek(length) in ("\t", " "):
            length += 1
        blank = self.peek(length) in f"\0#{BREAKS}"
        return blank or bool(self.flow_level) or bool(self.line_has_begun())

    def line_has_begun(self) -> bool:
        """Return whether anything but spaces stands before this place in its line."""
        start = self.pointer - self.column
        return bool(self.buffer[max(0, start) : self.pointer].strip())

    def scan_plain(self) -> Any:
        """Read plain text, in which a `?` is a character like others."""
        start = end = self.get_mark()
        indent = self.indent + 1
        chunks: list[str] = []
        spaces: list[str] = []
        while self.peek() != "#" and (length := self._plain_length()):
            self.allow_simple_key = False
            chunks += [*spaces, self.prefix(length)]
            self.forward(length)
            end = self.get_mark()
            spaces = self.scan_plain_spaces(indent, start)
            if not spaces or (not self.flow_level and self.column < indent):
                break
        return self.yaml.ScalarToken("".join(chunks), True, start, end)

    def _plain_length(self) -> int:
        stops = FLOW if self.flow_level else ""
        length = 0
        while (ch := self.peek(length)) not in ENDS + stops:
            if ch == ":" and self.peek(length + 1) in ENDS + stops:
                break
            length += 1
        return length

    def scan_plain_spaces(self, indent: int, start_mark: Any) -> Any:
        """Keep tabs within a line's text, drop them at its end."""
        length = 0
        while self.peek(length) in ("\t", " "):
            length += 1
        if self.peek(length) in BREAKS:
            self.forward(length)
            return super().scan_plain_spaces(indent, start_mark)
        text = self.prefix(length)
        self.forward(length)
        return [text] if text else []


def written(value: Any) -> str:
    """Return a value as JavaScript writes it within text: `true`, 1 for 1.0, lists with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    if isinstance(value, list):
        return ",".join("" if each is None else written(each) for each in value)
    return "null" if value is None else str(value)


def _whole(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0 if text[:2] in ("0b", "0o", "0x") else 10)
