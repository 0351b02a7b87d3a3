"""What the functions return that a reference may call: `path()`, `file()`, `json()`, `yaml()`,
`str()`, `base64()` and `config()`. Each is given its argument as text, and the folder that paths
start from.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from os.path import normpath
from pathlib import Path
from typing import Any

from .yaml12 import loader

ACCOUNT = "1000000000000000"
"""The id of the account that everything here belongs to: nobody's."""

CONFIG = {
    "AccountID": ACCOUNT,
    "AccessKeyID": "emulated-access-key-id",
    "AccessKeySecret": "emulated-access-key-secret",
}
"""What `${config(...)}` names: nobody's, since nothing on a desk may reach an account."""


class ReferenceFault(Exception):
    """What is wrong with a reference."""


def config(name: str, _folder: Path | None = None) -> str:
    """Return what is known of the account. Raises ReferenceFault."""
    if name not in CONFIG:
        raise ReferenceFault(f"config('{name}') is not known; there are {', '.join(CONFIG)}")
    return CONFIG[name]


def _path(said: str, folder: Path) -> str:
    """Return the path of a file or folder that is there."""
    path = normpath(folder / said)
    try:
        if said and Path(path).exists():
            return said if Path(said).is_absolute() else path
    except ValueError:  # a NUL in the name
        pass
    raise ReferenceFault(f"path('{said}') is not there: {path} is looked for")


def _file(said: str, folder: Path) -> str:
    """Return the text of a file."""
    try:
        return (folder / said).read_text("utf-8", errors="replace")
    except (OSError, ValueError) as reason:  # ValueError: a NUL in the name
        told = getattr(reason, "strerror", None) or str(reason)
        raise ReferenceFault(f"file('{said}') cannot be read: {told}") from None


def _json(text: str, _folder: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as reason:
        raise ReferenceFault(f"json() cannot read its text: {reason}") from None


def _yaml(text: str, _folder: Path) -> Any:
    import yaml

    try:
        return yaml.load(text, loader())
    except (yaml.YAMLError, RecursionError) as reason:
        told = str(reason).splitlines()[0]
        raise ReferenceFault(f"yaml() cannot read its text: {told}") from None


def _str(text: str, _folder: Path) -> str:
    return text


def _base64(text: str, _folder: Path) -> str:
    return b64encode(text.encode()).decode()


CALLABLE: Mapping[str, Callable[[str, Path], Any]] = {
    "base64": _base64,
    "config": config,
    "file": _file,
    "json": _json,
    "path": _path,
    "str": _str,
    "yaml": _yaml,
}
"""The functions by their names."""
