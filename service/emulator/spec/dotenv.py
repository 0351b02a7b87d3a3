"""`.env` files as Serverless Devs reads them (npm's dotenv and dotenv-expand): `NAME=value` lines,
in which `$OTHER` and `${OTHER:-default}` are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_LINE = re.compile(
    r"""^[^\S\n]*(?:export\s+)?([\w.-]+)(?:\s*=[^\S\n]*|:\s+?)"""
    r"""('(?:\\'|[^'])*'|"(?:\\"|[^"])*"|`(?:\\`|[^`])*`|[^#\r\n]*)""",
    re.MULTILINE,
)
_VARIABLE = re.compile(r"(?<!\\)\$(?:\{([\w]+)(?::-([^}\\]*))?\}|(\w+))")


def variables_of_file(folders: Iterable[Path], environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with what the folders' `.env` files add. What is set already stays."""
    found = dict(environ)
    for folder in folders:
        try:
            text = (folder / ".env").read_text("utf-8", errors="replace")
        except OSError:  # most folders have none
            continue
        for name, value in parse_dotenv(text).items():
            found.setdefault(name, value)
            if name not in environ:
                found[name] = _expanded(found[name], found)
    return found


def parse_dotenv(text: str) -> dict[str, str]:
    """Return the variables of a file's text. A line that is no assignment is passed over."""
    found = {}
    for name, value in _LINE.findall(text.replace("\r\n", "\n")):
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"`":
            quote, value = value[0], value[1:-1]
            if quote == '"':
                value = value.replace("\\n", "\n").replace("\\r", "\r")
        found[name] = value
    return found


def _expanded(value: str, known: Mapping[str, str]) -> str:
    def replaced(found: re.Match[str]) -> str:
        return known.get(found[1] or found[3]) or found[2] or ""

    return _VARIABLE.sub(replaced, value).replace("\\$", "$")
