"""Work that a signal cancels: what becomes of it if the signal comes first, or last."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from service.commands import cancellable
from service.process import loop as loops
from service.process.signals import Stopped, StopSignals

TERM = signal.SIGTERM


class Signals:
    """The signals of a process, which arrive when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own = StopSignals()
        self._handlers: dict[int, Any] = {}
        monkeypatch.setattr(own, "pythons", self._handlers.__setitem__)
        own.heed()
        for module in (cancellable, loops):
            monkeypatch.setattr(module, "SIGNALS", own)

    def arrives(self, number: int) -> None:
        """Do what Python does with a signal."""
        self._handlers[number](number, None)


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Signals:
    """Signals for what is run here."""
    return Signals(monkeypatch)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_stop_that_comes_first_leaves_nothing_to_be_told(signals: Signals, kind: str) -> None:
    """The work does not begin, no loop is made or it is closed, and Python does not complain that
    nobody waited for the work.
    """

    async def work() -> None:
        pytest.fail("it begins")

    with pytest.raises(Stopped):
        signals.arrives(TERM)
    with pytest.raises(Stopped):
        cancellable.run_cancellable(work(), kind)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_stop_that_comes_last_changes_nothing(
    signals: Signals, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop is closed, the outcome is there."""
    wind_up = loops.wind_up

    def wound_up(loop: asyncio.AbstractEventLoop) -> None:
        wind_up(loop)
        signals.arrives(TERM)

    async def work() -> int:
        return 7

    monkeypatch.setattr(cancellable, "wind_up", wound_up)
    assert cancellable.run_cancellable(work(), kind) == 7


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_stop_cancels_the_work(
    signals: Signals, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says so at once."""
    cancelled: list[bool] = []

    async def work() -> None:
        signals.arrives(TERM)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(Stopped):
        cancellable.run_cancellable(work(), kind)
    assert cancelled == [True]
    assert capfd.readouterr().err == "SIGTERM: the call is cancelled; once more to end at once\n"
