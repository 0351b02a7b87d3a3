"""`python -m service event`: the sample events, listed, or one of them printed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from .. import events
from ..errors import UsageError
from ..events.sample import about, names, sample, type_of
from .result import write_result


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `event`."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="the sample to print, oss.put for example"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY=VALUE",
        help="change a field: events.0.oss.bucket.name=photos; the value is JSON, or else text",
    )
    parser.add_argument(
        "--schema",
        action="store_true",
        help="print the JSON Schema of the sample's type, for an editor, in place of the sample",
    )


def print_event(flags: argparse.Namespace, cwd: Path) -> int:
    """Print what the flags name; return the exit code. Raises UsageError."""
    text = schema_text(flags.name) if flags.schema else sample_text(flags.name, flags.changes)
    write_result(text)
    return 0


def schema_text(name: str | None) -> bytes:
    """Return the JSON Schema of the type that decodes a sample; raises UsageError if none does."""
    sample_text(name or "scalar", ())  # says what is near to a name that there is not
    kind = type_of(name or "scalar")
    if not kind:
        raise UsageError("--schema needs a sample whose type is listed, oss.put for example")
    return json.dumps(events.schema(getattr(events, kind)), indent=2).encode() + b"\n"


def sample_text(name: str | None, changes: Sequence[str]) -> bytes:
    """Return what to print: the sample with its changes, or the list without a name.

    Raises UsageError, which says what is allowed.
    """
    if name is None:
        if changes:
            raise UsageError("--set changes a sample: name one, such as oss.put")
        return _list()
    try:
        return sample(name, dict(map(_change, changes)))
    except (LookupError, ValueError) as reason:
        raise UsageError(str(reason.args[0])) from None
    except ImportError as reason:
        raise UsageError(
            f"{reason.name} is not installed, which this sample's bytes are written with:"
            " install fc-event-service[events], or run `make dev` in the repository of the service"
        ) from None


def _list() -> bytes:
    """Return the samples: name, type of `service.events`, and what it is."""
    rows = [(name, type_of(name) or "-", about(name)) for name in names()]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = (f"{name:{first}}  {kind:{second}}  {what}\n" for name, kind, what in rows)
    return "".join(lines).encode()


def _change(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not path or not equals:
        raise UsageError(f"--set {text}: is not of the form KEY=VALUE")
    return path, value
