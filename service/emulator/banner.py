"""What the emulator says when it is there: what is played, where, and how to call it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import chain

from .. import __version__
from .disagreements import disagreements
from .local import FunctionCompute
from .spec.model import DeployedFunction


def modes(flags: argparse.Namespace) -> Iterator[str]:
    """Return a line for each way in which it is not as usual."""
    if flags.reload:
        yield f"  reload   changed code and a changed {flags.spec} are followed"
    if flags.debug is not None:
        yield "  debug    each instance waits for a debugger: its line says on which port"
    if flags.record is not None:
        share = "each call" if flags.record_rate == 1 else f"{flags.record_rate:g} of the calls"
        yield f"  record   {share} into {flags.record}: invoke --replay {flags.record}"


def banner(
    played: FunctionCompute, file: str, console: str = "", further: Iterable[str] = ()
) -> Iterator[str]:
    """Return the lines that say what is played, where, how to call it, and where the console is, if
    there is one; `further` lines stand before the last one.
    """
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
    if console:
        yield f"  console  {console}"
    yield from further
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
