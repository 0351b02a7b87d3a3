"""A YAML file as Serverless Devs reads it: YAML 1.2, in which `yes` is text, and no key twice."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import UsageError

Place = tuple[str | int, ...]
"""Where a value stands: the keys and list indexes that lead to it."""

# Types of plain values: tag, form, and the characters that it may begin with. YAML 1.1, which
# PyYAML reads by itself, has more: `yes` is true there, 010 is 8, and 1:30 is 90. Numbers that are
# not finite are left out: no key takes one.
PLAIN = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,400}|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
)


def at(place: Place) -> str:
    """Return the place as it is told: `resources.fn.props.triggers[0].triggerName`."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(parts).removeprefix(".")


def missing(reason: ImportError) -> UsageError:
    """Return what to say where a package of the extra `emulator` is not installed."""
    return UsageError(
        f"the emulator needs packages that are not installed ({reason.name}):"
        " run `make dev`, or pip install -e '.[emulator]' in the project's folder"
    )


def load(path: Path) -> Any:
    """Return the file's value. Raises UsageError, with the line of what is no YAML."""
    try:
        import yaml
    except ImportError as reason:
        raise missing(reason) from None
    try:
        return yaml.load(path.read_text("utf-8"), _loader())
    except OSError as reason:
        raise UsageError(f"{path}: cannot be read: {reason.strerror}") from None
    except UnicodeDecodeError as reason:
        raise UsageError(f"{path}: is not UTF-8 text: {reason.reason}") from None
    except yaml.MarkedYAMLError as reason:
        mark = reason.problem_mark
        line = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{path}{line}: {reason.problem}") from None
    except yaml.YAMLError as reason:
        raise UsageError(f"{path}: {str(reason).splitlines()[0]}") from None
    except RecursionError:
        raise UsageError(f"{path}: is nested too deep") from None


@cache
def _loader() -> type[Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own, and not ours to annotate

        def compose_mapping_node(self, anchor: Any) -> Any:
            """Refuse a second value for a key, where PyYAML takes the last."""
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark
                    )
                seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
            return node

    for tag, form, first in PLAIN:
        Loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{form})\Z"), first
        )
    Loader.add_constructor("tag:yaml.org,2002:int", _whole)
    return Loader


def _whole(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0 if text[:2] in ("0o", "0x") else 10)
