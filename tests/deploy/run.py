"""`make verify-deploy`: what is deployed, driven as the platform drives it.

Builds the code package of each Python that a runtime has, one with an interpreter of its own, one
whose interpreter is in a layer, and the image; unpacks each into a root of its own; starts it there
as process 1, without any network but loopback; and takes it from its start to its end. Prints a
table. Each failure is one line that says what to do. Needs root, debootstrap and some minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from service.emulator.spec.read import read
from tests.deploy import roots
from tests.deploy.container import Deployed, Failure, leave_the_network
from tests.deploy.course import Times, lives
from tests.deploy.table import Row, table

ROOT = roots.ROOT
BUILT = ROOT / "build" / "verify"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MOST = {"code": 25_000_000, "image": 60 * 1024 * 1024}
"""Bytes of a zip, and of an image above its base."""


@dataclass(frozen=True)
class Package:
    """A code package: its Python, its runtime, Debian's release, and where the Python is from."""

    version: str
    runtime: str
    release: str
    python: str

    @property
    def name(self) -> str:
        """How it is named."""
        return f"{self.version} on {self.runtime}" + (", a layer" if self.in_layer else "")

    @property
    def in_layer(self) -> bool:
        """Whether its Python is in a layer."""
        return self.python == "layer"

    @property
    def archive(self) -> Path:
        """Where its zip is kept, beside which a layer's is."""
        return BUILT / f"code-{self.version}{'-layer' if self.in_layer else ''}.zip"


PACKAGES = (
    Package("3.11", "custom.debian12", "bookworm", "runtime"),
    Package("3.13", "custom.debian12", "bookworm", "copied"),
    Package("3.12", "custom.debian11", "bullseye", "copied"),
    Package("3.14", "custom.debian12", "bookworm", "own"),
    Package("3.14", "custom.debian12", "bookworm", "layer"),
)


def main() -> int:
    """Build, drive, tell; return the exit code."""
    flags = parsed()
    if os.geteuid() != 0:
        print(
            "verify-deploy: only root may make roots and namespaces: sudo make verify-deploy",
            file=sys.stderr,
        )
        return 2
    BUILT.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    jobs: list[tuple[str, Callable[[], Row]]] = []
    for package in PACKAGES:
        if not flags.only or package.version in flags.only:
            jobs += prepared(package.name, partial(code, package, flags), failures)
    if not flags.only or "image" in flags.only:
        jobs += prepared("image", partial(image, flags), failures)
    leave_the_network()
    rows = [row for name, job in jobs for row in driven(name, job, failures)]
    print(table(rows))
    for line in failures:
        print(f"verify-deploy: {line}", file=sys.stderr)
    return 1 if failures else 0


def parsed() -> argparse.Namespace:
    """Return the flags."""
    parser = argparse.ArgumentParser(prog="make verify-deploy", description=__doc__)
    parser.add_argument("--only", action="append", help="a Python's version, or image")
    parser.add_argument("--python", action="append", default=[], metavar="3.12=PREFIX")
    parser.add_argument("--build", default="", help="builds the image of the folder named last")
    parser.add_argument("--export", default="", help="writes the built image's files as a tar")
    return parser.parse_args()


def prepared(
    name: str, build: Callable[[], Callable[[], Row]], failures: list[str]
) -> list[tuple[str, Callable[[], Row]]]:
    """Build while there is a network; return what drives the result, if there is one."""
    print(f"building {name}", file=sys.stderr)
    try:
        return [(name, build())]
    except Failure as reason:
        failures.append(f"{name}: {reason}")
        return []


def driven(name: str, job: Callable[[], Row], failures: list[str]) -> list[Row]:
    """Drive it; return its row of the table."""
    print(f"driving {name}", file=sys.stderr)
    try:
        return [job()]
    except Failure as reason:
        failures.append(f"{name}: {reason}; its log is {log_of(name)}")
    except (ConnectionError, asyncio.IncompleteReadError, TimeoutError) as reason:
        failures.append(f"{name}: no answer ({reason!r}): look into its log, {log_of(name)}")
    return []


def log_of(name: str) -> Path:
    """Where an instance's lines go."""
    return BUILT / f"{name.replace(' ', '-')}.log"


def drive(deployed: Deployed) -> Times:
    """Take an instance through its lives. Raises Failure."""
    deployed.log.write_bytes(b"")
    times = asyncio.run(lives(deployed))
    lines = deployed.log.read_text(errors="replace").splitlines()
    wrong = [line for line in lines if "[ERROR]" in line or line.startswith("Traceback")]
    if wrong:
        raise Failure(f"its log has an error: {wrong[0]}")
    return times


# --- code packages


def code(package: Package, flags: argparse.Namespace) -> Callable[[], Row]:
    """Build a code package twice and unpack it; return what drives it. Raises Failure."""
    prefix = prefix_of(package, flags) if package.python != "runtime" else Path()
    same = bundled(package, prefix)
    log = BUILT / f"{package.version}.build.log"
    base = roots.debian(package.release, BUILT)
    if package.python == "copied":
        roots.with_python(base, package.version, prefix, log)
    return lambda: row_of_code(package, base, same)


def prefix_of(package: Package, flags: argparse.Namespace) -> Path:
    """Return the folder of the Python that is copied. Raises Failure."""
    named = dict(each.split("=", 1) for each in flags.python)
    folder = Path(named.get(package.version) or "/nowhere")
    if not (folder / "bin" / f"python{package.version}").exists():
        raise Failure(
            f"there is no Python {package.version} here: name its folder,"
            f" ARGS='--python {package.version}=FOLDER', or leave it out with --only"
        )
    return folder


