"""An image, as far as its Dockerfile tells it: what it begins with, what it starts and as whom."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..emulator.spec.dockerfile import DockerInstruction, listed_words
from ..emulator.spec.launch import CONTAINER, kind_of
from .checked import DOCKERFILE, CheckedFunction
from .finding import CheckFinding

IMAGE_PLATFORM = "linux/amd64"
"""What images are made for (docs/platform.md section 9)."""

PORT = 9000
"""Where an image has to listen, if the file does not say (docs/platform.md section 1.3)."""

ROOT = ("root", "0")


def container_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what of an image's Dockerfile would not start, or not serve."""
    if kind_of(function.props) != CONTAINER:
        return
    if function.image_file is None:
        yield function.unknown(
            "image",
            ("customContainerConfig", "image"),
            f"what it runs is not known: there is no {DOCKERFILE} beside the file",
            remedy=f"keep the {DOCKERFILE} that makes it there",
        )
        return
    found = [*_platform(function), *_start(function), *_ports(function), *_user(function)]
    yield from found
    if not found:
        base = function.image_file.base or "nothing"
        text = f"begins with {base}, starts {' '.join(function.command)[:60]}"
        yield function.fits("image", (), text, where=DOCKERFILE, source="9")


def _platform(function: CheckedFunction) -> Iterator[CheckFinding]:
    image = function.image_file
    if image and image.platform not in ("", IMAGE_PLATFORM) and "$" not in image.platform:
        yield function.fault(
            "image",
            (),
            f"is made for {image.platform}, and instances are {IMAGE_PLATFORM}",
            where=f"{DOCKERFILE}:{image.base_line}",
            remedy=f"write FROM --platform={IMAGE_PLATFORM}, or leave the platform out",
            source="9",
        )


def _start(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is wrong with ENTRYPOINT and CMD, unless the file says what is started."""
    image = function.image_file
    if image is None or any(function.config.get(key) for key in ("entrypoint", "command")):
        return
    said = image.last("ENTRYPOINT") or image.last("CMD")
    if said is not None and said.text:
        yield from _form(function, said)
    elif function.python.minor is not None:
        yield function.fault(
            "image",
            (),
            f"has neither CMD nor ENTRYPOINT: that of {image.base} is a Python without a program,"
            " which ends at once",
            where=f"{DOCKERFILE}:{image.base_line}",
            remedy='write CMD ["python", "-P", "-m", "fc_event_service"]',
            source="9",
        )
    else:
        yield function.unknown(
            "image",
            (),
            f"has neither CMD nor ENTRYPOINT: what {image.base} starts cannot be told here",
            where=DOCKERFILE,
        )


def _form(function: CheckedFunction, said: DockerInstruction) -> Iterator[CheckFinding]:
    where = f"{DOCKERFILE}:{said.line}"
    if listed_words(said.text) is not None:
        return
    if said.text.startswith("["):
        yield function.fault(
            "image",
            (),
            f"{said.word} is no JSON, so that a shell is given it, which does not find it",
            where=where,
            remedy='write double quotes: ["python", "-P", "-m", "fc_event_service"]',
        )
    elif not said.text.startswith("exec "):
        yield function.doubt(
            "image",
            (),
            f"{said.word} is run by a shell, which keeps SIGTERM to itself: the process is killed"
            " with the calls that it has",
            where=where,
            remedy=f'write it as a list, {said.word} ["...", "..."], or begin it with exec',
            source="6",
        )


def _ports(function: CheckedFunction) -> Iterator[CheckFinding]:
    image = function.image_file
    said = image.last("EXPOSE") if image else None
    if image is None or said is None:
        return
    told = [each.text for each in image.instructions if each.word == "EXPOSE"]
    ports = re.findall(r"(?<!\S)(\d+)(?:/tcp)?(?!\S)", " ".join(told))
    port = str(function.config.get("port", PORT))
    if ports and port not in ports:
        yield function.doubt(
            "port",
            ("customContainerConfig", "port"),
            f"the platform calls port {port}, the {DOCKERFILE} exposes {', '.join(ports)}",
            where=f"{DOCKERFILE}:{said.line}",
            remedy="set both to the port on which the server listens",
            source="1.3",
        )


def _user(function: CheckedFunction) -> Iterator[CheckFinding]:
    image = function.image_file
    said = image.last("USER") if image else None
    name = said.text.partition(":")[0] if said else ""
    if said is not None and name not in ROOT:
        return
    if said is None and function.python.minor is None:
        return  # what it begins with may name a user
    yield function.doubt(
        "image",
        (),
        "runs as root: whoever breaks into the function may change all of it",
        where=f"{DOCKERFILE}:{said.line}" if said else DOCKERFILE,
        remedy="write USER 65534:65534 above CMD",
    )
