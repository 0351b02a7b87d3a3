"""The roots that packages are unpacked into: Debian as a runtime has it, and the image's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from service.bundling.interpreter import copy_interpreter
from service.bundling.refused import Refused
from tests.deploy.container import Failure

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("probe.py")
INCLUDED = {"bookworm": "python3,ca-certificates", "bullseye": "ca-certificates"}
"""What a release's root has beside the smallest one; Debian 12's Python is that of the runtime."""


def run(command: list[str], what: str, log: Path) -> None:
    """Run a command whose output goes to a file. Raises Failure with `what` to do."""
    # What the `make` was told that runs this is not for another one.
    environ = {**os.environ, "MAKEFLAGS": ""}
    with log.open("wb") as output:
        try:
            done = subprocess.run(command, stdout=output, stderr=output, cwd=ROOT, env=environ)
        except OSError as reason:
            raise Failure(f"{command[0]}: {reason.strerror}: {what}") from None
    if done.returncode:
        raise Failure(f"{command[0]} has failed, as {log} tells: {what}")


def debian(release: str, folder: Path) -> Path:
    """Return a root of that release; it is made once, which needs the network."""
    root = folder / release
    made = root.with_suffix(".made")
    if not made.exists():
        shutil.rmtree(root, ignore_errors=True)
        included = f"--include={INCLUDED[release]}"
        command = ["debootstrap", "--variant=minbase", included, release, str(root), *mirror()]
        print(f"making a root of Debian's {release} in {root}", file=sys.stderr)
        run(
            command,
            "install debootstrap, and look whether a Debian mirror is there",
            root.with_suffix(".log"),
        )
        made.touch()
    return root


def mirror() -> list[str]:
    """Return the mirror that this machine's apt has; [] for Debian's own."""
    apt = Path("/etc/apt")
    for path in (*apt.glob("sources.list.d/*"), apt / "sources.list"):
        text = path.read_text(errors="replace") if path.is_file() else ""
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        found = re.search(r"https?://\S+/debian/?(?=\s|$)", "\n".join(lines), re.MULTILINE)
        if found:
            return [found[0]]
    return []


def with_code(root: Path, archive: Path) -> None:
    """Unpack a code package to /code, with the modes that it has, and lay the probe beside it."""
    unpacked(archive, root / "code")
    shutil.copy(PROBE, root / "code")


def with_layer(root: Path, archive: Path | None) -> None:
    """Unpack a layer to /opt, or leave that empty."""
    unpacked(archive, root / "opt")


def unpacked(archive: Path | None, folder: Path) -> None:
    """Have in a folder what is in a zip, with the modes that it has, and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if archive:
        with zipfile.ZipFile(archive) as zipped:
            for entry in zipped.infolist():
                Path(zipped.extract(entry, folder)).chmod(entry.external_attr >> 16)


def with_python(root: Path, version: str, prefix: Path, log: Path) -> None:
    """Copy a Python to where a runtime has it."""
    folder = root / "var" / "fc" / "lang" / f"python{version}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        copy_interpreter(folder, version, prefix)
    except Refused as reason:
        raise Failure(str(reason)) from None
    # An installed Python has its byte code.
    command = [str(folder / "bin" / f"python{version}"), "-m", "compileall", "-q", str(folder)]
    run(command, f"name a whole Python {version}", log)


def image(archive: Path, folder: Path) -> Path:
    """Unpack an image's files."""
    root = folder / "image"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        tar.extractall(root, filter="fully_trusted")
    for name in ("proc", "dev", "tmp"):
        (root / name).mkdir(exist_ok=True)
    shutil.copy(PROBE, root / "code")
    return root


def needed_c_library(folder: Path) -> tuple[int, int]:
    """Return the newest version of the C library that a module of the folder was linked for."""
    found = (re.findall(rb"GLIBC_(\d+)\.(\d+)", path.read_bytes()) for path in modules(folder))
    return max(((int(a), int(b)) for each in found for a, b in each), default=(0, 0))


def modules(folder: Path) -> Iterator[Path]:
    """Yield compiled modules."""
    return (path for path in folder.rglob("*.so") if path.is_file())


def c_library(root: Path) -> tuple[int, int]:
    """Return the version of a root's C library."""
    data = (root / "lib" / "x86_64-linux-gnu" / "libc.so.6").resolve().read_bytes()
    return max((int(a), int(b)) for a, b in re.findall(rb"GLIBC_(\d+)\.(\d+)", data))


def size(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
