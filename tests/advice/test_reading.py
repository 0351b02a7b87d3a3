"""What is found in functions as people write them, and what is left alone."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from service.advice.finding import Finding
from service.advice.reading import findings


def found_in(folder: Path, source: str, **files: str) -> list[Finding]:
    """What is said of an index.py, and of modules beside it."""
    (folder / "index.py").write_text(textwrap.dedent(source))
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return findings(folder)


def said_of(folder: Path, source: str, **files: str) -> list[str]:
    """The same in short: `line rule level`."""
    return [f"{each.line} {each.rule} {each.level}" for each in found_in(folder, source, **files)]


HANDLER = "def handler(event, context):\n"
ASYNC = "async def handler(event, context):\n"
ONE_LINE = {
    "chdir": (HANDLER, "import os; os.chdir('/mnt')", "chdir breaks"),
    "environ": (HANDLER, "import os; os.environ['A'] = '1'", "environment breaks"),
    "environ by another name": (
        HANDLER,
        "import os; e = os.environ; e['A'] = '1'",
        "environment breaks",
    ),
    "environ.update": (HANDLER, "import os; os.environ.update(A='1')", "environment breaks"),
    "environ deleted": (HANDLER, "import os; del os.environ['A']", "environment breaks"),
    "putenv": (HANDLER, "import os; os.putenv('A', '1')", "environment breaks"),
    "TZ": (HANDLER, "import os; os.environ['TZ'] = 'UTC'", "timezone breaks"),
    "tzset": (HANDLER, "import time; time.tzset()", "timezone breaks"),
    "locale": (HANDLER, "import locale; locale.setlocale(0, 'C')", "locale breaks"),
    "stdout": (HANDLER, "import io, sys; sys.stdout = io.StringIO()", "stdout breaks"),
    "alarm": (HANDLER, "import signal; signal.alarm(3)", "signal breaks"),
    "umask": (HANDLER, "import os; os.umask(0)", "process-wide breaks"),
    "exit": (HANDLER, "from os import _exit; _exit(1)", "process-wide breaks"),
    "seed": (HANDLER, "import random; random.seed(1)", "process-wide breaks"),
    "pyplot": (HANDLER, "import matplotlib.pyplot as plt; plt.plot([1])", "process-wide breaks"),
    "log handler": (
        HANDLER,
        "import logging; logging.getLogger().addHandler(1)",
        "process-wide breaks",
    ),
    "path": (HANDLER, "import sys; sys.path.append('/mnt/lib')", "process-wide breaks"),
    "default of a library": (
        HANDLER,
        "import oss2; oss2.defaults.connect_timeout = 5",
        "process-wide breaks",
    ),
    "fixed file": (HANDLER, "open('/tmp/out.csv', 'w')", "tmp breaks"),
    "fixed file, joined": (
        HANDLER,
        "import os; open(os.path.join('/tmp', 'out.csv'))",
        "tmp breaks",
    ),
    "file by the event": (HANDLER, "open('/tmp/' + event['key'])", "tmp may break"),
    "file by a format": (HANDLER, "open('/tmp/{}.png'.format(event))", "tmp may break"),
    "file by an f-string": (HANDLER, "open(f'/tmp/{event}.png')", "tmp may break"),
    "thread": (
        HANDLER,
        "import threading; threading.Thread(target=print).start()",
        "left-running may break",
    ),
    "pool": (
        HANDLER,
        "from concurrent.futures import ThreadPoolExecutor as T; p = T(4)",
        "left-running breaks",
    ),
    "task": (ASYNC, "import asyncio; asyncio.create_task(work())", "left-running may break"),
    "sleep": (ASYNC, "import time; time.sleep(1)", "blocking breaks"),
    "requests": (ASYNC, "import requests; requests.get('http://x')", "blocking breaks"),
    "subprocess": (ASYNC, "import subprocess; subprocess.run(['ls'])", "blocking breaks"),
    "sync client": (ASYNC, "import redis; r = redis.Redis(); r.get('a')", "blocking breaks"),
    "connect": (ASYNC, "import pymysql; pymysql.connect()", "blocking breaks"),
    "run on a loop": (ASYNC, "import asyncio; asyncio.run(work())", "event-loop breaks"),
    "run in a thread": (HANDLER, "import asyncio; asyncio.run(work())", "event-loop may break"),
    "no loop": (HANDLER, "import asyncio; asyncio.get_event_loop()", "event-loop breaks"),
}


@pytest.mark.parametrize("case", ONE_LINE)
def test_what_breaks_in_a_handler_is_told_at_its_line(tmp_path: Path, case: str) -> None:
    """Each with the rule and how sure it is; nothing else is said."""
    head, line, said = ONE_LINE[case]
    assert said_of(tmp_path, f"{head}    {line}\n") == [f"2 {said}"]


@pytest.mark.parametrize("case", [name for name in ONE_LINE if ONE_LINE[name][0] is HANDLER])
def test_what_runs_once_is_left_alone(tmp_path: Path, case: str) -> None:
    """An initializer may do what a call may not, for no other call runs beside it."""
    line = ONE_LINE[case][1].replace("event", "context")
    assert (
        said_of(tmp_path, f"def initializer(context):\n    {line}\n{HANDLER}    return 1\n") == []
    )


STATE = {
    "a global": ("user = None\n{}    global user\n    user = event\n", ["4 global breaks"]),
    "a count": ("n = 0\n{}    global n\n    n += 1\n", ["4 global may break"]),
    "made by the first call": (
        "c = None\n{}    global c\n    if c is None:\n        c = make()\n",
        ["5 first-call may break"],
    ),
    "only by global": ("{}    global c\n    c = event\n", ["3 global breaks"]),
    "under a lock": (
        "import threading\nn = 0\nlock = threading.Lock()\n"
        "{}    global n\n    with lock:\n        n += 1\n",
        [],
    ),
    "a list": ("seen = []\n{}    seen.append(event)\n", ["3 shared breaks"]),
    "a cache": ("cache = {{}}\n{}    cache[event] = 1\n", ["3 shared may break"]),
    "a counter": (
        "from collections import Counter\nc = Counter()\n{}    c.update(event)\n",
        ["4 shared breaks"],
    ),
    "a name of the call's own": ("seen = []\n{}    seen = []\n    seen.append(event)\n", []),
    "an object": ("conf = Config()\n{}    conf.user = event\n", ["3 shared breaks"]),
    "a class": ("class Job:\n    user = 1\n{}    Job.user = event\n", ["4 shared breaks"]),
    "a list of a class": (
        "class Job:\n    rows = []\n    def add(self, row):\n        self.rows.append(row)\n"
        "{}    Job().add(1)\n",
        ["4 shared breaks"],
    ),
    "a list of an object": (
        "class Job:\n    rows = []\n    def __init__(self):\n        self.rows = []\n"
        "    def add(self, row):\n        self.rows.append(row)\n{}    Job().add(1)\n",
        [],
    ),
    "a default": ("def add(x, to=[]):\n    to.append(x)\n{}    add(1)\n", ["1 default breaks"]),
    "a thread's own": (
        "import threading\nbox = threading.local()\nbox.client = 1\n{}    return box.client\n",
        ["3 thread-local breaks"],
    ),
    "an accepted one": ("seen = []\n{}    seen.append(event)  # at-once: ok\n", []),
    "in a helper": (
        "seen = []\n{}    note(event)\ndef note(x):\n    seen.append(x)\n",
        ["5 shared breaks"],
    ),
    "in a table of functions": (
        "seen = []\ndef note(x):\n    seen.append(x)\nwork = {{'a': note}}\n{}    work['a'](1)\n",
        ["3 shared breaks"],
    ),
    "only as a program": (
        "seen = []\n{}    return 1\nif __name__ == '__main__':\n    seen.append(1)\n",
        [],
    ),
    "only read": ("ROWS = [1, 2]\n{}    return ROWS[0]\n", []),
}


@pytest.mark.parametrize("head", [HANDLER, ASYNC], ids=["plain", "async"])
@pytest.mark.parametrize("case", STATE)
def test_what_calls_write_for_all_is_told(tmp_path: Path, case: str, head: str) -> None:
    """Globals, lists and dicts of the module, attributes of its objects; not what is a call's."""
    source, said = STATE[case]
    if case == "a thread's own" and head is ASYNC:
        said = [*said, "5 thread-local breaks"]
    assert said_of(tmp_path, source.format(head)) == said


