"""What user code is: what is called, what it takes, and what its event is to be."""

from __future__ import annotations

import functools
import inspect
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import flask
import pytest

from service.calls.callables import (
    awaits,
    check_takes,
    event_annotation,
    judge_kind,
    place_of,
)
from service.errors import StartError

HANDLER = "(event, context)"
NONE = inspect.Parameter.empty


def made(source: str, tmp_path: Path) -> ModuleType:
    """The module that a source is."""
    file = tmp_path / "index.py"
    file.write_text(textwrap.dedent(source))
    module = ModuleType("index")
    module.__file__ = str(file)
    exec(compile(file.read_bytes(), file, "exec", dont_inherit=True), vars(module))
    return module


DECORATED: dict[str, tuple[str, str, Any]] = {
    "drops-the-context": (
        """
        @wraps(function)
        def handler(event, context):
            return function(event)
        """,
        "def function(event: dict): pass",
        NONE,
    ),
    "adds-an-argument": (
        """
        @wraps(function)
        def handler(event, context):
            return function(event, context, 3)
        """,
        "def function(event: dict, context, database): pass",
        NONE,
    ),
    "adds-one-before": (
        """
        @wraps(function)
        def handler(*arguments):
            return function(3, *arguments)
        """,
        "def function(database: int, event: dict, context): pass",
        NONE,
    ),
    "passes-all": (
        """
        @wraps(function)
        def handler(*arguments, **named):
            return function(*arguments, **named)
        """,
        "def function(event: dict, context): pass",
        dict,
    ),
    "passes-both": (
        """
        @wraps(function)
        def handler(event, context):
            return function(event, context)
        """,
        "def function(event: dict, context): pass",
        dict,
    ),
    "takes-keywords-alone": (
        """
        @wraps(function)
        def handler(event, context, **named):
            return function(event)
        """,
        "def function(event: dict): pass",
        NONE,
    ),
    "is-an-object-with-a-getter": (
        """
        class Decorator:
            def __init__(self, inner): update_wrapper(self, inner)
            def __get__(self, instance, owner): return self
            def __call__(self, event, context): return self.__wrapped__(event, context)
        handler = Decorator(function)
        """,
        "def function(event: dict, context): pass",
        dict,
    ),
    "is-written-in-c": (
        "handler = lru_cache(function)",
        "def function(event: dict, context): pass",
        dict,
    ),
    "twice": (
        """
        @wraps(function)
        def inner(*arguments): return function(*arguments)
        @wraps(inner)
        def handler(event, context): return inner(event, context)
        """,
        "def function(event: dict, context): pass",
        NONE,
    ),
}


@pytest.mark.parametrize(("source", "function", "annotation"), DECORATED.values(), ids=DECORATED)
def test_a_decorated_handler_is_what_is_called(
    tmp_path: Path, source: str, function: str, annotation: Any
) -> None:
    """A wrapper that adds or drops arguments is a handler if it takes (event, context) itself. The
    annotation of what it wraps counts if both take the same.
    """
    imports = "from functools import lru_cache, update_wrapper, wraps\n"
    module = made(imports + function + "\n" + textwrap.dedent(source), tmp_path)
    handler = module.handler
    check_takes("handler", handler, HANDLER)
    assert judge_kind("handler", handler) == "sync"
    assert event_annotation("handler", handler) is annotation


def test_a_wrapper_that_takes_less_is_none(tmp_path: Path) -> None:
    """A wrapper that does not take (event, context) is refused, whatever it wraps."""
    module = made(
        """
        from functools import wraps
        def function(event, context): pass
        @wraps(function)
        def handler(event): pass
        """,
        tmp_path,
    )
    with pytest.raises(StartError, match=r"line 3 takes \(event\); a handler takes"):
        check_takes("handler 'index.handler'", module.handler, HANDLER)


def test_an_object_with_a_signature_of_its_own_is_asked_for_it() -> None:
    """An object whose `__signature__` says what it takes is believed."""

    class Proxy:
        __signature__ = inspect.signature(lambda event, context: None)

        def __call__(self, *arguments: Any) -> None: ...

    check_takes("handler", Proxy(), HANDLER)


def test_nothing_is_annotated_where_nothing_is_taken() -> None:
    """What takes no parameter at all has no annotation."""
    assert event_annotation("handler", lambda: None) is NONE


async def coroutine(event: bytes, context: object) -> None: ...


