"""Modules that the service's start does without: what imports them there keeps a name for what is
seldom asked for. Such a module is imported when it is asked, or by whoever imports it once the
start is over.
"""

from __future__ import annotations

import importlib
import sys
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_WEB_SOCKETS = (
    *("WS_CLOSED_MESSAGE", "WS_CLOSING_MESSAGE", "WS_KEY", "WebSocketError", "WebSocketReader"),
    *("WebSocketWriter", "WSCloseCode", "WSMessage", "WSMessageDecodeText"),
    *("WSMessageNoDecodeText", "WSMessageTextBytes", "WSMsgType", "ws_ext_gen", "ws_ext_parse"),
)

_SINCE_3_14: Mapping[str, Sequence[str]] = {
    "asyncio.graph": (  # for asyncio's users: all that it has for them
        *("FrameCallGraphEntry", "FutureCallGraph"),
        *("capture_call_graph", "format_call_graph", "print_call_graph"),
    )
}

LATE: Mapping[str, Sequence[str]] = {
    "_colorize": ("ANSIColors",),  # for traceback, which shows colours with it since Python 3.13
    "aiohttp._cookie_helpers": ("parse_cookie_header", "parse_set_cookie_headers"),  # for cookies
    "aiohttp.http_websocket": _WEB_SOCKETS,  # for what `aiohttp.http` shows
    "aiohttp.multipart": ("BodyPartReader", "MultipartReader"),  # for uploaded files
    "aiohttp.web_fileresponse": ("FileResponse",),  # for folders that aiohttp serves
    "aiohttp.web_ws": ("WSMsgType", "WebSocketReady", "WebSocketResponse"),  # for `aiohttp.web`
    "ast": (),  # for inspect, which reads text signatures with it
    "attr.validators": (),  # attrs has it at hand for its users
    "brotli": (),  # for aiohttp, which unpacks bodies with it
    "compression.zstd": ("ZstdDecompressor",),  # with this, too, on Python 3.14
    "copy": (),  # for contexts, which can be copied, and attrs
    "dataclasses": (),  # for what reads annotations, if they name one
    "email._encoded_words": ("decode_b",),  # for email.message, which aiohttp has a class of
    "email.header": (),  # with it
    "email.parser": ("HeaderParser",),  # for aiohttp, if a request's content type is asked for
    "email.policy": ("HTTP",),  # with it
    "hashlib": (),  # for files and web sockets that aiohttp serves
    "html": ("escape",),  # for pages that aiohttp makes
    "http.cookies": ("BaseCookie", "Morsel", "SimpleCookie"),  # for aiohttp
    "idna": (),  # for yarl, which writes hosts beyond ASCII with it
    "ipaddress": ("ip_address",),  # for yarl, too: hosts that are numbers
    "locale": (),  # for subprocess, which asks it for an encoding
    "mimetypes": (),  # for payloads that aiohttp makes of files
    "msgspec._json_schema": ("schema", "schema_components"),  # msgspec has it at hand for its users
    "msgspec.inspect": (),  # and this,
    "msgspec.toml": (),  # this
    "msgspec.yaml": (),  # and this
    "tempfile": ("SpooledTemporaryFile",),  # for aiohttp: uploaded files
    "textwrap": ("indent",),  # for traceback and aiohttp, which show what went wrong with it
    "tokenize": (),  # for traceback and inspect, which read source with it
    "typing_extensions": ("get_type_hints",),  # for msgspec, which reads a TypedDict with it
    "urllib.request": ("getproxies", "proxy_bypass"),  # for aiohttp's client
    **(_SINCE_3_14 if sys.version_info >= (3, 14) else {}),
}
"""The modules, with the names that are taken out of them by `from ... import`: functions and
classes, and what is only asked for its attributes.
"""

SHOW = ("aiohttp.http", "aiohttp.web", "asyncio", "msgspec.json")
"""Modules that have such names for their users: these get the things themselves."""

ZSTD = {"compression.zstd": "_zstd"}
"""What Python may be built without."""

HELD = ("bisect", "bz2", "lzma", "random", "shutil")
"""What these import in turn and the start does not."""

SAME = ("NotRequired", "Required")
"""What typing_extensions has from `typing` as it is."""


