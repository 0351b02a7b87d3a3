"""The user's code is found, checked once, and told in one line what is wrong with it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.calls.function import HOOKS, Handlers
from service.calls.loader import load
from service.errors import StartError, StopAsked

Write = Callable[..., Path]
PLAIN = """
    def handler(event, context):
        return event
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A function's folder. What is imported from it is forgotten after the test."""
    path, modules = sys.path[:], dict(sys.modules)
    sys.path[:] = [entry for entry in path if not (Path(entry) / "index.py").exists()]
    sys.modules.pop("index", None)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        file = getattr(sys.modules[name], "__file__", None) or str(tmp_path)
        if file.startswith(str(tmp_path)):
            del sys.modules[name]
    sys.modules.update(modules)


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes a module into the function's folder."""

    def file(source: str, name: str = "index.py") -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return file


def told(folder: Path, *names: str, **hooks: str) -> str:
    """The one line that says why the code cannot be served."""
    with pytest.raises(StartError) as caught:
        load(names or ("index.handler",), folder, **hooks)
    assert caught.value.exit_code == 3
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("index.handler", "index.py"),
        ("index:handler", "index.py"),
        ("pkg.mod.handler", "pkg/mod.py"),
        ("pkg.mod:handler", "pkg/mod.py"),
        ("index.app.run", "index.py"),
        ("index:app.run", "index.py"),
    ],
)
def test_a_handler_is_named_in_both_forms(folder: Path, write: Write, name: str, file: str) -> None:
    """`module.attr` and `pkg.mod:attr` find a function, or a method of an object with a colon."""
    write(
        PLAIN + "\n    class App:\n        run = staticmethod(handler)\n\n    app = App()\n", file
    )
    if name == "index.app.run":  # the dotted form names a module: index.app
        assert "there is no module 'index.app'" in told(folder, name)
        return
    found = load([name], folder).handler
    assert found.name == name
    assert found.call(b"e", None) == b"e"
    assert found.kind == "sync"


def test_the_functions_folder_comes_first_on_the_path(folder: Path, write: Write) -> None:
    """A folder that is already on the path is put before anything else."""
    write(PLAIN)
    (folder / "other").mkdir()
    (folder / "other" / "index.py").write_text("")
    sys.path[:0] = [str(folder / "other"), str(folder)]
    assert load(["index.handler"], folder).handler.name == "index.handler"
    path = sys.path[:]
    load(["index.handler"], folder)
    assert sys.path == path


@pytest.mark.parametrize(
    "platform",
    [
        "handler",
        "",
        ".",
        "my handler",
        "no.handler",
        "index.main",
        ".index.handler",
        "a..b",
        "os.x.y",
    ],
)
def test_a_platform_value_that_names_nothing_is_passed_over(
    folder: Path, write: Write, platform: str
) -> None:
    """FC_FUNCTION_HANDLER may be any text: where it names no function, the next name is served."""
    write(PLAIN)
    assert load([platform, "index.handler"], folder).handler.name == "index.handler"


@pytest.mark.parametrize(
    ("platform", "why"),
    [
        ("index.hander", "index.py has no 'hander'"),
        ("idex.handler", "there is no module 'idex' in"),
        ("handler", ""),
    ],
)
def test_a_platform_value_that_is_mistyped_is_told(
    folder: Path, write: Write, caplog: pytest.LogCaptureFixture, platform: str, why: str
) -> None:
    """What looks like module.function and is not found is a line of the log, with what is served;
    the platform's own "handler" is not.
    """
    write(PLAIN)
    load([platform, "index.handler"], folder)
    told = f"FC_FUNCTION_HANDLER {platform!r}: "
    assert (told in caplog.text) == bool(why)
    assert why in caplog.text
    assert ("'index.handler' is served" in caplog.text) == bool(why)


@pytest.mark.parametrize("platform", ["index.main", "pkg.mod.main", "pkg.mod:main"])
def test_a_platform_value_that_resolves_is_served(
    folder: Path, write: Write, platform: str
) -> None:
    """FC_FUNCTION_HANDLER that names a function wins over the settings."""
    for file in ("index.py", "pkg/mod.py"):
        write("def main(event, context): pass\ndef handler(event, context): pass\n", file)
    assert load([platform, "index.handler"], folder).handler.name == platform


