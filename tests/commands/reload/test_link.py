"""What a server process says and gets through its link, and how it ends without the other side."""

from __future__ import annotations

import os
import queue
import signal
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from service.commands.reload.child import LOADED, SERVES
from service.commands.reload.link import Link
from tests.harness import ENDS_WITHIN

Sent = queue.Queue[tuple[str, int, int]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """The signals that would have been sent."""
    signals: Sent = queue.Queue()
    system = SimpleNamespace(
        getpid=os.getpid,
        kill=lambda pid, number: signals.put(("kill", pid, number)),
        killpg=lambda pid, number: signals.put(("killpg", pid, number)),
    )
    # For the link alone: other threads of this process may send signals, too.
    monkeypatch.setattr("service.commands.reload.link.os", system)
    return signals


@pytest.fixture
def pair(sent: Sent) -> Iterator[tuple[socket.socket, Link]]:
    """The end that the process which watches the files has, and the link at the other one."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(ENDS_WITHIN)
        theirs.set_inheritable(True)
        yield ours, Link(theirs.detach())
    sent.get(timeout=ENDS_WITHIN)  # the link's thread has ended


Pair = tuple[socket.socket, Link]


def test_a_process_that_has_loaded_gets_the_socket_and_says_when_it_serves(pair: Pair) -> None:
    """It asks after the import, and tells that the process before it may go."""
    other, link = pair
    with socket.create_server(("127.0.0.1", 0)) as sock:
        socket.send_fds(other, [b"."], [sock.fileno()])
        with link.listening_socket() as got:
            assert got.getsockname() == sock.getsockname()
            assert not got.get_inheritable()
    assert other.recv(1) == LOADED
    link.tell_serving()
    assert other.recv(1) == SERVES


def test_a_process_that_may_have_calls_finishes_them_without_the_other_side(
    pair: Pair, sent: Sent
) -> None:
    """It stops as at any SIGTERM."""
    other, link = pair
    with socket.socket() as sock:
        socket.send_fds(other, [b"."], [sock.fileno()])
        link.listening_socket().close()
    other.close()  # what this process told was not read
    last = sent.get(timeout=ENDS_WITHIN)
    assert last == ("kill", os.getpid(), signal.SIGTERM)
    sent.put(last)


def test_an_import_ends_at_once_without_the_other_side(pair: Pair, sent: Sent) -> None:
    """It has no calls, and may catch all that is raised in it; what it has started ends, too."""
    other, _ = pair
    other.close()
    last = sent.get(timeout=ENDS_WITHIN)
    assert last == ("killpg", os.getpid(), signal.SIGKILL)
    sent.put(last)
