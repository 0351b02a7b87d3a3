"""Imports the module that a setting names, and says in one line why it cannot be imported."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import msgspec

from ..errors import StartError, StopAsked, text_of
from . import tracebacks

MEND = "mend it and start again"
INSTALL = (
    "add its package to `dependencies` in pyproject.toml, or to requirements.txt, and run"
    " `make lock`; or remove the import"
)


class Wanted(msgspec.Struct, frozen=True):
    """What is looked for: `what` is the setting that names it."""

    what: str
    name: str

    def __str__(self) -> str:
        return f"{self.what} {self.name!r}"

    @property
    def parts(self) -> tuple[str, str]:
        """The module's name, and the attribute's within it; either is "" if the name has none.

        A path is a module's name, too: the built-in runtimes take `src/index.handler`.
        """
        module, _, attribute = (
            self.name.partition(":") if ":" in self.name else self.name.rpartition(".")
        )
        return module.removeprefix("./").replace("/", "."), attribute


def import_module(wanted: Wanted, module: str, folder: Path) -> ModuleType:
    """Import a module of the function's. Raises StartError with file, line and what to do."""
    name = _below_hidden_folder(module, folder)
    try:
        return importlib.import_module(name)
    except (StopAsked, StartError):
        raise
    except SyntaxError as reason:
        raise StartError(f"{wanted}: {_unreadable(reason, name)}") from reason
    except ModuleNotFoundError as reason:
        if reason.name and f"{name}.".startswith(f"{reason.name}."):
            raise StartError(_not_there(wanted, module, reason.name, folder)) from reason
        raise StartError(_broken(wanted, reason, INSTALL)) from reason
    except BaseException as reason:
        raise StartError(_broken(wanted, reason, MEND)) from reason


def module_exists(wanted: Wanted, module: str, folder: Path) -> bool:
    """Return whether there is a module of that name. Its packages are imported. Raises StartError
    if one of them is broken.
    """
    module = _below_hidden_folder(module, folder)
    parent = module.rpartition(".")[0]
    if parent:
        if not module_exists(wanted, parent, folder):
            return False
        import_module(
            wanted, parent, folder
        )  # find_spec would, and let its errors pass as they are
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _below_hidden_folder(module: str, folder: Path) -> str:
    """Return how a module is imported: its name, unless a library's module hides its folder.

    Python takes its own module `code` for a folder `code/`. Such a folder's files are then imported
    by their own names, and find one another, as on an instance that has nothing but this folder.
    """
    top, _, rest = module.partition(".")
    own = folder / top
    if not rest or not top or not own.is_dir() or str(own) in _places(top):
        return module
    if str(own) not in sys.path:
        sys.path.insert(0, str(own))
    return rest


def _places(package: str) -> list[str]:
    """Return the folders in which a package's modules are looked for."""
    with suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(package)
        return list(spec.submodule_search_locations or ()) if spec else []
    return []


def _not_there(wanted: Wanted, module: str, missing: str, folder: Path) -> str:
    flag = wanted.what.replace("_", "-")
    text = f"{wanted}: there is no module {missing!r} in {folder}; "
    attribute = wanted.parts[1]
    path = module.replace(".", "/")
    for found in sorted(folder.glob(f"*/{path}.py")):
        place = found.relative_to(folder).with_suffix("")
        return f"{text}there is a {place}.py: say --{flag} {place}.{attribute}"
    return f"{text}create it, or name another with --{flag}"


def _broken(wanted: Wanted, reason: BaseException, advice: str) -> str:
    places = tracebacks.of_failure(reason)
    where = f"{places[-1].file} line {places[-1].line}: " if places else ""
    text = " ".join(text_of(reason).split())
    what = f"{type(reason).__name__}: {text}" if text else type(reason).__name__
    return f"{wanted}: {where}the import failed: {what}; {advice}"


def _unreadable(reason: SyntaxError, module: str) -> str:
    if reason.filename and reason.lineno:
        return f"{reason.filename} line {reason.lineno}: syntax error: {reason.msg}; {MEND}"
    # Python does not say which file has a NUL byte, as UTF-16 has many.
    for file in filter(None, (reason.filename, *_files(reason, module))):
        data = Path(file).read_bytes()
        if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            return f"{file}: is UTF-16 text, which Python does not read: save it as UTF-8"
        if b"\0" in data:
            line = data.count(b"\n", 0, data.index(b"\0")) + 1
            return f"{file} line {line}: has a NUL byte: remove it, and save the file as UTF-8"
        if reason.filename:
            return f"{file}: syntax error: {reason.msg}; {MEND}"
    return f"syntax error in module {module!r} or in one that it imports: {reason.msg}; {MEND}"


def _files(reason: BaseException, module: str) -> Iterator[str]:
    """Yield the files that were being read: those that the last of the user's lines imports, and
    the module's own.
    """
    names = [module]
    for place in tracebacks.of_failure(reason)[-1:]:
        with suppress(OSError, SyntaxError, ValueError):
            names = [*_imported(Path(place.file), place.line), module]
    for name in names:
        with suppress(Exception):  # an import of its own
            spec = importlib.util.find_spec(name)
            if spec and spec.origin and Path(spec.origin).is_file():
                yield spec.origin


def _imported(file: Path, line: int) -> Iterator[str]:
    """Yield the modules that a line of a file imports."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if getattr(node, "lineno", 0) != line:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield str(node.module)
