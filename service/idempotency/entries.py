"""What is kept in a store, as bytes: a claim, a result, or a failure.

A line of JSON says what it is, and the result's bytes follow it: who looks into the store can read
it.
"""

from __future__ import annotations

import secrets
from typing import Literal

import msgspec

from ..errors import OnceStoreFailed

ENTRY_FORM = 1
"""The number of this form. A later version of the service that writes another one raises it."""


class KeptEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept under a key. `by` is the request id of the call that has written it."""

    once: int
    state: Literal["running", "done", "failed", "too_large"]
    by: str = ""
    digest: str = ""
    """The payload's hash, "" if it is not checked."""
    token: str = ""
    """Of a claim: whose it is. No two claims have the same."""
    code: str = ""
    """Of a failure: its error type."""
    status: int = 404
    message: str = ""
    size: int = 0
    """Of a result that is too large to be kept: its bytes."""
    body: bytes = b""


def new_claim(by: str, digest: str) -> KeptEntry:
    """Return a claim that nobody else has."""
    return KeptEntry(ENTRY_FORM, "running", by, digest, secrets.token_hex(16))


def as_bytes(entry: KeptEntry) -> bytes:
    """Return what is kept in the store."""
    head = msgspec.structs.replace(entry, body=b"")
    return b"%b\n%b" % (msgspec.json.encode(head), entry.body)


_head = msgspec.json.Decoder(KeptEntry)
_form = msgspec.json.Decoder(dict[str, msgspec.Raw])


def from_bytes(key: str, value: bytes) -> KeptEntry:
    """Return what such bytes mean. Raises OnceStoreFailed if they are not ours, or of another
    version of the service.
    """
    line, _, body = value.partition(b"\n")
    try:
        form = bytes(_form.decode(line)["once"])
        if form == b"%d" % ENTRY_FORM:
            return msgspec.structs.replace(_head.decode(line), body=body)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError):
        form = b""
    if form.isdigit():
        raise OnceStoreFailed(
            f"what is kept under {key!r} has form {form[:20].decode()} and this version of the"
            f" service knows {ENTRY_FORM}: let all instances run the same version, or give the"
            " function another `name` in @once"
        )
    raise OnceStoreFailed(
        f"what is kept under {key!r} was not written by @once: remove it, or give the function"
        " another `name` in @once"
    )
