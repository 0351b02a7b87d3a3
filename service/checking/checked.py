"""A function as the rules look at it, and how they say what they have found."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..calls.imports import Wanted
from ..emulator.disagreements import service_flags, settings_on_instance
from ..emulator.spec.dockerfile import ImageFile, read_image_file
from ..emulator.spec.document import FilePlace, at, section
from ..emulator.spec.extending import Sources
from ..emulator.spec.launch import CONTAINER, CUSTOM, PYTHON, config_of, kind_of
from ..emulator.spec.model import DeployedFunction
from ..emulator.spec.placed import PlacedFunction
from ..errors import StartError
from ..settings.load import Loaded
from .built import NOTHING_ELSE, BuiltPackage
from .code_files import CodeFiles, top_names
from .finding import DOUBT, FAULT, FITS, UNKNOWN, CheckFinding, platform_section
from .images import Interpreter, interpreter
from .lock import LockFile
from .measured import Measured

DOCKERFILE = "Dockerfile"
BOOTSTRAP = "/code/bootstrap"
"""What is started if there is no command (docs/platform.md section 9)."""


@dataclass(frozen=True)
class CheckedFunction:
    """A function of the file, its code, and what was measured of it."""

    placed: PlacedFunction
    sources: Sources
    folder: Path
    """The file's own: other files are shown as they are named from here."""
    lock: LockFile | None = None
    measured: Measured | None = None
    """None if nothing was to be run."""
    events: Sequence[tuple[str, int]] = ()
    """Files with events, and their sizes in bytes."""
    package: BuiltPackage = NOTHING_ELSE
    """How its files are deployed."""
    code: CodeFiles = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", CodeFiles(self.placed.deployed.code))

    @property
    def name(self) -> str:
        """The function's name."""
        return self.placed.deployed.name

    @property
    def runtime(self) -> str:
        """The runtime's name."""
        return self.placed.deployed.runtime

    @property
    def props(self) -> Mapping[str, Any]:
        """What the file says, in the platform's types."""
        return self.placed.props

    @property
    def config(self) -> Mapping[str, Any]:
        """The part that has the command, the port and the health check."""
        return section(self.props, self.config_key)

    @property
    def config_key(self) -> str:
        """The key of that part."""
        return config_of(self.props)

    @property
    def variables(self) -> Mapping[str, Any]:
        """The variables of the file."""
        return section(self.props, "environmentVariables")

    @cached_property
    def image_file(self) -> ImageFile | None:
        """The Dockerfile beside the file, None if it is no image or there is none."""
        if kind_of(self.props) != CONTAINER:
            return None
        return read_image_file(self.code.folder / DOCKERFILE)

    @cached_property
    def python(self) -> Interpreter:
        """The Python that runs it."""
        return interpreter(self.props, self.code.folder, self.image_file)

    @cached_property
    def is_ours(self) -> bool:
        """True if its command runs this service, not a server of somebody else's."""
        if kind_of(self.props) == PYTHON:
            return False
        return service_flags(self.command) is not None or self._script_starts_it

    @property
    def _script_starts_it(self) -> bool:
        """True if the command is a script of the code that runs the service, such as the
        `bootstrap` that `make bundle` makes.
        """
        config = self.config
        program = str((config.get("command") or [BOOTSTRAP])[0])
        file = self.file_in_code(program) if kind_of(self.props) == CUSTOM else None
        if file is not None and self.package.maker and not file.exists():
            return program == BOOTSTRAP
        try:
            text = file.read_bytes()[:65536] if file is not None else b""
        except OSError:
            return False
        return any(each in text for each in (b"-m fc_event_service", b"-m service", b"bin/fc-ev"))

    @cached_property
    def command(self) -> Sequence[str]:
        """What starts an instance; of an image what the file or the Dockerfile beside it says, and
        nothing if they do not.
        """
        if kind_of(self.props) != CONTAINER:
            return self.placed.deployed.command
        parts = [self.config.get(key) or [] for key in ("entrypoint", "command")]
        written = [str(each) for part in parts for each in part]
        return written or (self.image_file.command if self.image_file else []) or [""]

    @cached_property
    def loaded(self) -> Loaded | None:
        """The settings of the service on an instance, None if it is not run or refuses them."""
        return None if self.refusal or not self.is_ours else settings_on_instance(self._deployed)

    @cached_property
    def refusal(self) -> str:
        """Why the service does not start by its settings, "" if it does."""
        try:
            if self.is_ours:
                settings_on_instance(self._deployed)
        except StartError as reason:
            return str(reason)
        return ""

    @property
    def _deployed(self) -> DeployedFunction:
        """The function as an instance has it: variables of its image count, too."""
        deployed, image = self.placed.deployed, self.image_file
        if image is None:
            return deployed
        return replace(deployed, environment={**image.variables, **deployed.environment})

    @cached_property
    def handlers(self) -> tuple[tuple[str, str], ...]:
        """The module and the name of each handler that is looked for, the first first."""
        if self.loaded is not None:
            named = self.loaded.settings.handlers
        else:
            named = (self.placed.deployed.handler,) if kind_of(self.props) == PYTHON else ()
        return tuple(parts for each in named if all(parts := Wanted("handler", each).parts))

    @cached_property
    def handler_file(self) -> Path | None:
        """The file of the first handler whose module is there, if it is among the code."""
        files = (self.module_file(module) for module, _name in self.handlers)
        return next(filter(None, files), None)

    def module_file(self, module: str) -> Path | None:
        """Return the file of a module in the code, or in a folder of it that PYTHONPATH names."""
        folders = (self.code, *(CodeFiles(each) for each in self.python_path if each is not None))
        return next(filter(None, (each.module(module) for each in folders)), None)

    @cached_property
    def python_path(self) -> tuple[Path | None, ...]:
        """The folders of PYTHONPATH, None for each that is not in the code."""
        listed = str(self.variables.get("PYTHONPATH", "")).split(":")
        return tuple(self.file_in_code(each) for each in listed if each)

    def file_in_code(self, path: str, *, is_argument: bool = False) -> Path | None:
        """Return where a path lies in the code; None if it names something else: a program on PATH,
        a file of the image. An argument may be a file's name without a folder.
        """
        if path == "/code" or path.startswith("/code/"):
            return self.code.folder / path.removeprefix("/code").lstrip("/")
        if path.startswith("/") or not (is_argument or "/" in path):
            return None
        return self.code.folder / path

    @property
    def handler_is_async(self) -> bool:
        """True if the handler is known to be `async def`: no thread runs it."""
        names = self.handler_file and self.module_names(self.handler_file)
        nodes = [(names or {}).get(name.partition(".")[0]) for _module, name in self.handlers]
        return any(isinstance(node, ast.AsyncFunctionDef) for node in nodes)

    def module_names(self, file: Path) -> Mapping[str, Any] | None:
        """Return what one of its modules defines, None if that cannot be told."""
        tree = self.code.tree(file)
        return None if tree is None else top_names(tree)

    # --- findings

    def fault(self, rule: str, key: FilePlace, text: str, **more: str) -> CheckFinding:
        """Return what would not be deployed, or not serve. `more` are `remedy`, `source` (the
        number of a section of docs/platform.md) and `where`.
        """
        return self._found(FAULT, rule, key, text, **more)

    def doubt(self, rule: str, key: FilePlace, text: str, **more: str) -> CheckFinding:
        """Return what works, and hardly as it is meant."""
        return self._found(DOUBT, rule, key, text, **more)

    def unknown(self, rule: str, key: FilePlace, text: str, **more: str) -> CheckFinding:
        """Return what cannot be told here."""
        return self._found(UNKNOWN, rule, key, text, **more)

    def fits(self, rule: str, key: FilePlace, text: str, **more: str) -> CheckFinding:
        """Return what is as it should be."""
        return self._found(FITS, rule, key, text, **more)

    def _found(
        self,
        level: str,
        rule: str,
        key: FilePlace,
        text: str,
        remedy: str = "",
        source: str = "",
        where: str = "",
    ) -> CheckFinding:
        position = where or position_of(self.sources, (*self.placed.place, *key), self.folder)
        named = platform_section(source) if source else ""
        return CheckFinding(level, rule, text, at(key), position, remedy, named)


def position_of(sources: Sources, place: FilePlace, folder: Path) -> str:
    """Return `FILE:LINE` of what stands at a place, or of what is nearest above it."""
    found = sources.position(place).rpartition(":")[0]
    return found.removeprefix(f"{folder}/")