@pytest.mark.parametrize("broken", ["pkg/__init__.py", "pkg/mod.py"])
def test_a_platform_value_that_is_broken_is_an_error(
    folder: Path, write: Write, broken: str
) -> None:
    """A module that is found and cannot be imported is told, and not passed over."""
    write(PLAIN)
    write(PLAIN, "pkg/mod.py")
    path = write("raise RuntimeError('no database')\n", broken)
    line = told(folder, "pkg.mod.handler", "index.handler")
    assert line == (
        f"handler 'pkg.mod.handler': {path} line 1: the import failed: RuntimeError: no database;"
        " mend it and start again"
    )


@pytest.mark.parametrize("name", ["handler", "index.", ".handler", "index:", ":handler"])
def test_a_name_without_module_or_function_is_told(folder: Path, name: str) -> None:
    """A handler's name has two parts."""
    assert told(folder, name).startswith(f"handler {name!r}: write it as module.function")


def test_a_missing_module_is_told(folder: Path) -> None:
    """Without a file there is a line that names the folder and the flag."""
    assert told(folder) == (
        f"handler 'index.handler': there is no module 'index' in {folder};"
        " create it, or name another with --handler"
    )


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        (
            "import no_such_lib",
            1,
            "No module named 'no_such_lib'; add its package to `dependencies`",
        ),
        ("\nfrom json import nope", 2, "ImportError: cannot import name 'nope'"),
        ("x = 1\nx / 0", 2, "ZeroDivisionError: division by zero; mend it and start again"),
        ("raise SystemExit(7)", 1, "SystemExit: 7; mend it"),
        ("import json\njson.loads('{')", 2, "JSONDecodeError: Expecting property name"),
        ("raise ValueError('two\\nlines')", 1, "ValueError: two lines; mend it"),
    ],
    ids=["module", "name", "exception", "exit", "library", "lines"],
)
def test_an_import_that_fails_is_told_with_file_and_line(
    folder: Path, write: Write, source: str, line: int, why: str
) -> None:
    """The line names the user's file and line, the error, and what to do."""
    path = write(source)
    message = told(folder)
    assert message.startswith(f"handler 'index.handler': {path} line {line}: the import failed: ")
    assert why in message


def test_a_syntax_error_is_told_with_file_and_line(folder: Path, write: Write) -> None:
    """A file that is no Python is named with the line."""
    path = write("x = 1\ndef handler(:\n")
    assert told(folder) == (
        f"handler 'index.handler': {path} line 2: syntax error: invalid syntax;"
        " mend it and start again"
    )


def test_a_signal_during_the_import_is_no_failure_of_it(folder: Path, write: Write) -> None:
    """What a signal's handler raises passes: it is not the module's."""
    write("from service.errors import StopAsked\nraise StopAsked\n")
    with pytest.raises(StopAsked):
        load(["index.handler"], folder)


@pytest.mark.parametrize(
    ("source", "has"),
    [
        ("def main(event, context): pass\ndef _own(): pass\nimport json", "it has main"),
        ("x = 1", "it has no functions"),
        ("handler = None", "it has no functions"),
    ],
)
def test_a_missing_function_is_told_with_those_there_are(
    folder: Path, write: Write, source: str, has: str
) -> None:
    """The line lists the functions that the module has."""
    path = write(source)
    assert told(folder) == (
        f"handler 'index.handler': {path} has no 'handler' ({has});"
        " correct the name or add the function"
    )


def test_a_missing_function_of_a_package_without_a_file_is_told(folder: Path) -> None:
    """A folder without `__init__.py` is named by its module's name."""
    (folder / "bare").mkdir()
    assert told(folder, "bare.handler").startswith("handler 'bare.handler': bare has no 'handler'")


