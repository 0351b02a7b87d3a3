"""Which server process serves, which one follows it, and what is said when one ends."""

from __future__ import annotations

import socket

import pytest

from service.commands.reload.child import CHILD_ENDED, LOADED, SERVES
from service.commands.reload.server_processes import ServerProcesses
from service.errors import StartError


class Recorded:
    """A server process that notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def give(self, sock: socket.socket) -> None:
        """Note it."""
        self.asked.append("give")

    def stop(self) -> None:
        """Note it."""
        self.asked.append("stop")

    def kill(self) -> None:
        """Note it."""
        self.asked.append("kill")

    def how_it_ended(self) -> str:
        """Return the end of every process here."""
        return "was ended by SIGSEGV"


class Desk:
    """Server processes, their port, and what is said."""

    def __init__(self) -> None:
        self.started: list[Recorded] = []
        self.said: list[str] = []
        self.open_port = False
        self.refuse: Exception | None = None
        self.now = 0.0
        self.servers = ServerProcesses(self._start, self, self.said.append, lambda: self.now)

    def _start(self) -> Recorded:
        if self.refuse is not None:
            raise self.refuse
        self.started.append(Recorded())
        return self.started[-1]

    def open(self) -> socket.socket:
        """Open the port; the socket is nobody's business here."""
        if self.refuse is not None:
            raise self.refuse
        self.open_port = True
        with socket.socket() as sock:
            return sock

    def close(self) -> None:
        """Close the port."""
        self.open_port = False

    def serve(self) -> Recorded:
        """Start a process that gets as far as serving."""
        self.servers.renew()
        return self.serves(self.started[-1])

    def serves(self, process: Recorded) -> Recorded:
        """Let a process load and serve."""
        self.servers.told(process, LOADED)
        self.servers.told(process, SERVES)
        return process


@pytest.fixture
def desk() -> Desk:
    """A desk at which nothing was started."""
    return Desk()


def test_the_old_process_is_stopped_once_the_new_one_serves(desk: Desk) -> None:
    """It is not stopped when the new one has only loaded."""
    old = desk.serve()
    desk.servers.renew()
    new = desk.started[-1]
    desk.servers.told(new, LOADED)
    assert old.asked == ["give"]
    desk.servers.told(new, SERVES)
    assert (old.asked, new.asked) == (["give", "stop"], ["give"])


def test_a_process_that_finishes_its_calls_is_asked_to_stop_once(desk: Desk) -> None:
    """However many changes come meanwhile: a second signal would end its calls."""
    old = desk.serve()
    desk.serve()
    desk.serve()
    desk.servers.stop()
    assert old.asked == ["give", "stop"]


def test_a_change_ends_a_process_that_does_not_serve_yet(desk: Desk) -> None:
    """An import that hangs does not keep the next change from being served."""
    old = desk.serve()
    desk.servers.renew()
    hangs = desk.started[-1]
    new = desk.serve()
    assert (hangs.asked, old.asked, new.asked) == (["kill"], ["give", "stop"], ["give"])
    desk.servers.told(hangs, SERVES)
    desk.servers.told(hangs, CHILD_ENDED)
    assert new.asked == ["give"]


def test_a_change_does_not_end_the_only_process_that_serves(desk: Desk) -> None:
    """Its word of that may be on its way when the change is seen; the new code may not start."""
    desk.servers.renew()
    first = desk.started[-1]
    desk.servers.told(first, LOADED)
    desk.servers.renew()
    desk.servers.told(first, SERVES)
    assert first.asked == ["give"]
    desk.servers.told(desk.started[-1], CHILD_ENDED)
    assert desk.open_port
    assert desk.said == ["the code from before the change is served: the new one does not start"]
    desk.serve()
    assert first.asked == ["give", "stop"]


def test_a_serving_process_that_dies_is_replaced_and_told(desk: Desk) -> None:
    """The port stays open: who connects meanwhile is served by the next process."""
    desk.servers.told(desk.serve(), CHILD_ENDED)
    assert desk.said == ["the server process was ended by SIGSEGV: another one is started"]
    assert (len(desk.started), desk.open_port) == (2, True)
    assert desk.serves(desk.started[-1]).asked == ["give"]


