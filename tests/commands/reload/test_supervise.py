"""The port of `--reload`, what is watched, and what is said while an import takes long."""

from __future__ import annotations

import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchfiles import Change

from service.commands.reload import supervise as module
from service.commands.reload.supervise import Port, supervise
from service.errors import StartError
from service.settings.table import Settings


@pytest.fixture
def port() -> Iterator[Port]:
    """Any free port, not open yet."""
    made = Port(Settings(host="127.0.0.1", port=0))
    yield made
    made.close()


def connects(number: int) -> bool:
    """Return whether something listens on a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", number)) == 0


def test_a_port_is_opened_once_and_refuses_clients_while_it_is_closed(port: Port) -> None:
    """It stays the same port, though 0 asked for any."""
    sock = port.open()
    number = sock.getsockname()[1]
    assert port.open() is sock
    assert connects(number)
    port.close()
    port.close()
    assert not connects(number)
    assert port.open().getsockname()[1] == number
    assert connects(number)


def test_a_port_that_is_in_use_ends_the_start(tmp_path: Path) -> None:
    """Before a process is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"port {number} is in use"):
            supervise(Settings(host="127.0.0.1", port=number), (), tmp_path)


def test_reload_without_watchfiles_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra and the command are named."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(StartError, match=r"run `make dev`, or install the extra `reload`"):
        supervise(Settings(port=0), (), tmp_path)


def test_python_and_toml_files_are_watched_in_all_folders(tmp_path: Path) -> None:
    """Not what lies in folders that tools fill: `.venv`, `__pycache__`, `.git`."""
    ended, changed = threading.Event(), threading.Event()
    for folder in ("part", ".venv"):
        (tmp_path / folder).mkdir()
    seen: list[str] = []

    def changes() -> Iterator[set[tuple[Change, str]]]:
        for each in module._changes(tmp_path, ended):
            seen.extend(str(Path(path).relative_to(tmp_path)) for _, path in each)
            yield each
            if "part/last.toml" in seen:
                ended.set()

    watcher = module._watch(changes(), changed.set)
    for name in ("data.txt", ".venv/tool.py", "index.py", "part/last.toml"):
        (tmp_path / name).touch()
    watcher.join()
    assert changed.is_set()
    assert set(seen) == {"index.py", "part/last.toml"}


def test_files_are_watched_before_the_first_import() -> None:
    """What is imported from then on is imported again when it changes; a look that finds nothing
    starts nothing.
    """
    begun = threading.Event()
    changed: list[int] = []

    def changes() -> Iterator[set[str]]:
        begun.set()
        yield set()
        yield {"index.py"}
        yield set()

    watcher = module._watch(changes(), lambda: changed.append(1))
    assert begun.is_set()
    watcher.join()
    assert changed == [1]


class Desk(queue.SimpleQueue[Callable[[], None]]):
    """The steps of a run, and the server processes that it asks: the import of one takes long."""

    def __init__(self) -> None:
        self.waits, self.ended = True, False
        self.patience: list[float | None] = []

    def get(self, block: bool = True, timeout: float | None = None) -> Callable[[], None]:
        """Note how long a step is waited for. None comes while an import is waited for."""
        self.patience.append(timeout)
        if timeout is not None:
            raise queue.Empty
        return super().get(block, timeout)

    def step(self, **state: bool) -> None:
        """Plan a step after which the state is another."""
        self.put(lambda: self.__dict__.update(state))


def test_an_import_that_takes_long_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """However much happens meanwhile. The next one is told of, too."""
    desk = Desk()
    for state in ({}, {"waits": False}, {"waits": True}, {"waits": False}, {"ended": True}):
        desk.step(**state)
    module._run(desk, desk)  # type: ignore[arg-type]
    assert desk.patience == [10, None, None, None, 10, None, None]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all("the import of the function takes long" in line for line in said)
