"""Signatures: what is accepted, and that nothing that was altered is."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.emulator.api.signature import ALGORITHM, Head, Verifier, check_body, signature_of
from service.emulator.calls import PlatformError

KEY = ("LTAI-test", "the-secret")
NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z
DATE = "2026-09-21T14:13:20Z"
BODY = b'{"name":"x"}'
HEADERS = {
    "host": "127.0.0.1:8000",
    "content-type": "application/octet-stream",
    "x-acs-action": "InvokeFunction",
    "x-acs-content-sha256": hashlib.sha256(BODY).hexdigest(),
    "x-acs-date": DATE,
    "x-acs-signature-nonce": "f81d4fae7dec11d0a76500a0c91e6bf6",
    "x-acs-version": "2023-03-30",
    "x-fc-invocation-type": "Sync",
}


def head(key: tuple[str, str] = KEY, **changes: str) -> Head:
    """A signed request; `changes` (underscores for hyphens) are made before it is signed."""
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    unsigned = Head(
        "POST",
        "/2023-03-30/functions/fn/invocations",
        "qualifier=LATEST&note=a%20b",
        {name: [value] for name, value in headers.items() if value},
    )
    names = sorted(unsigned.headers)
    signature = signature_of(unsigned, names, key[1])
    text = f"{ALGORITHM} Credential={key[0]},SignedHeaders={';'.join(names)},Signature={signature}"
    return with_headers(unsigned, {"authorization": text})


def with_headers(sent: Head, headers: Mapping[str, str]) -> Head:
    """The same request with other headers."""
    return replace(sent, headers={**sent.headers, **{n: [v] for n, v in headers.items()}})


def verifier(now: float = NOW) -> Verifier:
    """One that knows the key, at a time."""
    return Verifier(KEY, lambda: now)


def test_the_example_of_the_documentation_has_its_signature() -> None:
    """The canonical form is Alibaba Cloud's: its published example has the published signature."""
    example = Head(
        "POST",
        "/",
        "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
        {
            "host": ["ecs.cn-shanghai.aliyuncs.com"],
            "x-acs-action": ["RunInstances"],
            "x-acs-content-sha256": [hashlib.sha256(b"").hexdigest()],
            "x-acs-date": ["2023-10-26T10:22:32Z"],
            "x-acs-signature-nonce": ["3156853299f313e23d1673dc12e1703d"],
            "x-acs-version": ["2014-05-26"],
        },
    )
    assert signature_of(example, sorted(example.headers), "YourAccessKeySecret") == (
        "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_a_signed_request_is_accepted() -> None:
    """What was signed with the key passes, and tells the hash that its body has to have."""
    check_body(BODY, verifier().check(head()))


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (head(("LTAI-other", KEY[1])), 403, "InvalidAccessKeyID"),
        (head((KEY[0], "another")), 403, "SignatureNotMatch"),
        (head(x_acs_date="2026-09-21T13:58:19Z"), 400, "InvalidTimeStamp.Expired"),
        (head(x_acs_date="2026-09-21T14:28:21Z"), 400, "InvalidTimeStamp.Expired"),
        (head(x_acs_date="yesterday"), 400, "InvalidTimeStamp.Format"),
        (head(x_acs_signature_nonce=""), 400, "MissingRequiredHeader"),
        (with_headers(head(), {"authorization": ""}), 400, "MissingRequiredHeader"),
        (with_headers(head(), {"authorization": "acs a:b"}), 400, "InvalidArgument"),
        (with_headers(head(), {"x-acs-extra": "unsigned"}), 403, "SignatureNotMatch"),
    ],
)
def test_what_is_wrong_has_the_platforms_code(sent: Head, status: int, code: str) -> None:
    """A wrong key, an old or coming date, a missing or an unsigned header are told apart."""
    with pytest.raises(PlatformError) as refusal:
        verifier().check(sent)
    assert (refusal.value.status, refusal.value.code) == (status, code)


@pytest.mark.parametrize("date", ["2026-09-21T13:58:21Z", "2026-09-21T14:28:19Z"])
def test_clocks_may_differ_by_15_minutes(date: str) -> None:
    """A date just inside of the limit passes, before and after."""
    verifier().check(head(x_acs_date=date))


def test_a_nonce_is_accepted_once() -> None:
    """The same request again is refused, one with a nonce of its own is not."""
    known = verifier()
    known.check(head())
    with pytest.raises(PlatformError, match="used already"):
        known.check(head())
    known.check(head(x_acs_signature_nonce="another"))


def test_nonces_are_forgotten_when_their_dates_are_too_old() -> None:
    """What a replay could still use is remembered, nothing else."""
    now = [NOW]
    known = Verifier(KEY, lambda: now[0])
    for index in range(3):
        known.check(head(x_acs_signature_nonce=f"n{index}"))
    assert len(known._nonces) == len(known._used) == 3
    now[0] += 1801
    known.check(head(x_acs_date="2026-09-21T14:43:21Z", x_acs_signature_nonce="late"))
    assert known._nonces == {"late"}


def test_a_refused_request_uses_no_nonce() -> None:
    """Who does not know the secret cannot spoil a nonce for who does."""
    known = verifier()
    with pytest.raises(PlatformError):
        known.check(head((KEY[0], "another")))
    known.check(head())


@given(data=st.data())
def test_no_byte_of_a_signed_head_can_be_altered(data: st.DataObject) -> None:
    """Method, path, query and each signed header are covered: any other character is refused."""
    sent = head()
    parts = ["method", "path", "query", *sorted(HEADERS)]
    part = data.draw(st.sampled_from(parts))
    original = sent.headers[part][0] if part in HEADERS else getattr(sent, part)
    place = data.draw(st.integers(0, len(original) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_.~&=%/:; "))
    assume(other != original[place])
    altered = original[:place] + other + original[place + 1 :]
    if part in HEADERS:
        sent = with_headers(sent, {part: altered})
    else:
        changed: dict[str, Any] = {part: altered}
        sent = replace(sent, **changed)
    with pytest.raises(PlatformError):
        verifier().check(sent)


@given(name=st.sampled_from(sorted(HEADERS)))
def test_no_signed_header_can_be_taken_away_or_doubled(name: str) -> None:
    """A header less, or the same one twice, is not what was signed."""
    less = {key: value for key, value in head().headers.items() if key != name}
    more = {**head().headers, name: [*head().headers[name], "more"]}
    for headers in (less, more):
        with pytest.raises(PlatformError):
            verifier().check(replace(head(), headers=headers))


@given(place=st.integers(0, len(BODY) - 1), byte=st.integers(0, 255))
def test_no_byte_of_the_body_can_be_altered(place: int, byte: int) -> None:
    """The body is covered by its hash, which is signed."""
    assume(byte != BODY[place])
    content_hash = verifier().check(head())
    with pytest.raises(PlatformError, match="does not match"):
        check_body(BODY[:place] + bytes([byte]) + BODY[place + 1 :], content_hash)


def test_the_order_of_query_and_the_writing_of_escapes_do_not_matter() -> None:
    """What means the same request is signed the same: sorted, with its escapes decoded."""
    verifier().check(replace(head(), query="note=a+b&qualifier=LATEST"))
    verifier().check(replace(head(), path="/2023-03-30/functions/%66n/invocations"))
