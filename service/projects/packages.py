"""Packages that a function imports: those that are listed, and those that a runtime brought."""

from __future__ import annotations

import ast
import codecs
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..advice.finding import MAY_BREAK, Finding
from ..advice.sources import CodeFile
from ..errors import UsageError
from .old_project import OldProject

_BROUGHT = {
    **{name: name for name in ("oss2", "tablestore", "redis", "requests", "elasticsearch", "six")},
    **{name: name for name in ("numpy", "scipy", "matplotlib", "lxml", "cryptography", "certifi")},
    "PIL": "Pillow",
    "pymysql": "PyMySQL",
    "OpenSSL": "pyOpenSSL",
    "wand": "Wand",
    "scrapy": "Scrapy",
    "cv2": "opencv-python-headless",
    "fc2": "aliyun-fc2",
    "mns": "aliyun-mns",
    "aliyun": "aliyun-log-python-sdk",
    "aliyunsdkcore": "aliyun-python-sdk-core",
    "Crypto": "pycryptodome",
}
"""Modules that a built-in runtime has by itself, and the packages that they are of
(docs/from-the-built-in-runtime.md).
"""
_PLACES = ("--index-url", "--extra-index-url", "--find-links", "--trusted-host", "--no-index")
"""Options that say where packages are: they stay."""

_SPELLED = {"yaml": "pyyaml", "bs4": "beautifulsoup4", "dateutil": "python-dateutil"} | {
    "MySQLdb": "mysqlclient",
    "psycopg2": "psycopg2-binary",
    "sklearn": "scikit-learn",
    "jwt": "pyjwt",
    "dotenv": "python-dotenv",
}


def listed_packages(old: OldProject) -> list[str]:
    """Return the lines of the project's `requirements.txt`, those of files that it includes among
    them; without one, none. Raises UsageError for one that is no text.
    """
    for place in (old.code, old.folder):
        file = place / "requirements.txt"
        if file.is_file():
            return list(_lines(file, ()))
    return []


def _lines(file: Path, above: tuple[Path, ...]) -> Iterator[str]:
    for line in _text(file).replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        included = re.fullmatch(r"(?:-r|--requirement)[ =]*(\S+)", line)
        inner = file.parent / included[1] if included else file
        if included and inner.is_file() and inner.resolve() not in above:
            yield from _lines(inner, (*above, inner.resolve()))
        elif line:
            yield line


def _text(file: Path) -> str:
    """Return a file's text; `pip freeze >` of a Windows shell writes UTF-16, which pip reads."""
    try:
        data = file.read_bytes()
        is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if is_wide else "utf-8-sig").replace("\r\n", "\n")
    except OSError as reason:
        raise UsageError(f"{file} cannot be read: {reason.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no UTF-8 text: save it as such, or remove it") from None


def wanted_packages(old: OldProject, files: Sequence[CodeFile]) -> tuple[list[str], list[Finding]]:
    """Return the lines for the new `requirements.txt`, and what is to be said of them."""
    lines, found = list[str](), list[Finding]()
    for line in listed_packages(old):
        if line.startswith(_PLACES):
            lines.append(line)
        elif line.startswith(("-", ".", "/")):
            what = f"{line!r} of its requirements.txt leads to another file, and is left out"
            found.append(
                _told("requirements.txt", 1, what, "Write what it names into the new one.")
            )
        elif _plain(line) != "fc-event-service":
            lines.append(re.sub(r"\s+--hash[= ]\S+", "", line))
    if any("--hash" in line for line in listed_packages(old)):
        what = "its requirements.txt has hashes, which the packages that come with it have not"
        found.append(_told("requirements.txt", 1, what, "`make lock` locks all by their hashes."))
    names = {_plain(line) for line in lines}
    for module, file, line_number in _imported(old, files):
        package = _BROUGHT.get(module) or _of_sdk(module)
        if _plain(package or _SPELLED.get(module, module)) in names or _is_beside(module, names):
            continue
        if package:
            lines.append(package)
            names.add(_plain(package))
            what = f"{module} came with the built-in runtime; {package} is in requirements.txt now"
            found.append(_told(file, line_number, what, "Pin the version that you have tested."))
        else:
            what = f"{module} is imported, and requirements.txt names no package of that name"
            advice = "Add its package to requirements.txt, unless one that is there brings it."
            found.append(_told(file, line_number, what, advice))
    return lines, found


def _told(file: str, line: int, what: str, advice: str) -> Finding:
    return Finding(file, line, "package", MAY_BREAK, what, advice)


def _plain(requirement: str) -> str:
    """Return a requirement's name, as packages are compared."""
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    return re.sub(r"[-_.]+", "-", name[0].lower()) if name else ""


def _of_sdk(module: str) -> str:
    """Return the package of a module of the platform's SDKs, which are named alike."""
    if module.startswith("aliyunsdk"):
        return f"aliyun-python-sdk-{module.removeprefix('aliyunsdk')}"
    return module.replace("_", "-") if module.startswith("alibabacloud_") else ""


def _is_beside(module: str, names: set[str]) -> bool:
    """Return whether a listed package most likely has it: `google` of `google-cloud-...`."""
    plain = _plain(module)
    return any(plain == name.partition("-")[0] or f"python-{plain}" == name for name in names)


def _imported(old: OldProject, files: Sequence[CodeFile]) -> Iterator[tuple[str, str, int]]:
    """Yield each module of somebody else's, where it is imported first."""
    seen = {*sys.stdlib_module_names, "service", "fc_event_service", "__future__"}
    for file in files:
        for node in ast.walk(file.tree):
            for module in _names(node):
                if module not in seen and not _is_own(module, old.code, file):
                    yield module, file.name, getattr(node, "lineno", 1)
                seen.add(module)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.split(".")[0]


def _is_own(module: str, code: Path, file: CodeFile) -> bool:
    """Return whether a module lies in the code, or beside the file that imports it."""
    beside = (code / file.name).parent
    return any(
        (place / f"{module}.py").exists() or (place / module).exists() for place in (code, beside)
    )