def hold_places() -> None:
    """Put something in the place of each late module, until `free_places` is called. What is
    imported already, or not there, is left alone. Done twice, it is done once.

    Later, too, they come from where they would have come from now: no file of the function's takes
    the place of a module that the service uses.
    """
    if any(isinstance(finder, AsAtTheStart) for finder in sys.meta_path):
        return
    find = cache(find_spec)
    for name, names in LATE.items():
        # Of a part its package is looked for: to find the part would import the package.
        top = ZSTD.get(name, name.partition(".")[0])
        if name not in sys.modules and (found := find(top)) is not None:
            spec = found if top == name else ModuleSpec(name, None)
            sys.modules[name] = LateModule(spec, names)
    sys.meta_path.insert(0, AsAtTheStart(tuple(sys.path)))


def free_places() -> None:
    """Let the late modules be imported by whoever imports them."""
    for name in LATE:
        module = sys.modules.get(name)
        if isinstance(module, LateModule):
            if module.parts():
                module.itself()
            else:
                del sys.modules[name]
    for name in SHOW:
        if name in sys.modules:
            show_themselves(sys.modules[name])


def show_themselves(module: ModuleType) -> None:
    """Let a module have what its late names stand for, each from when it is asked for."""
    late = {name: value for name, value in vars(module).items() if isinstance(value, LateName)}
    before: Any = vars(module).get("__getattr__")

    def get(name: str) -> Any:
        if name in late:
            setattr(module, name, late[name].itself())
            return vars(module)[name]
        if before is not None:
            return before(name)
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    for name in late:
        delattr(module, name)
    module.__getattr__ = get  # type: ignore[method-assign]


class AsAtTheStart:
    """Finds the late modules on the path that there was at the start. It is what the import system
    calls a meta path finder.
    """

    def __init__(self, path: Sequence[str]) -> None:
        self._path = path
        self._names = {*HELD, *(name for name in LATE if "." not in name)}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module is; None for what is not our business. The import system asks."""
        return PathFinder.find_spec(name, self._path) if name in self._names else None


class LateModule(ModuleType):
    """Stands in the place of a module while the service starts; what imports it then keeps this."""

    def __init__(self, spec: ModuleSpec, names: Sequence[str]) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec
        self._names = names
        if spec.submodule_search_locations is not None:
            self.__path__ = spec.submodule_search_locations  # its parts are imported without it

    def __getattr__(self, name: str) -> Any:
        if name == "__all__" and "." in self.__name__:  # for `import *` in its package
            package, _, part = self.__name__.rpartition(".")
            vars(sys.modules[package]).setdefault(part, self)
            return tuple(self._names)
        if name.startswith("__"):
            raise AttributeError(name)  # who looks through all modules wants nothing of it
        if self.__name__ == "typing_extensions" and name in SAME:
            return getattr(typing, name)
        if name in self._names and sys.modules.get(self.__name__) is self:
            return LateName(self, name)
        return getattr(self.itself(), name)

    def itself(self) -> ModuleType:
        """Return the module, which is imported if it is not yet."""
        if sys.modules.get(self.__name__) is not self:
            return importlib.import_module(self.__name__)
        del sys.modules[self.__name__]
        module = importlib.import_module(self.__name__)
        vars(module).update(self.parts())
        return module

    def parts(self) -> dict[str, ModuleType]:
        """Return those of its parts that were imported meanwhile."""
        return {name: part for name, part in vars(self).items() if isinstance(part, ModuleType)}


class LateName:
    """A name of a late module. It can be called, asked for its attributes, and for whether
    something is of its kind; where more is done with it, that is done with the thing itself.
    """

    __slots__ = ("_module", "_name")

    def __init__(self, module: LateModule, name: str) -> None:
        self._module = module
        self._name = name

    def itself(self) -> Any:
        """Return what has the name."""
        return getattr(self._module.itself(), self._name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.itself()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        if name in self.__slots__:
            raise AttributeError(name)  # it is being copied
        return getattr(self.itself(), name)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self.itself())

    def __subclasscheck__(self, kind: type) -> bool:
        return issubclass(kind, self.itself())

    def __mro_entries__(self, _bases: tuple[object, ...]) -> tuple[type, ...]:
        return (self.itself(),)

    def __getitem__(self, key: Any) -> Any:
        return self.itself()[key]

    def __or__(self, other: Any) -> Any:
        return self.itself() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.itself()