def test_processes_that_die_soon_after_their_start_wait_for_a_change(desk: Desk) -> None:
    """The third in a row is not replaced: the port is closed until a file changes."""
    desk.servers.renew()
    for _ in range(3):
        desk.servers.told(desk.serves(desk.started[-1]), CHILD_ENDED)
    assert (len(desk.started), desk.open_port) == (3, False)
    assert desk.said[-1].endswith("again: nothing is served until a file changes")
    desk.servers.told(desk.serve(), CHILD_ENDED)
    assert (len(desk.started), desk.open_port) == (5, True)


def test_a_process_that_served_for_long_is_replaced_each_time(desk: Desk) -> None:
    """Rare ends never add up."""
    desk.servers.renew()
    for _ in range(5):
        process = desk.serves(desk.started[-1])
        desk.now += 60
        desk.servers.told(process, CHILD_ENDED)
    assert (len(desk.started), desk.open_port) == (6, True)


def test_a_serving_process_that_dies_leaves_the_coming_one_in_its_place(desk: Desk) -> None:
    """No third one is started."""
    old = desk.serve()
    desk.servers.renew()
    desk.servers.told(old, CHILD_ENDED)
    assert len(desk.started) == 2


def test_a_start_that_fails_closes_the_port_if_nothing_else_serves(desk: Desk) -> None:
    """A client is refused at once, and the next change opens the port again."""
    desk.open_port = True
    desk.servers.renew()
    desk.servers.told(desk.started[0], CHILD_ENDED)
    assert not desk.open_port
    assert desk.said == ["nothing is served until a file changes: the start failed"]
    desk.serve()
    assert desk.open_port


def test_a_start_that_fails_leaves_the_old_code_serving(desk: Desk) -> None:
    """And says so."""
    old = desk.serve()
    desk.servers.renew()
    desk.servers.told(desk.started[-1], CHILD_ENDED)
    assert desk.open_port
    assert old.asked == ["give"]
    assert desk.said == [
        "the code from before the change is served: the new one does not start",
    ]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (OSError(11, "Resource temporarily unavailable"), "no server process can be started"),
        (StartError("port 9000 is in use"), "port 9000 is in use"),
    ],
)
def test_what_keeps_a_process_from_starting_is_told(
    desk: Desk, reason: Exception, told: str
) -> None:
    """The next change tries again."""
    if isinstance(reason, OSError):
        desk.refuse = reason
        desk.servers.renew()
    else:
        desk.servers.renew()
        desk.refuse = reason
        desk.servers.told(desk.started[0], LOADED)
        assert desk.started[0].asked == ["kill"]
    assert told in desk.said[0]
    desk.refuse = None
    assert desk.serve().asked == ["give"]


def test_a_stop_lets_calls_finish_and_starts_nothing(desk: Desk) -> None:
    """The one that serves is stopped, the one on its way killed; it has ended when both have."""
    serving = desk.serve()
    desk.servers.renew()
    coming = desk.started[-1]
    desk.servers.stop()
    assert (serving.asked, coming.asked) == (["give", "stop"], ["kill"])
    desk.servers.renew()
    assert len(desk.started) == 2
    for process in (serving, coming):
        assert not desk.servers.ended
        desk.servers.told(process, CHILD_ENDED)
    assert desk.servers.ended
    assert not desk.said


@pytest.mark.parametrize("what", ["a change", "a stop"])
def test_a_process_that_has_the_port_keeps_its_calls(desk: Desk, what: str) -> None:
    """It may serve already, and its word of that be on its way: it is stopped, and not killed."""
    if what == "a change":
        desk.serve()
    desk.servers.renew()
    coming = desk.started[-1]
    desk.servers.told(coming, LOADED)
    if what == "a change":
        desk.servers.renew()
    else:
        desk.servers.stop()
    desk.servers.told(coming, SERVES)
    assert coming.asked == ["give", "stop"]
    if what == "a stop":
        assert not desk.servers.ended
        desk.servers.told(coming, CHILD_ENDED)
        assert desk.servers.ended
    assert not desk.said


def test_a_kill_ends_every_process(desk: Desk) -> None:
    """Those that finish their calls too."""
    for _ in range(2):
        desk.serve()
    desk.servers.renew()
    desk.servers.kill()
    assert [process.asked[-1] for process in desk.started] == ["kill"] * 3
