"""What is kept in a store, as bytes."""

from __future__ import annotations

import pytest

from service.errors import OnceStoreFailed
from service.idempotency.entries import ENTRY_FORM, KeptEntry, as_bytes, from_bytes, new_claim


def test_what_is_kept_is_read_back() -> None:
    """A result's bytes are as they were, whatever they are."""
    for entry in (
        new_claim("request", "digest"),
        KeptEntry(ENTRY_FORM, "done", "request", "digest", body=bytes(range(256))),
        KeptEntry(ENTRY_FORM, "failed", code="OrderRefused", status=400, message="no\nstock"),
        KeptEntry(ENTRY_FORM, "too_large", size=7),
    ):
        assert from_bytes("key", as_bytes(entry)) == entry


def test_no_two_claims_are_the_same() -> None:
    """A claim is known by its token."""
    assert as_bytes(new_claim("request", "")) != as_bytes(new_claim("request", ""))


def test_who_looks_into_the_store_can_read_it() -> None:
    """A line of JSON, and the result."""
    entry = KeptEntry(ENTRY_FORM, "done", "request-1", body=b'{"a":1}')
    assert as_bytes(entry) == b'{"once":1,"state":"done","by":"request-1"}\n{"a":1}'


@pytest.mark.parametrize(
    "value",
    [b"", b"\n", b"garbage", b"\xff\xfe", b"[]", b'"once"', b'{"a":1}', b'{"once":"1"}',
     b'{"once":1,"state":"odd"}', b'{"once":1}', b"[" * 100_000],
)  # fmt: skip
def test_bytes_that_are_not_ours_are_told(value: bytes) -> None:
    """The error names the key and what to do."""
    with pytest.raises(OnceStoreFailed, match=r"'the key' was not written by @once: remove it"):
        from_bytes("the key", value)


def test_another_versions_entry_is_told_as_such() -> None:
    """Two versions of the service that keep different things do not misread each other."""
    with pytest.raises(OnceStoreFailed, match="has form 2 and this version of the service knows 1"):
        from_bytes("the key", b'{"once":2,"state":"done","more":[]}\nresult')
