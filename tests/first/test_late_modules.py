"""Modules that the start does without: who asks for them notices nothing."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

from service.first.late_modules import HELD, LATE
from tests.conftest import Serve
from tests.harness import request

ANNOTATED = {"http.cookies"} if sys.version_info < (3, 14) else set()
"""What is asked for its names by annotations, which were evaluated before 3.14."""

ASKED = {"dataclasses", "locale"}
"""What orjson and argparse ask for something, on some Pythons and where a language is set."""

NEEDED = {"ast", "bisect", "random", "typing_extensions", *ANNOTATED, *ASKED}
NOT_AT_START = sorted({*LATE, *HELD} - NEEDED)
"""Those that nothing needs to start."""


def run(code: str, folder: Path) -> list[str]:
    """What a fresh interpreter prints, a line each, in which `late` stands for a module of that
    name in `folder`.
    """
    start = f"""
        import sys
        sys.path.insert(0, {str(folder)!r})
        from service.first import late_modules
        from service.first.late_modules import free_places, hold_places
        late_modules.LATE = {{"late": ("name", "call"), "no_such_module": ()}}
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(start) + textwrap.dedent(code)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.splitlines()


def module(folder: Path, text: str) -> Path:
    """Write the module `late`, which says when it runs."""
    (folder / "late.py").write_text(f'print("runs")\n{text}\n')
    return folder


async def test_a_service_starts_without_what_few_need(serve: Serve) -> None:
    """The modules are not imported for a small event, and nothing stands in their place."""
    source = """
        def handler(event: list, context):
            import sys
            return [name for name in sys.modules if name in event]
    """
    event = str(NOT_AT_START).replace("'", '"').encode()
    assert (await serve(source, is_warm=False).ask(request(event))).json() == []


async def test_a_function_has_them_as_ever(serve: Serve) -> None:
    """It imports them itself, and what aiohttp, yarl, inspect and msgspec need them for works."""
    source = """
        import asyncio, copy, dataclasses, html, inspect, locale, tempfile, traceback
        import typing_extensions, urllib.request
        from aiohttp import BodyPartReader, WSMsgType, web
        from typing import Required, TypedDict
        from ipaddress import ip_address
        import aiohttp.helpers
        import msgspec
        from yarl import URL

        class Order(TypedDict, total=False):
            number: Required[int]

        class Files(web.FileResponse):
            pass

        @dataclasses.dataclass
        class Place:
            row: list

        names = {}
        exec("from asyncio import *", names)

        def told(failure):
            return "".join(traceback.format_exception(failure))

        def sent_cookie():
            response = web.Response()
            response.set_cookie("a", "b")
            return response.cookies["a"].OutputString()

        def handler(event, context):
            form = aiohttp.web_request
            proxies = aiohttp.helpers.getproxies()
            return [
                html.unescape("&amp;"),
                ip_address("127.0.0.1").is_loopback,
                tempfile.SpooledTemporaryFile.__name__,
                proxies == urllib.request.getproxies(),
                aiohttp.helpers.parse_content_type("text/plain; charset=utf-8")[1]["charset"],
                URL.build(scheme="http", host="b\\u00fccher.example").raw_host,
                sent_cookie(),
                inspect.getsource(Files).split()[0],
                "  | ValueError: one" in told(ExceptionGroup("two", [ValueError("one")])),
                str(inspect.signature(len)),
                msgspec.convert({"number": 1}, Order),
                typing_extensions.Required is Required,
                Files.__mro__[1] is web.FileResponse,
                web.WSMsgType is WSMsgType is aiohttp.http.WSMsgType,
                isinstance(object.__new__(BodyPartReader), form.BodyPartReader),
                msgspec.inspect.type_info(int) == msgspec.inspect.IntType(),
                hasattr(web, "nothing"),
                copy.deepcopy(Place([1])) == Place([1]),
                bool(locale.getencoding()),
                all(getattr(asyncio, name) is names[name] for name in asyncio.__all__),
                any(type(each).__name__ == "LateName" for each in names.values()),
            ]
    """
    assert (await serve(source).ask(request())).json() == [
        *("&", True, "SpooledTemporaryFile", True, "utf-8", "xn--bcher-kva.example"),
        *("a=b; Path=/", "class", True, "(obj, /)", {"number": 1}),
        *(True, True, True, True, True, False),
        *(True, True, True, False),
    ]