def test_a_handlers_file_that_another_module_hides_is_told(folder: Path, write: Write) -> None:
    """A file named like a module that was imported before it needs another name."""
    path = write(PLAIN, "json.py")
    line = told(folder, "json.main")
    assert f"was imported instead of {path}" in line
    assert line.endswith("give the file another name")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("class handler: pass", "is a class, not a function"),
        ("handler = 7", "is int, not a function"),
        ("def handler(event): pass", "line 1 takes (event); a handler takes (event, context)"),
        ("def handler(e, c, x): pass", "takes (e, c, x); a handler takes (event, context)"),
        ("def handler(e, c, *, x): pass", "takes (e, c, *, x)"),
        ("def handler(): pass", "takes (); a handler"),
        ("\n\ndef handler(event, context): yield b''", "line 3 is a generator; Function Compute"),
        ("handler = max", "has no signature that can be read; wrap it"),
        (
            "from service import EventStream\ndef handler(event: EventStream, context): pass",
            "line 2 is a plain function, which cannot read an EventStream: write `async def`",
        ),
        ("def handler(event: complex, context): pass", "an event cannot become complex"),
        ("def handler(event: 'Nope', context): pass", "the annotation 'Nope' cannot be resolved"),
        ("def handler(event: 'list[', context): pass", "the annotation 'list[' cannot be resolved"),
        ("from functools import partial\nhandler = partial(lambda e: e)", "line 2 takes (e)"),
        (
            "class A:\n  def __call__(self): pass\nclass B(A): pass\nhandler = B()",
            "line 2 takes ()",
        ),
        (
            "class A:\n  def __call__(self, e, c):\n    yield 1\nhandler = A()",
            "line 2 is a generator",
        ),
    ],
)
def test_a_function_that_cannot_be_a_handler_is_told(
    folder: Path, write: Write, source: str, why: str
) -> None:
    """Each kind of wrong handler has a line that says where it is and what a handler is."""
    path = write(source)
    line = told(folder)
    assert why in line
    assert line.startswith("handler 'index.handler'")
    assert ("line" in why) <= (str(path) in line)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("async def handler(event, context): return event", "async"),
        ("def handler(event, context): return event", "sync"),
        ("async def handler(event, context): yield event", "stream"),
        ("def handler(event, context, extra=1): return event", "sync"),
        ("def handler(*arguments): return arguments[0]", "sync"),
        ("handler = lambda event, context: event", "sync"),
        ("class A:\n  def __call__(self, e, c): return e\nhandler = A()", "sync"),
        ("class A:\n  async def __call__(self, e, c): return e\nhandler = A()", "async"),
        ("class A:\n  async def __call__(self, e, c): yield e\nhandler = A()", "stream"),
        ("class A:\n  async def run(self, e, c): return e\nhandler = A().run", "async"),
        (
            "from functools import partial\n"
            "async def f(x, event, context): return event\n"
            "handler = partial(f, 1)",
            "async",
        ),
        (
            "from functools import wraps\n"
            "def d(f):\n  @wraps(f)\n  def w(*a): return f(*a)\n  return w\n"
            "@d\nasync def handler(event, context): return event",
            "sync",
        ),
        (
            "from functools import wraps\n"
            "def d(f):\n  @wraps(f)\n  async def w(*a): return await f(*a)\n  return w\n"
            "@d\nasync def handler(event, context): return event",
            "async",
        ),
        ("from functools import lru_cache\n@lru_cache\ndef handler(e, c): return e", "sync"),
    ],
)
def test_each_kind_of_handler_is_recognised(
    folder: Path, write: Write, source: str, kind: str
) -> None:
    """Functions, objects, methods, partials and decorated functions are what their code is."""
    write(source)
    found = load(["index.handler"], folder).handler
    assert found.kind == kind
    assert found.decode is not None
    assert found.decode(b"{}") == b"{}"


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize(
    ("source", "event"),
    [
        ("def handler(event: str, context): pass", "{}"),
        ("def handler(event: dict, context): pass", {}),
        ("def handler(event: 'dict[str, int]', context): pass", {}),
        ("def handler(event: bytes, context): pass", b"{}"),
        ("class A:\n  def __call__(self, event: dict, c): pass\nhandler = A()", {}),
        (
            "from functools import partial\n"
            "def f(x, event: dict, c): pass\nhandler = partial(f, 1)",
            {},
        ),
        (
            "from functools import wraps\n"
            "def d(f):\n  @wraps(f)\n  def w(*a): return f(*a)\n  return w\n"
            "@d\ndef handler(event: dict, context): pass",
            {},
        ),
        (
            "from service import EventStream\nasync def handler(event: EventStream, context): pass",
            None,
        ),
        (
            "from service import EventStream\nfrom typing import Annotated\n"
            "async def handler(event: Annotated[EventStream, 'x'], context): yield b''",
            None,
        ),
        (
            "from service import EventStream\n"
            "from functools import wraps\n"
            "def d(f):\n  @wraps(f)\n  def w(*a): return f(*a)\n  return w\n"
            "@d\nasync def handler(event: EventStream, context): pass",
            None,
        ),
        (
            "from typing import TYPE_CHECKING, Annotated\n"
            "if TYPE_CHECKING:\n  from service import Context\n"
            "def handler(event: Annotated[dict, 'x'], context: 'Context') -> 'Gone': pass",
            {},
        ),
    ],
)
def test_the_event_follows_its_annotation(
    folder: Path, write: Write, source: str, event: Any, future: str
) -> None:
    """Annotations count as types or as text, and only the event's own."""
    write(future + source)
    found = load(["index.handler"], folder).handler
    assert (found.decode and found.decode(b"{}")) == event


