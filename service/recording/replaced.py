"""Credentials, which no recording has: what stands in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ..context.headers import may_have_credentials
from ..settings.load import CREDENTIAL_VARIABLES
from .form import EndedCall

REPLACED = "(replaced)"
"""Stands for the value of a field that may bring credentials, and for each credential elsewhere."""

SHORTEST = 8
"""Characters that a value has at least to be looked for in bodies and lines."""

LEFT_OUT = ("connection", "content-length", "expect", "host", "keep-alive", "transfer-encoding")
"""Fields of the connection, not of the call."""


def without_credentials(call: EndedCall, further: Iterable[str] = ()) -> EndedCall:
    """Return a call without the values of fields that may bring credentials, and without these
    values and `further` ones anywhere else.
    """
    headers = {
        name.lower(): value for name, value in call.headers.items() if name.lower() not in LEFT_OUT
    }
    secret = {name for name in headers if headers[name] and may_have_credentials(name)}
    values = {headers[name] for name in secret} | set(further)
    found = sorted((each for each in values if len(each) >= SHORTEST), key=len, reverse=True)
    return msgspec.structs.replace(
        call,
        headers={name: REPLACED if name in secret else headers[name] for name in headers},
        event=_without(found, call.event),
        result=_without(found, call.result),
        lines=[_text_without(found, line) for line in call.lines],
    )


def variables_of(environ: Mapping[str, str]) -> list[str]:
    """Return the credentials that the environment has."""
    return [environ[name] for name in CREDENTIAL_VARIABLES if environ.get(name)]


def _without(values: Iterable[str], body: bytes) -> bytes:
    for value in values:
        body = body.replace(value.encode("utf-8", "surrogateescape"), REPLACED.encode())
    return body


def _text_without(values: Iterable[str], line: str) -> str:
    for value in values:
        line = line.replace(value, REPLACED)
    return line
