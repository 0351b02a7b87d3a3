"""`python -m service invoke`: one call, in this process, over HTTP as the platform makes it, or
through the platform's API as a client does.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .. import protocol
from ..app import assemble_app
from ..context.call import Context
from ..context.fields import Platform
from ..context.record import CallRecord
from ..errors import ServiceError, UsageError
from ..in_process import call_in_process
from ..instance.assembly import SERVICE, Service
from ..logs.log import Logs
from ..process.beside import runs_here
from ..process.patches import heed_stops
from ..process.signals import Stopped
from ..settings.load import Loaded
from ..settings.sources import PROFILE
from .cancellable import run_cancellable
from .client import ANY_KEY, EMULATOR, call_function, call_service
from .event_source import event_bytes
from .handlers import load_handlers, logged
from .parser import add_settings
from .result import keep_stdout, write_result

_log = logging.getLogger(protocol.SERVICE_LOGGER)

PROFILE_FILE = "profile.svg"
"""The flame graph of `--profile`, in the working directory."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `call_once`."""
    forms = "a file or @FILE, - for stdin, JSON text, or @oss.put for a sample"
    parser.add_argument(
        "argument", nargs="?", metavar="EVENT", help=f"the event: {forms} [default: {{}}]"
    )
    parser.add_argument(
        "--event", metavar="FILE|-|JSON|@SAMPLE", help="the event, in the same forms"
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help="send it to a running service, http://127.0.0.1:9000 for example, instead of calling"
        " the handler in this process",
    )
    _add_flags_of_function(parser)
    parser.add_argument(
        "--profile-to",
        metavar="FILE",
        help="draw where the handler's time goes as a flame graph into FILE; --profile without a"
        f" name draws into {PROFILE_FILE}",
    )
    _add_flags_of_replay(parser)
    add_settings(parser)


def _add_flags_of_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--replay",
        metavar="FILE|DIR",
        help="in place of an event: send the calls again that --record DIR has written, and show"
        " what differs; exit code 1 if a result does",
    )
    parser.add_argument(
        "--overlap",
        action="store_true",
        help="with --replay: let the calls overlap as they did, in place of one by one",
    )
    parser.add_argument(
        "--of", metavar="NAME", help="with --replay: the calls of this function alone"
    )


def _add_flags_of_function(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--function",
        metavar="NAME",
        help="send it to a function of the emulator, as a client of the platform's InvokeFunction"
        f" does; --url is the emulator's address then [default: {EMULATOR}]",
    )
    parser.add_argument(
        "--async",
        action="store_true",
        dest="asynchronous",
        help="with --function: do not wait for the result",
    )
    parser.add_argument(
        "--tail", action="store_true", help="with --function: the call's log, on stderr"
    )
    parser.add_argument(
        "--access-key",
        metavar="ID:SECRET",
        help="with --function: sign the call with it [default: the ALIBABA_CLOUD variables' that"
        " SDKs read, or any]",
    )