CLIENTS = {
    "import pymysql\ndb = pymysql.connect()\n": ["2 client breaks"],
    "import sqlite3\ndb = sqlite3.connect(':memory:')\n": ["2 client breaks"],
    "from requests import Session\ns = Session()\n": ["2 client may break"],
    "import aiohttp\ns = aiohttp.ClientSession()\n": ["2 client breaks"],
    "import redis\nr = redis.Redis()\n": ["2 client fine"],
    "import oss2\nb = oss2.Bucket(oss2.Auth('a', 'b'), 'e', 'n')\n": ["2 client fine"],
    "from tablestore import *\nc = OTSClient('e', 'a', 'b', 'n')\n": ["2 client fine"],
    "import pymysql\ndef connect():\n    c = pymysql.connect()\n    return c\ndb = connect()\n": [
        "5 client breaks"
    ],
    "import pymysql\ndb = None\ndef initializer(context):\n    global db\n"
    "    db = pymysql.connect()\n": ["5 client breaks"],
    "import aiohttp\ns = None\nasync def initialize(context):\n    global s\n"
    "    s = aiohttp.ClientSession()\n": [],
    "import oss2\nb = None\ndef initializer(context):\n    global b\n    k = context.credentials\n"
    "    b = oss2.Bucket(oss2.StsAuth(k.a, k.b, k.c), 'e', 'n')\n": [
        "6 client fine",
        "6 keys may break",
    ],
}