def test_hooks_are_found_in_the_handlers_module(folder: Path, write: Write) -> None:
    """`initialize`, `pre_stop` and `pre_freeze` are taken where they are, plain or async."""
    write(
        PLAIN
        + """
    async def initialize(context): pass
    def pre_stop(context): pass
    pre_freeze = 7
    """
    )
    found = load(["index.handler"], folder)
    assert found.initializer is not None
    assert found.pre_stop is not None
    assert (found.initializer.name, found.initializer.kind) == ("index.initialize", "async")
    assert (found.pre_stop.name, found.pre_stop.kind) == ("index.pre_stop", "sync")
    assert found.pre_freeze is None


def test_the_initializer_has_the_platforms_name_too(folder: Path, write: Write) -> None:
    """`initializer` is found where there is no `initialize`; without hooks there are none."""
    write(PLAIN + "\n    def initializer(context): pass\n")
    found = load(["index.handler"], folder)
    assert found.initializer is not None
    assert found.initializer.name == "index.initializer"
    write(PLAIN, "other.py")
    bare = load(["other.handler"], folder)
    assert bare == Handlers(bare.handler)


def test_a_hook_can_be_turned_off(folder: Path, write: Write) -> None:
    """The word none says that a function of the hook's name is no hook."""
    write(PLAIN + "\n    def initialize(url): pass\n    def pre_stop(context): pass\n")
    handlers = load(["index.handler"], folder, initializer="none", pre_stop="none")
    assert (handlers.initializer, handlers.pre_stop) == (None, None)


def test_hooks_can_be_named(folder: Path, write: Write) -> None:
    """A named hook wins over the default, and may stand in another module."""
    write(PLAIN + "\n    def initialize(context): pass\n")
    write("def up(context): pass\ndef down(context): pass\ndef cool(context): pass\n", "hooks.py")
    found = load(
        ["index.handler"],
        folder,
        initializer="hooks.up",
        pre_stop="hooks:down",
        pre_freeze="hooks.cool",
    )
    hooks = [found.initializer, found.pre_stop, found.pre_freeze]
    assert [hook and hook.name for hook in hooks] == ["hooks.up", "hooks:down", "hooks.cool"]


NO_HOOKS = [
    ("def pre_stop(): pass", "line 5 takes (); a hook takes (context)"),
    ("def pre_stop(a, b): pass", "takes (a, b); a hook takes (context)"),
    ("class pre_stop: pass", "is a class, not a function"),
    ("async def pre_stop(c): yield", "is an async generator; write a plain function"),
    ("def pre_stop(c): yield", "is a generator"),
]


@pytest.mark.parametrize(
    ("source", "name", "why"),
    [
        *((source, "index.pre_stop", why) for source, why in NO_HOOKS),
        ("", "index.gone", "has no 'gone' (it has handler)"),
        ("", "gone.stop", "there is no module 'gone' in"),
    ],
)
def test_a_named_hook_that_cannot_be_called_is_told(
    folder: Path, write: Write, source: str, name: str, why: str
) -> None:
    """A wrong hook that the settings name keeps the service from starting; the line names it."""
    write(textwrap.dedent(PLAIN) + "\n" + source)
    line = told(folder, pre_stop=name)
    assert line.startswith(f"pre_stop {name!r}")
    assert why in line
    if name == "gone.stop":
        assert line.endswith("or name another with --pre-stop")


