"""`python -m service emulate`: Function Compute on the desk, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from ..errors import UsageError
from ..logs.gathering import GatheringPipe
from .banner import banner, modes
from .console.emulator_source import EmulatorSource
from .console.opening import console_flags, opened_console
from .console.recorder import RecordedLog, Recorder
from .figures import summary
from .flags import STATE
from .flags import add_flags as add_flags
from .instances.conditions import Options
from .local import FunctionCompute
from .log import Log
from .recorded import EmulatorRecording
from .reloading import UNCACHED, Reloading
from .spec.model import Spec
from .spec.read import read

LAST_LINES = 2.0
"""Seconds that the log's reader has for the last lines."""


def emulate(flags: argparse.Namespace, cwd: Path) -> int:
    """Play the platform until a signal; return the exit code. Raises StartError and UsageError."""
    path = cwd / flags.spec
    if not path.exists():
        raise UsageError(f"{flags.spec}: there is no such file; --spec FILE names another one")
    read_spec = partial(read, path, code=None if flags.code is None else cwd / flags.code)
    spec = read_spec()
    key = _access_key(flags.access_key)
    console_flags(flags)  # what is wrong with them is told before anything starts
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_emulate(spec, path, key, flags, cwd, read_spec))


async def _emulate(
    spec: Spec,
    path: Path,
    key: tuple[str, str] | None,
    flags: argparse.Namespace,
    cwd: Path,
    read_spec: Callable[[], Spec],
) -> int:
    pipe = GatheringPipe(1)
    pipe.attach()
    console = console_flags(flags)
    recorder = None if console is None else Recorder()
    log = _log_to(pipe.gather, recorder, as_json=flags.json)
    state = cwd / flags.state if flags.state else path.parent / STATE
    played = FunctionCompute(
        spec,
        log=log,
        options=_options(flags),
        state=state,
        host=flags.host,
        port=flags.port,
        access_key=key,
        hosts=flags.allow_host,
        recording=_recording(flags, cwd, log),
        watching=recorder,
    )

    def say(line: str) -> None:
        if flags.json:
            log.line(line)
        else:
            pipe.gather(f"{line}\n".encode())

    reloading = Reloading(played, path, read_spec, say) if flags.reload else None
    try:
        async with AsyncExitStack() as parts:
            address = ""
            if console is not None and recorder is not None:
                source = EmulatorSource(played, recorder, flags.spec, flags.code)
                opened = opened_console(source, recorder, console, state)
                address = await parts.enter_async_context(opened)
            return await _play(played, flags, say, address, reloading)
    finally:
        pipe.detach()
        pipe.flush(LAST_LINES)
        pipe.close()


def _options(flags: argparse.Namespace) -> Options:
    return Options(
        max_instances=flags.max_instances,
        idle_timeout=flags.idle_timeout,
        start_timeout=flags.start_timeout,
        private_tmp=not flags.share_tmp,
        enforce_memory=flags.enforce_memory,
        debug=flags.debug,
        variables=UNCACHED if flags.reload else {},
    )


def _recording(flags: argparse.Namespace, cwd: Path, log: Log) -> EmulatorRecording | None:
    if flags.record is None:
        return None
    key = [] if flags.access_key is None else flags.access_key.split(":")
    return EmulatorRecording(
        cwd / flags.record,
        log.line,
        rate=flags.record_rate,
        limit=flags.record_bytes,
        credentials=key,
    )


def _log_to(write: Callable[[bytes], None], recorder: Recorder | None, *, as_json: bool) -> Log:
    if recorder is None:
        return Log(write, as_json=as_json)
    return RecordedLog(write, recorder, as_json=as_json)


def _access_key(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    key, _, secret = text.partition(":")
    if not (key and secret):
        raise UsageError("--access-key must be ID:SECRET")
    return key, secret


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not for this system
        return None
    return uvloop.new_event_loop


def _heed_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the last: a terminal is closed
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # as under nohup
        loop.add_signal_handler(number, stop)


async def _play(
    played: FunctionCompute,
    flags: argparse.Namespace,
    say: Callable[[str], None],
    console: str,
    reloading: Reloading | None,
) -> int:
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            say("told twice to stop: every instance is killed")
            played.kill()
        stopping.set()

    _heed_signals(stop)
    start = asyncio.ensure_future(played.start())
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({start, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not start.done():
            start.cancel()
            await asyncio.wait({start})
            return 0
        await start
        gc.freeze()  # what is there by now stays: it is not looked through again and again
        if reloading is not None:
            await reloading.start()
        for line in banner(played, flags.spec, console, modes(flags)):
            say(line)
        await stopped
        say("stopping every instance; Ctrl-C again kills them")
    finally:
        if reloading is not None:
            await reloading.stop()
        await played.stop()
    _sum_up(played, say, as_json=flags.json)
    return 0


def _sum_up(played: FunctionCompute, say: Callable[[str], None], *, as_json: bool) -> None:
    if as_json:
        say(json.dumps({name: each.row() for name, each in played.figures.items()}))
    else:
        for line in summary(played.figures):
            say(line)