def with_profile_file(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `--profile-to` for each `--profile` that no name of a profile
    of settings follows: with one it is the setting's.
    """
    following = (*arguments[1:], "-")
    return [
        f"--profile-to={PROFILE_FILE}"
        if argument == "--profile" and not PROFILE.fullmatch(following[place])
        else argument
        for place, argument in enumerate(arguments)
    ]


def event_of(flags: argparse.Namespace, cwd: Path, stdin: BinaryIO) -> bytes:
    """Return the event that the flags name. Raises UsageError."""
    if flags.argument is not None and flags.event is not None:
        raise UsageError("the event is there twice: say it with --event or without, not both")
    if flags.profile_to and (flags.function or flags.url):
        raise UsageError(
            "--profile looks at the handler in this process: leave out --url and --function, or"
            " start the service with SERVICE_PROFILE_CALLS=SECONDS"
        )
    if flags.overlap or flags.of is not None:
        raise UsageError("--overlap and --of go with --replay FILE|DIR")
    if flags.function is None and (flags.asynchronous or flags.tail):
        raise UsageError("--async and --tail go with --function NAME: a call of the emulator's API")
    named = flags.event if flags.argument is None else flags.argument
    return event_bytes("{}" if named is None else named, cwd, stdin)


def call_once(loaded: Loaded, flags: argparse.Namespace, cwd: Path) -> int:
    """Make the call that the flags name, write its result on stdout and its log on stderr, and
    return the exit code. Raises StartError and UsageError.
    """
    heed_stops()
    try:
        if flags.replay is not None:
            return send_recorded(loaded, flags, cwd)
        event = event_of(flags, cwd, sys.stdin.buffer)
        if flags.function is not None:
            return _through_api(loaded, flags, event)
        return _called(loaded, flags, event, cwd)
    except Stopped as stopped:  # no result: unlike a service, it has not done its work
        return 128 + stopped.number


def send_recorded(loaded: Loaded, flags: argparse.Namespace, cwd: Path) -> int:
    """Send the calls of a recording again, and return the exit code. Raises StartError and
    UsageError.
    """
    events = flags.argument is not None or flags.event is not None
    if events or flags.profile_to or flags.asynchronous or flags.tail:
        raise UsageError("--replay has its events: leave out EVENT, --profile, --async and --tail")
    from .replay import replay  # few calls are recorded ones

    if flags.function is not None:
        flags.url = flags.url or EMULATOR
    return replay(loaded, flags, cwd, _access_key(flags.access_key, loaded.platform))


def _through_api(loaded: Loaded, flags: argparse.Namespace, event: bytes) -> int:
    address = flags.url or EMULATOR
    answer = call_function(
        address,
        flags.function,
        event,
        asynchronous=flags.asynchronous,
        tail=flags.tail,
        access_key=_access_key(flags.access_key, loaded.platform),
    )
    sys.stderr.write(answer.told)
    write_result(answer.body)
    return 1 if answer.failed else 0


def _access_key(text: str | None, platform: Platform) -> tuple[str, str]:
    """Return the key to sign with: of the flag, of the variables that SDKs read, or any."""
    if text is not None:
        key_id, _, secret = text.partition(":")
        if not (key_id and secret):
            raise UsageError("--access-key must be ID:SECRET")
        return key_id, secret
    key_id, secret = platform.access_key_id, platform.access_key_secret
    return (key_id, secret) if key_id and secret else ANY_KEY


def _called(loaded: Loaded, flags: argparse.Namespace, event: bytes, cwd: Path) -> int:
    result_to = keep_stdout()
    with logged(loaded.settings, 2) as logs:
        if flags.url:
            result, failed = call_service(flags.url, event, loaded.settings)
        else:
            result, failed = _called_in_process(loaded, flags.profile_to, event, cwd, logs)
    write_result(result, result_to)
    return 1 if failed else 0


def _called_in_process(
    loaded: Loaded, profile_to: str | None, event: bytes, cwd: Path, logs: Logs
) -> tuple[bytes, bool]:
    if profile_to is None:
        handlers = load_handlers(loaded, cwd)
        app = assemble_app(loaded.settings, loaded.platform, handlers, logs)
        return call_here(app[SERVICE], event)
    from .profile import on_visible_loop, profile_of_one

    profile = profile_of_one(cwd, profile_to)
    handlers = profile.around(load_handlers(loaded, cwd))
    settings = on_visible_loop(loaded).settings
    try:
        return call_here(assemble_app(settings, loaded.platform, handlers, logs)[SERVICE], event)
    finally:
        profile.finish()


def call_here(service: Service, event: bytes) -> tuple[bytes, bool]:
    """Call the handler in this process, between the initializer and `pre_stop`; return the answer's
    body and whether it is an error.
    """
    threads = service.threads if runs_here(service) else None
    return run_cancellable(_call_here(service, event), service.settings.loop, threads)


async def _call_here(service: Service, event: bytes) -> tuple[bytes, bool]:
    settings = service.settings
    if service.handlers.middlewares:
        _log.warning("there is no request here: the handler is called without its middlewares")
    request_id = protocol.new_request_id()
    name = service.handlers.handler.name
    headers = protocol.common_headers(request_id, handler=name, timeout=settings.timeout)
    limit = protocol.time_limit("", settings.timeout, settings.deadline_margin)
    record = CallRecord(time.monotonic())
    deadline = None if limit is None else record.arrived + limit
    context = Context(headers, request_id, deadline, service.platform, record)
    try:
        result, failed = await call_in_process(service, context, event), False
    except ServiceError as error:
        result = protocol.error_body(error.code, str(error), request_id, [])
        failed = True
    if service.lifecycle.ready:
        with suppress(ServiceError):  # its failure is logged, and is not the call's
            await service.lifecycle.stop()
    return result, failed
