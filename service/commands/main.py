"""The command line: `serve` and `invoke`, their help, and the exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from .. import __version__
from ..app import create_app
from ..errors import StartError, UsageError
from ..instance.assembly import SERVICE
from ..logs.attribution import inherit_in_threads
from ..logs.capture import route_all
from ..logs.log import Logs
from ..logs.pipe import Sink
from ..process.checks import check_leftovers, check_start
from ..process.serve import listen
from ..process.signals import SIGNALS, Stopped
from ..settings import table
from ..settings.table import Loaded
from ..workers.shares import how_many
from .serve import _serve, _serve_with_others, load_handlers

PROGRAM = "python -m service"
COMMANDS = {
    "serve": "serve the handler (what is done when no command is named)",
    "invoke": "call the handler once: result on stdout, log on stderr",
    "event": "list the sample events, or print one",
    "emulate": "play Function Compute for the functions of s.yaml",
}
EXAMPLES = f"""\
examples:
  {PROGRAM}                              serve index.py's handler on port 9000
  {PROGRAM} --handler app.main --reload  serve app.py's main, anew after each change
  {PROGRAM} invoke --event '{{"name":"x"}}'  call the handler once, without a server
  {PROGRAM} invoke @oss.put              the same with a trigger's sample event
  {PROGRAM} event                        the sample events
  {PROGRAM} --show-config                each setting, its value, and where it came from

Each setting can also stand in config/service.toml, or in the environment as SERVICE_<NAME>.
Exit codes: 0 stopped, 1 function error (invoke), 2 wrong usage or settings, 3 could not start,
130 or 143 invoke was stopped by SIGINT or SIGTERM; serve was, by a second one.
"""
LEFTOVERS = 2.0
"""Seconds for threads, processes and exit functions of the function's own to end by themselves once
the service has stopped.
"""


def main() -> NoReturn:
    """Run a command and exit: the process's own entry point."""
    try:
        code = run(sys.argv[1:], Path.cwd())
    except StartError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)  # noqa: T201 - the command line speaks here
        code = error.exit_code
    except Stopped:
        code = 0
    _leave(code)


def run(arguments: Sequence[str], cwd: Path) -> int:
    """Run the command that `arguments` name and return its exit code. Raises StartError and
    UsageError.
    """
    named = arguments[0] if arguments and arguments[0] in COMMANDS else ""
    flags = _parser(named).parse_args(arguments[1:] if named else arguments)
    if named == "event":
        return _event(flags)
    if named == "emulate":
        return _emulate(flags, cwd)
    loaded = table.load(vars(flags), os.environ, cwd)
    if flags.show_config:
        print(table.show(loaded))  # noqa: T201
        return 0
    SIGNALS.heed()
    if named == "invoke":
        try:
            return _invoke(loaded, flags, cwd)
        except Stopped as stopped:  # no result: unlike a service, it has not done its work
            return 128 + stopped.number
    workers = how_many(loaded.settings)
    if flags.reload:
        if workers > 1:
            raise UsageError("--reload serves with one worker: leave it out, or say --workers 1")
        check_leftovers(os.environ, "--reload")
        from .reload import supervise  # for the desk: no other start waits for it

        return supervise(listen(loaded.settings), arguments, cwd)
    if workers > 1:
        from ..workers.start import supervise_workers

        check_start(loaded.settings, os.environ)
        return supervise_workers(
            workers, loaded.settings, lambda seat: _serve_with_others(loaded, cwd, seat)
        )
    return _serve(loaded, flags, cwd)


def _parser(command: str) -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:8} {what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {command}".rstrip(),
        description="Serves an event function of Alibaba Cloud Function Compute,"
        f" many calls at once.\n\ncommands:\n{commands}\n\n"
        f"{PROGRAM} COMMAND --help tells more of each.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fc-event-service {__version__}")
    if command == "event":
        from . import event

        event.add_flags(parser)
        return parser
    if command == "emulate":
        from ..emulator import command as emulation

        emulation.add_flags(parser)
        return parser
    parser.add_argument(
        "--show-config", action="store_true", help="print each setting, its value and its source"
    )
    if command == "invoke":
        from . import invoke

        invoke.add_flags(parser)
    else:
        parser.add_argument(
            "--reload",
            action="store_true",
            help="for work at the desk: serve changed files at once",
        )
        parser.add_argument("--socket", type=int, help=argparse.SUPPRESS)
        parser.add_argument("--ready", type=int, help=argparse.SUPPRESS)
        parser.add_argument("--alive", type=int, help=argparse.SUPPRESS)
    table.add_flags(parser)
    return parser


def _invoke(loaded: Loaded, flags: argparse.Namespace, cwd: Path) -> int:
    from . import client, invoke

    event = invoke.event_of(flags, cwd, sys.stdin.buffer)
    if flags.function is not None:
        address = flags.url or client.EMULATOR
        answer = client.through_api(
            address, flags.function, event, asynchronous=flags.asynchronous, tail=flags.tail
        )
        sys.stderr.write(answer.told)
        _write(answer.body)
        return 1 if answer.failed else 0
    logs = Logs(Sink(2), loaded.settings.log_format)
    undo = route_all(logs, loaded.settings.log_level)
    inherit_in_threads()
    try:
        if flags.url:
            result, failed = client.remote(flags.url, event, loaded.settings)
        else:
            app = create_app(loaded.settings, loaded.platform, load_handlers(loaded, cwd), logs)
            result, failed = invoke.local(app[SERVICE], event)
    finally:
        logs.close()
        undo()
    _write(result)
    return 1 if failed else 0


def _emulate(flags: argparse.Namespace, cwd: Path) -> int:
    from ..emulator import command

    return command.emulate(flags, cwd)


def _event(flags: argparse.Namespace) -> int:
    from . import event

    _write(event.text_of(flags.name, flags.changes))
    return 0


def _write(result: bytes) -> None:
    sys.stdout.buffer.write(result)
    sys.stdout.buffer.flush()
    if result and not result.endswith(b"\n") and sys.stdout.isatty():
        print()  # noqa: T201


def _leave(code: int) -> NoReturn:
    """Exit, even where a thread, a process or an exit function of the function's never ends: the
    interpreter would wait for it for ever.
    """

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        if "multiprocessing" in sys.modules:
            for process in sys.modules["multiprocessing"].active_children():
                process.kill()  # it has the port as well
        os._exit(code)

    overdue = threading.Timer(LEFTOVERS, end)
    overdue.daemon = True
    overdue.start()
    sys.exit(code)
