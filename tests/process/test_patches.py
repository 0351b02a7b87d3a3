"""What is changed of Python itself: in one place, for as long as a function is served."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import logging
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from service.context.call import RUNNING, Context
from service.logs.log import Logs
from service.process.patches import install
from tests.assembly import Pipe, untimed
from tests.wings import FILES, module_of, tree_of

say = print
"""As a function prints."""


@contextlib.contextmanager
def installed() -> Iterator[Pipe]:
    """Within this, Python is changed; where the log goes."""
    pipe = Pipe()
    undo = install(Logs(pipe.log), "INFO")
    yield pipe
    undo()
    pipe.close()


def changed() -> list[Any]:
    """What the service changes of Python."""
    return [
        threading.Thread.start,
        ThreadPoolExecutor.submit,
        asyncio.all_tasks,
        asyncio.tasks.all_tasks,
        contextlib.redirect_stdout,
        contextlib.redirect_stderr,
        signal.signal,
        sys.stdout,
        sys.stderr,
        logging.root.handlers[:],
        logging.root.level,
        type(logging.getLogger("fc")),
    ]


def test_what_is_changed_is_given_back() -> None:
    """Everything is another while a function is served, and what it was afterwards."""
    before, pipe = changed(), Pipe()
    undo = install(Logs(pipe.log), "ERROR")
    meanwhile = changed()
    undo()
    pipe.close()
    assert changed() == before
    assert all(then != now for then, now in zip(before, meanwhile, strict=True))


def test_handlers_are_given_back_where_others_changed_the_list_meanwhile() -> None:
    """Python 3.14 makes a new list of a logger's handlers whenever one is removed."""
    before = logging.root.handlers[:]
    with installed():
        logging.root.handlers = [*logging.root.handlers, logging.NullHandler()]
    assert logging.root.handlers == before


def test_single_loggers_have_levels_of_their_own() -> None:
    """As long as a function is served; they are no less quiet than they are told to be."""
    pipe, quiet, loud = Pipe(), logging.getLogger("quiet.one"), logging.getLogger("loud.one")
    levels = [("quiet", "WARNING"), ("loud", "DEBUG")]
    undo = install(Logs(pipe.log), "INFO", levels, lets_all_through=True)
    for logger in (quiet, loud):
        logger.info("info")
        logger.debug("debug")
    undo()
    assert untimed(pipe.lines()) == ["- [INFO] info", "- [DEBUG] debug"]
    pipe.close()
    assert logging.getLogger("quiet").level == logging.getLogger("loud").level == 0


def test_a_stop_that_python_drops_is_raised_again() -> None:
    """From the first moment in which stops are heeded, without a word on stderr: also in a worker
    that has not begun to route its output.
    """
    code = """
        import os, signal, weakref
        from service.process.patches import heed_stops
        from service.process.signals import SIGNALS, Stopped

        class Thing: ...

        heed_stops()
        thing = Thing()
        ref = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        try:
            del thing
            while True:
                signal.pause()
        except Stopped as stopped:
            print(stopped.number)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (f"{int(signal.SIGTERM)}\n", "")


def test_nothing_else_changes_python() -> None:
    """No other module assigns to an attribute of what it imports from outside of the service, sets
    a class, or registers what forks run: but for the lock of the metrics and the clients of the
    platform's SDKs, which are there without a service, too, as in a test of the function.
    """
    # The second gives missing streams; the third runs in processes that build packages alone.
    own = ("process.patches", "first.begin", "bundling.builds.sitecustomize")
    registering = ("counting.locks", "clients.registry")
    wrong = [
        f"{module_of(file)}:{node.lineno}"
        for file in FILES
        if module_of(file) not in own
        for node in changing(tree_of(file))
        if not (module_of(file) in registering and registers(node))
    ]
    assert wrong == []


def changing(tree: ast.Module) -> Iterator[ast.expr]:
    """The places in a module that change what is not the service's."""
    foreign = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and not node.level):
            foreign |= {(each.asname or each.name).split(".")[0] for each in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            changes = isinstance(node.ctx, ast.Store | ast.Del) and root_of(node) in foreign
            if changes or registers(node):
                yield node
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            sets = node.func.id in ("setattr", "delattr")
            if sets and root_of(node.args[0]) in foreign:
                yield node


def registers(node: ast.expr) -> bool:
    """Whether it names the registration of what forks run."""
    return isinstance(node, ast.Attribute) and node.attr == "register_at_fork"


def test_what_changes_python_is_found() -> None:
    """The rule sees each form in which that can be done."""
    source = """
import os, threading as t
os.environ = {}
del t.Thread.start
setattr(t, "Thread", None)
os.register_at_fork(before=print)
own.name = os
"""
    assert [node.lineno for node in changing(ast.parse(source))] == [3, 4, 5, 6]


def root_of(node: ast.expr) -> str:
    """The name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@contextlib.contextmanager
def call(request_id: str) -> Iterator[None]:
    """Within this, a call runs."""
    token = RUNNING.set(Context({}, request_id))
    yield
    RUNNING.reset(token)


def test_a_call_redirects_its_own_output_alone() -> None:
    """Of two calls that redirect stdout at once each finds what it has printed itself, and what a
    third one prints is in the log.
    """
    begun, printed, texts = threading.Barrier(3), threading.Barrier(3), dict[str, str]()

    def run(name: str) -> None:
        with call(name), contextlib.redirect_stdout(io.StringIO()) as mine:
            begun.wait(60)
            say(f"of {name}")
            with contextlib.redirect_stdout(None):
                say("nowhere")
            printed.wait(60)
            say("the end", flush=True)
            texts[name] = mine.getvalue()

    threads = [threading.Thread(target=run, args=(name,)) for name in ("first", "second")]
    with installed() as pipe:
        for thread in threads:
            thread.start()
        begun.wait(60)
        with call("third"):
            say("of the third")
        printed.wait(60)
        for thread in threads:
            thread.join()
        lines = untimed(pipe.lines())
    assert texts == {name: f"of {name}\nthe end\n" for name in ("first", "second")}
    assert lines == ["third [STDOUT] of the third"]


def test_redirecting_outside_of_calls_is_pythons() -> None:
    """At import, stdout is the new target itself, as code may ask."""
    with installed(), contextlib.redirect_stdout(io.StringIO()) as target:
        assert sys.stdout is target
        say("there")
    assert target.getvalue() == "there\n"
