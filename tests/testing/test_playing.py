"""`fc_emulator`: Function Compute for one test, in a plain one and in an async one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.emulator.instances.instance import Instance
from service.emulator.log import Log
from service.emulator.testing import emulator
from tests.emulator.play import FUNCTIONS, free_port

Play = Callable[..., emulator]

QUIET = Log(lambda _line: None)


def spec() -> dict[str, Any]:
    """What a `s.yaml` with a bare server holds."""
    props = {
        "functionName": "fn",
        "runtime": "custom.debian12",
        "code": str(FUNCTIONS),
        "customRuntimeConfig": {"command": ["python3", "bare.py"], "port": free_port()},
    }
    return {"edition": "3.0.0", "resources": {"fn": {"component": "fc3", "props": props}}}


def is_ended(instance: Instance) -> bool:
    """Whether the instance's process has ended, and no thread of an emulator is left."""
    assert instance.processes is not None
    named = {thread.name for thread in threading.enumerate()}
    return instance.processes.ended.done() and "emulator" not in named


def test_a_plain_test_plays_it_with_a_with(fc_emulator: Play) -> None:
    """An instance has started, and is gone afterwards, with the emulator's thread."""
    with fc_emulator(spec(), log=QUIET) as fc:
        assert fc.invoke("fn", "in a plain test").body == b"in a plain test"
        [instance] = fc.instances("fn")
    assert is_ended(instance)


async def test_an_async_test_plays_it_with_an_async_with(fc_emulator: Play) -> None:
    """On the loop of the test."""
    async with fc_emulator(spec(), log=QUIET) as fc:
        assert (await fc.invoke("fn", "in an async test")).body == b"in an async test"
        [instance] = fc.instances("fn")
    assert is_ended(instance)


async def test_one_that_runs_is_entered_by_nobody_else(fc_emulator: Play) -> None:
    """It is told what to do; once it has ended it starts again."""
    played = fc_emulator(spec(), log=QUIET)
    for _ in range(2):
        async with played:
            with pytest.raises(RuntimeError, match=r"runs already: .* is another emulator\("):
                await played.__aenter__()
            with pytest.raises(RuntimeError, match="runs already"):
                played.__enter__()


def test_a_plain_test_that_is_interrupted_leaves_nothing(
    fc_emulator: Play, interrupts: signal.Signals
) -> None:
    """Ctrl-C comes to the test, and the call that it waited for is ended with its instance."""
    main = threading.main_thread().ident or 0

    def interrupt(fc: Any) -> None:
        while not fc.call(lambda: instances[0].in_flight):
            pass
        signal.pthread_kill(main, interrupts)

    def play() -> None:
        with fc_emulator(spec(), log=QUIET) as fc:
            fc.invoke("fn", "warm")
            instances.extend(fc.instances("fn"))
            interrupting.submit(interrupt, fc)
            fc.invoke("fn", "sleep 100")

    instances: list[Instance] = []
    with ThreadPoolExecutor() as interrupting, pytest.raises(KeyboardInterrupt):
        play()
    assert is_ended(instances[0])