@functools.wraps(coroutine)
def around(*arguments: Any) -> Any:
    return coroutine(*arguments)


def test_what_awaits_is_known_beneath_a_decorator() -> None:
    """A plain wrapper around an async function can read a stream; a plain function cannot."""
    assert awaits(coroutine)
    assert awaits(around)
    assert not awaits(len)


APPLICATIONS = {
    "wsgi": ("def handler(environ, start_response): pass", "takes (environ, start_response)"),
    "env": ("def handler(env, start_response): pass", "takes (env, start_response)"),
    "asgi": ("async def handler(scope, receive, send): pass", "(ASGI)"),
    "flask": (
        "import flask\n\napp = flask.Flask('index')\nhandler = app",
        "line 3 takes (environ, start_response)",
    ),
    "asgi-object": (
        "class App:\n  async def __call__(self, scope, receive, send): pass\nhandler = App()",
        "line 2 takes (scope, receive, send)",
    ),
}


@pytest.mark.parametrize(("source", "why"), APPLICATIONS.values(), ids=APPLICATIONS)
def test_the_handler_of_an_http_function_is_told(tmp_path: Path, source: str, why: str) -> None:
    """A WSGI or ASGI application is refused in one line with its file and what to do."""
    module = made(source, tmp_path)
    with pytest.raises(StartError) as caught:
        check_takes("handler 'index.handler'", module.handler, HANDLER, module)
    line = str(caught.value)
    assert "\n" not in line
    assert why in line
    assert f"{module.__file__} line " in line
    assert "it is an HTTP function's handler" in line
    assert "write handler(event, context)" in line


def test_an_annotation_for_type_checkers_alone_is_told(tmp_path: Path) -> None:
    """An event's annotation that is imported under TYPE_CHECKING alone is refused in one line."""
    source = "def handler(event: 'Order', context: 'Gone'): pass"
    module = made(source, tmp_path)
    with pytest.raises(StartError) as caught:
        event_annotation("handler 'index.handler'", module.handler)
    assert str(caught.value) == (
        f"handler 'index.handler': {module.__file__} line 1: the annotation 'Order' cannot be"
        " resolved: name 'Order' is not defined; correct the name, or import it outside of"
        " `if TYPE_CHECKING:`"
    )


def test_the_place_of_what_has_no_file_is_its_text(tmp_path: Path) -> None:
    """An object of a library, that nothing assigns or whose file cannot be read, is shown."""
    module = made("import flask\nmade = [flask.Flask('index')]", tmp_path)
    (app,) = module.made
    assert place_of(app, module) == place_of(app)
    assert flask.__name__ in place_of(app)
    module.app = app  # type: ignore[attr-defined] # nothing in the file says so
    assert place_of(app, module) == place_of(app)
    Path(module.__file__ or "").unlink()
    assert place_of(app, module) == place_of(app)
    assert place_of(max) == repr(max)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated by def before it")
def test_annotations_that_are_evaluated_late(tmp_path: Path) -> None:
    """Where annotations are code, others' may be of type checkers alone; the event's is told."""
    module = made("def handler(event: dict, context: Gone): pass", tmp_path)
    check_takes("handler", module.handler, HANDLER)
    assert event_annotation("handler", module.handler) is dict
    module = made("def handler(event: Order, context): pass", tmp_path)
    check_takes("handler", module.handler, HANDLER)
    with pytest.raises(StartError, match=r"the annotation 'Order' cannot be resolved: .*`if TYPE"):
        event_annotation("handler", module.handler)


class Collected:
    """An object that takes one event for a function that takes a list of them."""

    def __init__(self, function: Any) -> None:
        self.__wrapped__ = function
        event = inspect.Parameter("event", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=int)
        context = event.replace(name="context", annotation=NONE)
        self.__signature__ = inspect.Signature([event, context])

    def __call__(self, event: Any, context: Any) -> Any:
        """Be called."""


def test_an_object_with_a_signature_says_itself_what_the_event_is() -> None:
    """What it wraps may take the same names and another event; a wrapper of it passes that on."""

    def many(event: list[int], context: list[Any]) -> None: ...

    collected = Collected(many)

    @functools.wraps(collected)
    def around(event: Any, context: Any) -> Any:
        return collected(event, context)

    assert event_annotation("handler", collected) is int
    assert event_annotation("handler", around) is int