def test_what_a_package_takes_whole_has_all_its_names() -> None:
    """asyncio shows all that its call graphs have for its users."""
    for name in sorted(LATE.keys() & {"asyncio.graph"}):  # on Python 3.14 and later
        whole = importlib.import_module(name)
        assert sorted(LATE[name]) == sorted(whole.__all__)
    assert ("asyncio.graph" in LATE) == (find_spec("asyncio.graph") is not None)


async def test_no_file_of_the_function_takes_their_place(serve: Serve, tmp_path: Path) -> None:
    """Python's own module is meant, also if the working directory is another one by then."""
    (tmp_path / "html.py").write_text("raise RuntimeError('not this one')")
    source = """
        import os
        os.chdir("/")

        def handler(event, context):
            import html
            return html.escape("<")
    """
    assert (await serve(source).ask(request())).body == b"&lt;"


def test_a_module_runs_when_it_is_asked(tmp_path: Path) -> None:
    """What has imported it at the start has its names, and who imports it later has itself."""
    code = """
        hold_places(); hold_places()
        import late
        from late import call, name
        try:
            import no_such_module
        except ImportError:
            print("not there")
        free_places()
        print(call(2), name.real, late.other, late.name)
        import late as itself
        print(type(itself) is type(sys), itself is not late, itself.name)
        import copy
        print(copy.copy(name).real, hasattr(late, "nothing"), hasattr(late, "__wrapped__"))
    """
    folder = module(tmp_path, "name, other = 1, 3\ndef call(number): return number * 2")
    assert run(code, folder) == [
        *("not there", "runs", "4 1 3 1", "True True 1", "1 False False"),
    ]


def test_a_module_that_is_wanted_at_the_start_runs_then(tmp_path: Path) -> None:
    """A name that is not known to be taken is the module's own."""
    code = """
        hold_places()
        from late import Kind
        import late
        print(isinstance(Kind(), late.Kind), type(late) is type(sys))
        free_places()
        import late
        print(late.Kind is Kind)
    """
    assert run(code, module(tmp_path, "class Kind: pass")) == ["runs", "True True", "True"]


def test_a_part_of_a_package_can_be_imported_without_it(tmp_path: Path) -> None:
    """The package runs when it is asked for itself, and has its part then."""
    (tmp_path / "late").mkdir()
    module(tmp_path / "late", "").joinpath("late.py").rename(tmp_path / "late" / "__init__.py")
    (tmp_path / "late" / "part.py").write_text('print("part")')
    code = """
        hold_places()
        import late.part
        from late import name
        free_places()
        import late
        print(late.part.__name__)
    """
    assert run(code, tmp_path) == ["part", "runs", "late.part"]


def test_what_is_imported_already_is_left_alone(tmp_path: Path) -> None:
    """Nothing stands in its place."""
    code = """
        import late
        hold_places()
        print(sys.modules["late"] is late, type(late) is type(sys))
    """
    assert run(code, module(tmp_path, "")) == ["runs", "True True"]


def test_a_name_stands_for_a_class(tmp_path: Path) -> None:
    """It makes objects, tells them, and has subclasses and unions; a module that shows it has the
    class itself.
    """
    (tmp_path / "shown.py").write_text("from late import name\n")
    code = """
        late_modules.SHOW = ("shown", "no_such_module")
        hold_places()
        import shown
        from late import name
        print("taken")
        assert isinstance(name(), name) and not isinstance(1, name)
        class Below(name): pass
        assert issubclass(Below, name) and Below() | name == [1]
        free_places()
        from shown import name as itself
        import late
        print(Below.__mro__[1] is itself is late.name is shown.name, hasattr(shown, "nothing"))
        print((name | None) == (itself | None), (None | name) == (None | itself), name[int])
    """
    text = """
        class name:
            def __class_getitem__(cls, kind): return kind.__name__
            def __or__(self, other): return [1]
    """
    assert run(code, module(tmp_path, textwrap.dedent(text))) == [
        *("taken", "runs", "True False", "True True int"),
    ]


def test_a_module_that_shows_names_has_its_own_late_ones_too(tmp_path: Path) -> None:
    """What it finds by itself, it finds as before."""
    shown = "from late import name\ndef __getattr__(name): return name * 2\n"
    (tmp_path / "shown.py").write_text(shown)
    code = """
        late_modules.SHOW = ("shown",)
        hold_places()
        import shown
        free_places()
        print(shown.other, shown.name)
    """
    assert run(code, module(tmp_path, "name = 1")) == ["runs", "otherother 1"]
