"""What a Dockerfile says, read without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.emulator.spec.dockerfile import ImageFile, read_image_file


def image_file(folder: Path, text: str) -> ImageFile:
    """What is read of such a file."""
    (folder / "Dockerfile").write_text(text)
    found = read_image_file(folder / "Dockerfile")
    assert found is not None
    return found


DOCKERFILES: dict[str, tuple[str, list[str]]] = {
    "nothing": ("FROM x\nRUN make\n", []),
    "a command": ('FROM x\nCMD ["a", "b"]', ["a", "b"]),
    "an entrypoint with its arguments": (
        'FROM x\nENTRYPOINT ["a"]\ncmd [ "b" ]\n',
        ["a", "b"],
    ),
    "the last of each": ('FROM x\nCMD ["a"]\nCMD ["b"]\n', ["b"]),
    "the last stage": ('FROM x AS one\nENTRYPOINT ["a"]\nFROM y\nCMD ["b"]\n', ["b"]),
    "for a shell": ("FROM x\nCMD exec run --fast\n", ["/bin/sh", "-c", "exec run --fast"]),
    "over two lines": ('FROM x\nCMD ["a", \\\n "b"]\n', ["a", "b"]),
    "a comment": ('FROM x\n# CMD ["a"]\n', []),
    "no command": ("FROM x\nCMD\n", []),
    "another folder": (
        'WORKDIR /srv/app/\nCMD ["/srv/app/run", "/srv/apples"]',
        ["/code/run", "/srv/apples"],
    ),
}


@pytest.mark.parametrize(("text", "command"), DOCKERFILES.values(), ids=DOCKERFILES)
def test_the_command_of_a_dockerfile_is_that_of_its_last_stage(
    tmp_path: Path, text: str, command: list[str]
) -> None:
    """Entrypoint and command, in either form; the working directory is /code."""
    (tmp_path / "Dockerfile").write_text(text)
    assert image_file(tmp_path, text).command == command


def test_no_dockerfile_says_nothing(tmp_path: Path) -> None:
    """A file that is not there has no command."""
    assert read_image_file(tmp_path / "Dockerfile") is None


BASES: dict[str, tuple[str, str, str]] = {
    "an image": ("FROM python:3.13-slim\n", "python:3.13-slim", ""),
    "an argument": (
        "ARG PYTHON=3.12\nARG UNSET\nFROM --platform=linux/arm64 python:${PYTHON}-slim AS x\n",
        "python:3.12-slim",
        "linux/arm64",
    ),
    "a default": ("FROM python:${PYTHON:-3.11}\n", "python:3.11", ""),
    "an argument without a value": ("ARG PYTHON\nFROM python:$PYTHON\n", "python:$PYTHON", ""),
    "the base of another stage": (
        "FROM python:3.11 AS Base\nFROM debian AS build\nFROM base\n",
        "python:3.11",
        "",
    ),
    "an argument of a stage": ("FROM a\nARG B=c\nFROM $B\n", "$B", ""),
    "nothing": ("FROM scratch\n", "scratch", ""),
    "no image": ("FROM\n", "", ""),
}


@pytest.mark.parametrize(("text", "base", "platform"), BASES.values(), ids=BASES)
def test_the_base_of_an_image_is_told(tmp_path: Path, text: str, base: str, platform: str) -> None:
    """With its arguments filled in, through the stages of the same file."""
    found = image_file(tmp_path, text)
    assert (found.base, found.platform) == (base, platform)


def test_a_stage_has_what_the_one_says_that_it_begins_with(tmp_path: Path) -> None:
    """The last of each kind counts; a script of RUN has no instructions of its own."""
    found = image_file(
        tmp_path,
        """\
FROM python:3.13 AS base
ENV A=1 B="2 3"
USER nobody
RUN <<EOF
USER root
EOF
FROM base
ENV C 4 5
ENV A=6
""",
    )
    user = found.last("USER")
    assert user is not None
    assert (user.text, user.line) == ("nobody", 3)
    assert found.variables == {"A": "6", "B": "2 3", "C": "4 5"}
    assert found.last("CMD") is None
