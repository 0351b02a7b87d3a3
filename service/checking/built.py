"""The package that is deployed: a folder, an archive, or one that is not built yet."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .unpacking import unpacked_zip

NOT_BUILT = {"build/code": "make bundle", "build/code.zip": "make zip"}
"""What makes a package, by the end of its path; it is made of the files beside `build`."""


@dataclass(frozen=True, slots=True)
class BuiltPackage:
    """What is deployed: `archive` if it is one, `maker` if it is still to be made."""

    archive: Path | None = None
    maker: str = ""
    path: Path | None = None
    """Of what is still to be made."""


NOTHING_ELSE = BuiltPackage()
"""Of a folder that is deployed as it is."""


class BuiltPackages:
    """Finds the packages that a file names. Within it what was unpacked is there."""

    def __init__(self, *, wants_built: bool = False) -> None:
        """With `wants_built` a package that is not there is a fault, as before a deployment."""
        self._wants_built = wants_built
        self._unpacked: Path | None = None
        self._found: dict[Path, BuiltPackage] = {}

    def __enter__(self) -> BuiltPackages:
        self._unpacked = Path(tempfile.mkdtemp(prefix="fc-check-"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._unpacked is not None:
            shutil.rmtree(self._unpacked, ignore_errors=True)

    def find(self, path: Path) -> Path | str:
        """Return the folder with the files that a path brings, or why there is none."""
        if path.is_dir():
            return path
        if path.is_file():
            return self._unpack(path)
        maker = NOT_BUILT.get("/".join(Path(os.path.normpath(path)).parts[-2:]))
        if maker and not self._wants_built:
            source = path.parent.parent.resolve()
            self._found[source] = BuiltPackage(maker=maker, path=path)
            return source
        advice = f"make it (`{maker or 'make bundle'}`), or name what is there with --code"
        return f"is neither a folder nor an archive: {advice}"

    def _unpack(self, path: Path) -> Path | str:
        assert self._unpacked is not None
        folder = (self._unpacked / str(len(self._found))).resolve()
        if told := unpacked_zip(path, folder):
            return told
        self._found[folder] = BuiltPackage(archive=path)
        return folder

    def of(self, folder: Path) -> BuiltPackage:
        """Return how the files of a folder are deployed."""
        return self._found.get(folder.resolve(), NOTHING_ELSE)