@pytest.mark.parametrize(("source", "why"), NO_HOOKS)
def test_a_helper_that_has_a_hooks_name_is_left_alone(
    folder: Path, write: Write, caplog: pytest.LogCaptureFixture, source: str, why: str
) -> None:
    """Nobody named it: what cannot be a hook is no fault, and the log says how to name it."""
    write(textwrap.dedent(PLAIN) + "\n" + source)
    assert load(["index.handler"], folder).pre_stop is None
    assert why in caplog.text
    assert "name it with --pre-stop, and if it is not, say --pre-stop none" in caplog.text


@pytest.mark.parametrize("hook", HOOKS)
def test_none_turns_a_hook_off(folder: Path, write: Write, hook: str) -> None:
    """A helper with a hook's name that could be one is not run."""
    name = "initialize" if hook == "initializer" else hook
    write(textwrap.dedent(PLAIN) + f"\ndef {name}(url): raise ValueError\n")
    assert getattr(load(["index.handler"], folder), hook) is not None
    off = load(["index.handler"], folder, **{hook: "none"})
    assert getattr(off, hook) is None
    assert not off.likely_initializer


@pytest.mark.parametrize(
    ("source", "likely"),
    [
        ("def my_initializer(context): pass", "index.my_initializer"),
        ("async def init(c, x=1): pass", "index.init"),
        ("def on_init(*, x=1): pass", ""),
        ("def init_db(): pass", ""),
        ("def warm_up(context): pass", ""),
        ("class Initializer: pass\n__init_me__ = print", ""),
        ("from json.decoder import py_scanstring as init", ""),
        ("def initialize(c): pass\ndef my_init(c): pass", ""),
    ],
)
def test_what_looks_like_an_initializer_is_noted(
    folder: Path, write: Write, source: str, likely: str
) -> None:
    """Only if no initializer was named or found, for a warning."""
    write(textwrap.dedent(PLAIN) + "\n" + source)
    assert load(["index.handler"], folder).likely_initializer == likely


def test_a_hook_that_is_imported_from_a_library_is_none(
    folder: Path, write: Write, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A library's `initialize` is not run with the context; a module of the function's own is."""
    library = tmp_path / "elsewhere"
    library.mkdir()
    (library / "statsd_client.py").write_text("def initialize(api_key=None): pass\n")
    sys.path.append(str(library))
    try:
        write("from statsd_client import initialize\ndef handler(event, context): pass\n")
        caplog.set_level("INFO")
        assert load(["index.handler"], folder).initializer is None
        assert (
            "statsd_client's 'initialize': is not taken for the function's initializer"
            in caplog.text
        )
        named = load(["index.handler"], folder, initializer="statsd_client.initialize")
        assert named.initializer is not None
    finally:
        sys.path.remove(str(library))


def test_a_hook_that_is_imported_from_the_functions_own_files_is_one(
    folder: Path, write: Write
) -> None:
    """Hooks may stand in a file beside the handler's."""
    write("def initialize(context): pass\n", "hooks.py")
    write("from hooks import initialize\ndef handler(event, context): pass\n")
    assert load(["index.handler"], folder).initializer is not None


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated at once before")
def test_an_annotation_that_only_type_checkers_can_read_is_no_ones_business(
    folder: Path, write: Write
) -> None:
    """Without quotes, too, a name that is imported under TYPE_CHECKING alone stands in the way only
    if the event is annotated with it.
    """
    names = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  from shop import Order\n"
    initial = "def init_shop(context: Order): pass\n"
    write(f"{names}{initial}def handler(event: dict, context: Order) -> Order: return event\n")
    assert load(["index.handler"], folder).handler.kind == "sync"
    sys.modules.pop("index")
    write(f"{names}def handler(event: Order, context): return event\n")
    line = told(folder)
    assert "Order" in line
    assert "TYPE_CHECKING" in line
    assert "\n" not in line
