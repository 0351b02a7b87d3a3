"""The bill of materials of what is deployed, from the lock file: `make sbom` writes it.

CycloneDX 1.6 as JSON. Names, versions, hashes and who needs whom are the lock's; licences are those
that the installed packages state. What aiohttp carries inside is named by hand (`VENDORED`).
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"
BILL = ROOT / "docs" / "sbom.cdx.json"
SPACE = uuid.UUID("1f9d6a0c-3a5b-5d0e-9f55-6f1c2b7a9e10")
"""What makes the bill's serial number ours."""

VENDORED = {
    "package": ("aiohttp", "3.14.5"),
    "name": "llhttp",
    "version": "9.4.2",
    "source": "5558a7f5a05af9ecf744af91e5baefc436f93c9333e656c27ec253f9a6bbe178",
}
"""aiohttp's HTTP parser, which is C code inside of its wheels that no package names, and that no
audit of packages sees.

The wheels do not tell its version. It is LLHTTP_VERSION_MAJOR, _MINOR and _PATCH in
`vendor/llhttp/build/llhttp.h` of aiohttp's source archive, read from the file that the lock names
by the hash `source` (`pip download --no-deps --no-binary aiohttp aiohttp==VERSION`): to be read
anew with each new aiohttp.
"""


@dataclass(frozen=True)
class Package:
    """One package of a lock file; `needed_by` are the names that stand behind "via"."""

    name: str
    version: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]

    @property
    def purl(self) -> str:
        """The package's URL, which is also its reference within the bill."""
        return f"pkg:pypi/{self.name}@{self.version}"


def packages(lock: str) -> list[Package]:
    """Return what a lock file names, in its order."""
    found = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    return [_package(block) for block in found]


def _package(block: str) -> Package:
    name, version = re.findall(r"^([\w.-]+)==(\S+)", block)[0]
    _, _, via = block.partition("# via")
    return Package(
        name=name,
        version=version,
        hashes=tuple(sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))),
        needed_by=tuple(re.findall(r"^[ #]*([\w.-]+)", via, re.MULTILINE)),
    )


def bill(lock: str) -> dict[str, Any]:
    """Return the bill of materials of a lock file."""
    locked = packages(lock)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(SPACE, f"{name} {version}\n{lock}").urn,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": name,
                "name": name,
                "version": version,
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": [_component(each) for each in locked],
        "dependencies": [*_dependencies(name, locked)],
    }


def _component(package: Package) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        # One for each file that may be installed: the wheels of all platforms, and the source.
        "hashes": [{"alg": "SHA-256", "content": each} for each in package.hashes],
        "licenses": [*_licenses(package.name)],
        "purl": package.purl,
    }
    if package.name == VENDORED["package"][0]:
        component["components"] = [_vendored()]
    return component


def _vendored() -> dict[str, Any]:
    name, version = VENDORED["name"], VENDORED["version"]
    return {
        "type": "library",
        "bom-ref": _vendored_purl(),
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": "MIT"}}],
        "purl": _vendored_purl(),
    }


def _vendored_purl() -> str:
    return f"pkg:github/nodejs/{VENDORED['name']}@v{VENDORED['version']}"


def _licenses(name: str) -> Iterator[dict[str, Any]]:
    """The licence as the package's metadata has it: an expression, or words."""
    stated = metadata.metadata(name)
    if expression := stated.get("License-Expression"):
        yield {"expression": expression}
        return
    classifiers = [each for each in stated.get_all("Classifier", []) if "License ::" in each]
    for words in [each.rpartition(":: ")[2] for each in classifiers] or [stated.get("License", "")]:
        if words and "\n" not in words:
            yield {"license": {"name": words}}


def _dependencies(project: str, locked: list[Package]) -> Iterator[dict[str, Any]]:
    """Who needs whom: the project, each package, and what is vendored."""
    for name, ref in [(project, project), *((each.name, each.purl) for each in locked)]:
        needs = [each.purl for each in locked if name in each.needed_by]
        if name == VENDORED["package"][0]:
            needs.append(_vendored_purl())
        yield {"ref": ref, "dependsOn": needs}
    yield {"ref": _vendored_purl(), "dependsOn": []}


def text(lock: str) -> str:
    """Return the bill as it stands in its file."""
    return json.dumps(bill(lock), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    BILL.write_text(text(LOCK.read_text()))
    sys.stdout.write(f"{BILL.relative_to(ROOT)}\n")