@pytest.mark.parametrize("number", range(len(CLIENTS)))
def test_clients_of_all_calls_are_judged_by_what_they_are(tmp_path: Path, number: int) -> None:
    """A connection breaks, a pool is fine; made at import, in a helper, or by the initializer."""
    source, said = list(CLIENTS.items())[number]
    assert said_of(tmp_path, f"{source}{HANDLER}    return 1\n") == said


def test_what_an_async_handler_calls_blocks_as_well(tmp_path: Path) -> None:
    """A plain helper runs on the loop, in another file, too; one in a thread does not."""
    source = """
        import asyncio, time
        from helper import fetch

        async def handler(event, context):
            fetch(event)
            await asyncio.to_thread(slow)

        def slow():
            time.sleep(1)
    """
    helper = "import time\ndef fetch(x):\n    time.sleep(1)\n"
    (only,) = found_in(tmp_path, source, helper=helper)
    assert (only.place, only.rule) == ("helper.py:3", "blocking")
    assert "asyncio.sleep" in only.advice


def test_a_lock_of_threads_is_not_held_over_an_await(tmp_path: Path) -> None:
    """The second call would block the loop that the first one needs."""
    source = """
        import threading
        lock = threading.Lock()
        async def handler(event, context):
            with lock:
                await work()
    """
    assert said_of(tmp_path, source) == ["5 lock breaks"]


def test_names_of_the_calls_own_are_fine(tmp_path: Path) -> None:
    """A temporary folder, or the request id in a name."""
    source = """
        import tempfile, uuid, os
        def handler(event, context):
            with tempfile.TemporaryDirectory(dir="/tmp") as folder:
                open(os.path.join(folder, "out.csv"))
            open("/tmp/%s.csv" % context.request_id)
            open(f"/tmp/{uuid.uuid4()}")
            with __import__("concurrent.futures").ThreadPoolExecutor(2) as pool:
                pool.map(print, event)
    """
    assert said_of(tmp_path, source) == []


def test_the_state_of_another_file_is_found_where_it_is_written(tmp_path: Path) -> None:
    """By `from state import seen` and by `import state`."""
    source = """
        import state
        from state import seen
        def handler(event, context):
            seen.append(event)
            state.totals["n"] = 1
            state.user = event
    """
    said = said_of(tmp_path, source, state="seen = []\ntotals = {}\nuser = None\n")
    assert said == ["5 shared breaks", "6 shared may break", "7 process-wide breaks"]


def test_a_handler_of_http_requests_is_told(tmp_path: Path) -> None:
    """The service would refuse it at the start."""
    assert said_of(tmp_path, "def handler(environ, start_response):\n    return []\n") == [
        "1 http breaks"
    ]


def test_a_file_that_is_no_python_is_a_finding(tmp_path: Path) -> None:
    """With the line; the other files are read."""
    (tmp_path / "old.py").write_text("x = 1\nprint 'hello'\n")
    (tmp_path / "zero.py").write_bytes(b"a = 1\0")
    (tmp_path / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000)
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\nx = '\xe9'\n")
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    said = found_in(tmp_path, "import os\ndef handler(event, context):\n    os.chdir('/')\n")
    assert [(each.file, each.rule) for each in said] == [
        ("bytes.py", "syntax"),
        ("deep.py", "syntax"),
        ("index.py", "chdir"),
        ("old.py", "syntax"),
        ("zero.py", "syntax"),
    ]
    assert said[3].line == 2


def test_what_is_not_the_authors_is_not_read(tmp_path: Path) -> None:
    """Packages that pip has put beside the code, environments, tests."""
    broken = "def handler(event, context):\n    __import__('os')\n    open('/tmp/x')\n"
    for place in ("lib/a.py", "venv/b.py", ".s/c.py", "tests/test_index.py", "env9/d.py", "one.py"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(broken)
    (tmp_path / "env9" / "pyvenv.cfg").touch()
    (tmp_path / "lib-1.0.dist-info").mkdir()
    (tmp_path / "lib-1.0.dist-info" / "RECORD").write_text("lib/a.py,,\none.py,,\n../../bin/x,,\n")
    assert [each.place for each in found_in(tmp_path, broken)] == ["index.py:3"]


def test_the_handler_that_is_named_is_where_calls_begin(tmp_path: Path) -> None:
    """Of a handler with another name, and a hook with another name."""
    (tmp_path / "app.py").write_text(
        "a = b = 0\ndef run(event, context):\n    global a\n    a = 1\n"
        "def prepare(context):\n    global b\n    b = 1\n"
    )
    named = findings(tmp_path, ["app.run"], ["app.prepare"])
    assert [each.line for each in named] == [4]
    assert [each.line for each in findings(tmp_path, ["app.run"])] == [4, 7]


def test_nothing_of_a_function_is_run(tmp_path: Path) -> None:
    """A module that ends the process is read like another."""
    source = "import os\nos._exit(7)\ndef handler(event, context): ...\n"
    assert said_of(tmp_path, source) == []
