"""What a server process tells, how it is ended, and what becomes of the processes it started."""

from __future__ import annotations

import os
import queue
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from service.commands.reload import child as module
from service.commands.reload.child import CHILD_ENDED, LOADED, Child
from tests.harness import ENDS_WITHIN

LINK = "import os, signal, socket, sys; link = socket.socket(fileno=int(sys.argv[-1][10:]))\n"
"""How a process here begins: with its end of the link."""

Start = Callable[..., tuple[Child, "queue.Queue[bytes]"]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts processes that run a script in the service's place; returns each with what it tells.
    Ends them after the test.
    """
    children: list[Child] = []

    def begin(script: str, *arguments: str) -> tuple[Child, queue.Queue[bytes]]:
        command = [sys.executable, "-S", "-E", "-c", LINK + script]
        monkeypatch.setattr(module, "fresh_command", lambda *rest: [*command, *rest])
        told: queue.Queue[bytes] = queue.Queue()
        children.append(Child(arguments, lambda _, word: told.put(word)))
        return children[-1], told

    yield begin
    for child in children:
        child.kill()
        child.how_it_ended()


def test_a_child_gets_the_arguments_without_reload_and_writes_no_byte_code(start: Start) -> None:
    """Byte code would hide a second save within one second."""
    script = """
assert sys.argv[1:3] == ["--port", "1"] and len(sys.argv) == 4, sys.argv
assert sys.argv[3].startswith("--control=")
assert os.environ["PYTHONDONTWRITEBYTECODE"] == "1"
"""
    child, told = start(script, "--reload", "--port", "1")
    assert told.get(timeout=ENDS_WITHIN) == CHILD_ENDED
    assert child.how_it_ended() == "ended with exit code 0"


def test_what_a_child_tells_comes_before_its_end(start: Start) -> None:
    """A word on its way is not lost when the process ends right after it."""
    child, told = start("link.send(b'L'); os._exit(3)")
    assert [told.get(timeout=ENDS_WITHIN) for _ in range(2)] == [LOADED, CHILD_ENDED]
    assert child.how_it_ended() == "ended with exit code 3"


def test_a_child_serves_on_the_socket_that_it_is_given(start: Start) -> None:
    """The same one, not a copy that is bound anew."""
    script = """
_, (got,), _, _ = socket.recv_fds(link, 1, 1)
socket.socket(fileno=got).accept()[0].send(b"hello")
link.recv(1)
"""
    child, _ = start(script)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        child.give(sock)
        with socket.create_connection(sock.getsockname()) as client:
            client.settimeout(ENDS_WITHIN)
            assert client.recv(5) == b"hello"


def test_a_child_that_has_ended_is_given_and_asked_for_nothing(start: Start) -> None:
    """Its end was told, and its process id may be another process's by now."""
    child, told = start("")
    assert told.get(timeout=ENDS_WITHIN) == CHILD_ENDED
    with socket.socket() as sock:
        child.give(sock)
    child.stop()
    child.kill()
    assert told.empty()


@pytest.mark.parametrize(
    ("end", "number"), [(Child.stop, signal.SIGTERM), (Child.kill, signal.SIGKILL)]
)
def test_a_child_is_ended_by_a_signal_that_is_told(
    start: Start, end: Callable[[Child], None], number: signal.Signals
) -> None:
    """SIGTERM lets it finish, SIGKILL does not."""
    child, told = start("link.send(b'L'); link.recv(1)")
    assert told.get(timeout=ENDS_WITHIN) == LOADED
    end(child)
    assert told.get(timeout=ENDS_WITHIN) == CHILD_ENDED
    assert child.how_it_ended() == f"was ended by {number.name}"


@pytest.mark.parametrize(
    "own",
    ["os.kill(os.getpid(), signal.SIGKILL)", "link.recv(1)", ""],
    ids=["killed by somebody", "killed by us", "of itself"],
)
def test_what_a_child_has_started_ends_with_it(start: Start, own: str) -> None:
    """However the child ends: killed by somebody, by us, or of itself. What it has started holds
    the other end of the link, and does not keep the end from being told.
    """
    script = f"""
reading, writing = os.pipe()
started = os.fork()
if started == 0:
    os.read(reading, 1)  # for ever: it has the other end, too
link.send(b"L")
link.send(started.to_bytes(4))
link.recv(1)
{own}
"""
    child, told = start(script)
    words = [told.get(timeout=ENDS_WITHIN) for _ in range(5)]
    end = os.pidfd_open(int.from_bytes(b"".join(words[1:])))
    with socket.socket() as sock:
        child.give(sock)
    if "recv" in own:
        child.kill()
    assert told.get(timeout=ENDS_WITHIN) == CHILD_ENDED
    assert select.select([end], [], [], ENDS_WITHIN)[0]
    os.close(end)


def test_a_child_hears_nothing_of_the_terminal(start: Start) -> None:
    """A Ctrl-C is for the process that watches the files, which lets calls finish."""
    child, told = start("link.send(b'L' if os.getsid(0) == os.getpid() else b'-'); link.recv(1)")
    assert told.get(timeout=ENDS_WITHIN) == LOADED
    child.kill()
