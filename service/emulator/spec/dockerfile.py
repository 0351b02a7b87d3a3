"""What a Dockerfile says of the image that it makes, read without an engine."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_HEREDOC = re.compile(r"<<-?([\"']?)(\w+)\1")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_FROM = re.compile(r"(?:--platform=(\S+)\s+)?(\S+)(?:\s+as\s+(\S+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DockerInstruction:
    """One instruction: `CMD` for example, what stands behind it, and its line."""

    word: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class ImageFile:
    """The last stage of a Dockerfile, with what those stages of the file say that it begins with.

    `base` is the image of another place that it begins with, "" if there is none; `platform` what
    `FROM --platform` says.
    """

    base: str = ""
    platform: str = ""
    base_line: int = 0
    instructions: Sequence[DockerInstruction] = ()

    def last(self, word: str) -> DockerInstruction | None:
        """Return the last instruction of a kind, the one that counts; None if there is none."""
        found = [each for each in self.instructions if each.word == word]
        return found[-1] if found else None

    @property
    def command(self) -> list[str]:
        """What the image runs, with its WORKDIR as /code; [] if it does not say."""
        found = [self.last("ENTRYPOINT"), self.last("CMD")]
        command = [word for each in found if each is not None for word in _words(each.text)]
        folder = self.last("WORKDIR")
        place = folder.text.rstrip("/") if folder else ""
        if place in ("", "/code"):
            return command
        inside = re.compile(rf"(?<![\w./~-]){re.escape(place)}(?![\w.-])")
        return [inside.sub("/code", part) for part in command]

    @property
    def variables(self) -> Mapping[str, str]:
        """What its ENV instructions set."""
        found: dict[str, str] = {}
        for each in self.instructions:
            if each.word == "ENV":
                found |= _assignments(each.text)
        return found


def read_image_file(path: Path) -> ImageFile | None:
    """Return what a Dockerfile says, None for one that is not there or cannot be read."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return None
    stages: dict[str, ImageFile] = {}
    arguments: dict[str, str] = {}
    here, name = ImageFile(), ""
    for each in _instructions(text):
        if each.word == "FROM":
            here, name = _stage(each, arguments, stages)
        elif each.word == "ARG" and not here.base_line:  # before any stage
            arguments |= _assignments(each.text)
        else:
            here = replace(here, instructions=(*here.instructions, each))
        stages[name] = here
    return here


def _stage(
    said: DockerInstruction, arguments: Mapping[str, str], stages: Mapping[str, ImageFile]
) -> tuple[ImageFile, str]:
    """Return the stage that FROM begins, and its name."""
    found = _FROM.match(_filled_in(said.text, arguments))
    if found is None:
        return ImageFile(base_line=said.line), ""
    platform, base, name = found[1] or "", found[2], (found[3] or "").lower()
    before = stages.get(base.lower())
    if before is not None:
        return replace(before, platform=platform or before.platform), name
    return ImageFile(base, platform, said.line), name


def _instructions(text: str) -> Iterator[DockerInstruction]:
    """Yield the instructions; a line that ends in a backslash goes on in the next one."""
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        while said.endswith("\\"):
            more = next(lines, (0, ""))[1].strip()
            said = said[:-1] + ("\\" if more.startswith("#") else more)
        word, rest = [*said.split(None, 1), ""][:2]
        yield DockerInstruction(word.upper(), rest, number)
        if word.upper() in ("RUN", "COPY", "ADD"):
            for _quote, end in _HEREDOC.findall(rest):
                while next(lines, (0, end))[1].strip() != end:
                    pass


def _filled_in(text: str, values: Mapping[str, str]) -> str:
    """Return the text with variables filled in; those without a value stay as they are."""

    def value(found: re.Match[str]) -> str:
        return values.get(found[1] or found[3]) or found[2] or found[0]

    return _VARIABLE.sub(value, text)


def _assignments(text: str) -> dict[str, str]:
    """Return what `A=1 B="2 3"` sets, or `A 1`, as ENV may have it."""
    try:
        words = shlex.split(text)
    except ValueError:
        return {}
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])} if len(words) > 1 else {}
    pairs = (word.partition("=") for word in words)
    return {name: value for name, _, value in pairs}


def _words(text: str) -> list[str]:
    """Return the words of ENTRYPOINT or CMD in either form."""
    listed = listed_words(text)
    return listed if listed is not None else ["/bin/sh", "-c", text] if text else []


def listed_words(text: str) -> list[str] | None:
    """Return the words of a JSON list, None for what a shell runs."""
    try:
        listed = json.loads(text)
    except ValueError:
        return None
    return [str(word) for word in listed] if isinstance(listed, list) else []