def bundled(package: Package, prefix: Path) -> bool:
    """Make the zip twice, with other rights the second time; return whether both are the same."""
    own = {"own": str(prefix), "layer": "layer"}.get(package.python, "")
    same = True
    if package.in_layer:  # first: its Python compiles the package
        wanted = ["layer", f"INTERPRETER={prefix}"]
        same = made_twice(package, "layer.zip", wanted, layer_of(package))
    return made_twice(package, "code.zip", ["zip", f"INTERPRETER={own}"], package.archive) and same


def made_twice(package: Package, name: str, wanted: list[str], archive: Path) -> bool:
    """Have `make` make a zip twice, keep it, and return whether both are the same."""
    found = []
    for mask in (0o022, 0o077):
        command = ["make", "-s", *wanted, f"BUNDLE={package.version}"]
        before = os.umask(mask)
        try:
            roots.run(command, "mend what it says", BUILT / f"{package.version}.build.log")
        finally:
            os.umask(before)
        found.append((ROOT / "build" / name).read_bytes())
    shutil.copy(ROOT / "build" / name, archive)
    return found[0] == found[1]


def layer_of(package: Package) -> Path:
    """Return where its layer's zip is kept."""
    return package.archive.with_name(f"layer-{package.version}.zip")


def row_of_code(package: Package, base: Path, same: bool) -> Row:
    """Drive a code package, unpacked to /code of its root. Raises Failure."""
    archive = package.archive
    roots.with_code(base, archive)
    roots.with_layer(base, layer_of(package) if package.in_layer else None)
    needed, there = roots.needed_c_library(base / "code" / "python"), roots.c_library(base)
    if needed > there:
        raise Failure(f"a package needs glibc {needed}, the runtime has {there}: lock an older one")
    times = drive(
        Deployed(
            package.name, base, command_of(package), environ_of("s.yaml"), log=log_of(package.name)
        )
    )
    if not same:
        raise Failure("two builds differ: compare build/code.zip with that of another `make zip`")
    size = archive.stat().st_size
    layer = layer_of(package).stat().st_size if package.in_layer else 0
    if size + layer > MOST["code"]:
        raise Failure(
            f"{archive} has {size + layer} bytes, over 25 MB: leave out what is not imported"
        )
    unpacked = roots.size(base / "code") - roots.PROBE.stat().st_size
    return Row(package.name, size, unpacked, times, origin(package, base))


def command_of(package: Package) -> list[str]:
    """Return the command: of s.yaml for its runtime, else what starts without any."""
    (function,) = read(ROOT / "s.yaml", code=ROOT, environ={}).functions.values()
    return [*function.command] if package.python == "runtime" else ["/code/bootstrap"]


def environ_of(spec: str) -> dict[str, str]:
    """Return the platform's variables and the file's."""
    (function,) = read(ROOT / spec, code=ROOT, environ={}).functions.values()
    told = dict(function.props["environmentVariables"])
    return {
        "PATH": PATH,
        "FC_FUNCTION_HANDLER": function.handler,
        "FC_FUNCTION_NAME": function.name,
        "FC_FUNCTION_MEMORY_SIZE": str(function.memory),
        "FC_CUSTOM_LISTEN_PORT": str(function.port),
        "FC_FUNC_CODE_PATH": "/code",
        **told,
    }


def origin(package: Package, base: Path) -> str:
    """Return a note about where the Python of a proof was from."""
    if package.python == "runtime":
        return f"Debian's own, glibc {'.'.join(map(str, roots.c_library(base)))}"
    folder, place = {
        "own": (base / "code" / "interpreter", "in the package"),
        "layer": (base / "opt" / "interpreter", "in a layer"),
        "copied": (
            base / "var" / "fc" / "lang" / f"python{package.version}",
            "copied into the runtime's place",
        ),
    }[package.python]
    if package.in_layer:
        size, unpacked = layer_of(package).stat().st_size, roots.size(folder)
        place += f" of {size / 1e6:.1f} MB, {unpacked / 1e6:.1f} MB unpacked"
    linked = (folder / "bin" / f"python{package.version}.linked").exists()
    return place + (", with a C library of its own" if linked else "")


# --- the image


def image(flags: argparse.Namespace) -> Callable[[], Row]:
    """Build and unpack the image; return what drives it. Raises Failure."""
    log = BUILT / "image.build.log"
    roots.run([*shlex.split(flags.build), "."], "BUILD names the tool that builds images", log)
    archive = BUILT / "image.tar"
    with archive.open("wb") as output:
        done = subprocess.run(flags.export, shell=True, stdout=output)
    if done.returncode:
        raise Failure(
            "EXPORT has failed: it writes the files of the image that BUILD made as a tar"
        )
    root = roots.image(archive, BUILT)
    archive.unlink()
    return lambda: row_of_image(root)


def row_of_image(root: Path) -> Row:
    """Drive the image as its Dockerfile says. Raises Failure."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    told = dict(each.split("=", 1) for each in re.findall(r"^ENV (.*)", text, re.M)[-1].split())
    (user,) = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    command = re.findall(r'"([^"]+)"', re.findall(r"^CMD (.*)", text, re.MULTILINE)[-1])
    environ = environ_of("s.image.yaml") | told
    above = sum(roots.size(root / each) for each in ("packages", "code"))
    if above > MOST["image"]:
        raise Failure(f"it has {above} bytes above its base, over 60 MiB: lock less")
    name = "image"
    times = drive(Deployed(name, root, command, environ, user=user, log=log_of(name)))
    return Row("image, 3.14", 0, above, times, "its base's; size is above the base")


if __name__ == "__main__":
    sys.exit(main())
