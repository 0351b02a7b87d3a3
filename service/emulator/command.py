"""`python -m service emulate`: Function Compute on the desk, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from .. import __version__
from ..errors import UsageError
from ..logs.gathering import GatheringPipe
from .disagreements import disagreements
from .figures import summary
from .instances.pool import Options
from .local import FunctionCompute
from .log import Log
from .spec.model import DeployedFunction, Spec
from .spec.read import read

STATE = Path(".emulator/tasks.db")
"""Where asynchronous calls are kept, beside the spec."""

LAST_LINES = 2.0
"""Seconds that the log's reader has for the last lines."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `emulate`."""
    parser.add_argument(
        "--spec", default="s.yaml", metavar="FILE", help="what is deployed [default: s.yaml]"
    )
    parser.add_argument(
        "--code",
        metavar="DIR",
        help="run this directory in place of each function's `code`: --code . needs no build",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the API's address [default: 127.0.0.1]"
    )
    parser.add_argument(
        "--port",
        type=_within(int, 0, 65535),
        default=8000,
        metavar="PORT",
        help="the API's port, 0 for any that is free [default: 8000]",
    )
    _add_limits(parser)
    parser.add_argument(
        "--access-key",
        metavar="ID:SECRET",
        help="check callers' signatures with it; otherwise any is accepted",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name under which the API may be asked for, host.docker.internal for example"
        " (may be there several times)",
    )
    parser.add_argument(
        "--state",
        metavar="FILE",
        help=f"where asynchronous calls are kept [default: {STATE}, beside the spec]",
    )
    parser.add_argument("--json", action="store_true", help="write the log as JSON lines")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    defaults = Options()
    parser.add_argument(
        "--max-instances",
        type=_within(int, 1, 10_000),
        default=defaults.max_instances,
        metavar="N",
        help=f"instances of a function at most [default: {defaults.max_instances}]",
    )
    parser.add_argument(
        "--idle-timeout",
        type=_within(float, 0.1, 86_400),
        default=defaults.idle_timeout,
        metavar="SECONDS",
        help="stop an instance that has had no call for so long"
        f" [default: {defaults.idle_timeout:g}]",
    )
    parser.add_argument(
        "--start-timeout",
        type=_within(float, 0.1, 86_400),
        default=defaults.start_timeout,
        metavar="SECONDS",
        help="give up an instance whose port is not open after so long"
        f" [default: {defaults.start_timeout:g}, the platform's]",
    )
    parser.add_argument(
        "--share-tmp",
        action="store_true",
        help="let instances have this machine's /tmp, not each one of its own",
    )
    parser.add_argument(
        "--enforce-memory", action="store_true", help="kill an instance above its memorySize"
    )


def _within(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """Return what reads a flag's value: a number of that kind and range."""

    def read_number(text: str) -> float:
        what = "a whole number" if kind is int else "a number"
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least:g} to {most:,.0f}")
        return value

    return read_number


def emulate(flags: argparse.Namespace, cwd: Path) -> int:
    """Play the platform until a signal; return the exit code. Raises StartError and UsageError."""
    path = cwd / flags.spec
    if not path.exists():
        raise UsageError(f"{flags.spec}: there is no such file; --spec FILE names another one")
    spec = read(path, code=None if flags.code is None else cwd / flags.code)
    key = _access_key(flags.access_key)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_emulate(spec, path, key, flags, cwd))


async def _emulate(
    spec: Spec, path: Path, key: tuple[str, str] | None, flags: argparse.Namespace, cwd: Path
) -> int:
    pipe = GatheringPipe(1)
    pipe.attach()
    log = Log(pipe.gather, as_json=flags.json)
    played = FunctionCompute(
        spec,
        log=log,
        options=Options(
            max_instances=flags.max_instances,
            idle_timeout=flags.idle_timeout,
            start_timeout=flags.start_timeout,
            private_tmp=not flags.share_tmp,
            enforce_memory=flags.enforce_memory,
        ),
        state=cwd / flags.state if flags.state else path.parent / STATE,
        host=flags.host,
        port=flags.port,
        access_key=key,
        hosts=flags.allow_host,
    )

    def say(line: str) -> None:
        if flags.json:
            log.line(line)
        else:
            pipe.gather(f"{line}\n".encode())

    try:
        return await _play(played, flags, say)
    finally:
        pipe.detach()
        pipe.flush(LAST_LINES)
        pipe.close()


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


async def _play(
    played: FunctionCompute, flags: argparse.Namespace, say: Callable[[str], None]
) -> int:
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            say("told twice to stop: every instance is killed")
            played.kill()
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the last: a terminal is closed
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # as under nohup
        loop.add_signal_handler(number, stop)
    start = asyncio.ensure_future(played.start())
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({start, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not start.done():
            start.cancel()
            await asyncio.wait({start})
            return 0
        await start
        for line in banner(played, flags.spec):
            say(line)
        await stopped
        say("stopping every instance; Ctrl-C again kills them")
    finally:
        await played.stop()
    if flags.json:
        say(json.dumps({name: each.row() for name, each in played.figures.items()}))
    else:
        for line in summary(played.figures):
            say(line)
    return 0


def banner(played: FunctionCompute, file: str) -> Iterator[str]:
    """Return the lines that say what is played, where, and how to call it."""
    functions = played.spec.functions
    number = f"{len(functions)} function{'s' * (len(functions) != 1)}"
    yield f"Function Compute on the desk {__version__}: {number} of {file} on {played.url}"
    for function in functions.values():
        yield f"  {function.name}: {_terms(function)}"
    for warning in (*played.spec.warnings, *chain(*map(disagreements, functions.values()))):
        yield f"  warning: {warning}"
    first = next(iter(functions))
    yield f"""  try      python -m service invoke '{{"name":"you"}}' --function {first}"""
    endpoint = played.url.removeprefix("http://")
    yield f"""  SDK      Config(endpoint="{endpoint}", protocol="HTTP", ...)"""
    yield "  stop     Ctrl-C: every instance is stopped as the platform does it"


def _terms(function: DeployedFunction) -> str:
    calls = "1 call" if function.concurrency == 1 else f"{function.concurrency} calls"
    terms = [
        " ".join(function.command),
        f"{calls} at once in an instance",
        f"{function.timeout:g} s",
        f"{function.memory} MB",
    ]
    if function.initializer_timeout is not None:
        terms.append("initializer")
    if function.pre_stop_timeout is not None:
        terms.append("pre-stop")
    if function.provisioned:
        terms.append(f"{function.provisioned} provisioned")
    terms.extend(f"timer {timer.name} {timer.cron}" for timer in function.timers if timer.enabled)
    return ", ".join(terms)
