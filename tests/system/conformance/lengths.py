"""Where a body ends: Content-Length, Transfer-Encoding, both, and what hides behind them."""

from __future__ import annotations

from tests.system.conformance.case import LINE, SMUGGLED, Case, coded, message, post, rule
from tests.system.conformance.lines import REFUSED, SERVED, get

CHUNKS = "5\r\nhello\r\n0\r\n\r\n"
OLD = "POST /invoke HTTP/1.0"


def length(value: str, *fields: str, body: str = "hello") -> bytes:
    """Return a POST whose Content-Length is this text."""
    return message(LINE, "Host: a", f"Content-Length: {value}", *fields, body=body)


def both(value: int, coding: str, body: str, line: str = LINE) -> bytes:
    """Return a POST with a Content-Length and a Transfer-Encoding."""
    return length(str(value), f"Transfer-Encoding: {coding}", body=body).replace(
        LINE.encode(), line.encode()
    )


def codings(*values: str, body: str = CHUNKS) -> bytes:
    """Return a POST with one Transfer-Encoding line for each of the values."""
    return message(LINE, "Host: a", *(f"Transfer-Encoding: {v}" for v in values), body=body)


CASES: tuple[Case, ...] = (
    *rule(
        "9112 6.3",
        "MUST",
        "A valid Content-Length is where the body ends",
        SERVED,
        {
            "length": post(),
            "length-zeros": length("0005"),
            "length-later-packet": (post()[:-5], b"hello"),
            "length-byte-by-byte": (post()[:-5], b"h", b"e", b"l", b"l", b"o"),
        },
    ),
    *rule(
        "9112 6.3",
        "MUST",
        "Without Content-Length and Transfer-Encoding there is no body",
        "200= open",
        {"length-none": message(LINE, "Host: a"), "length-zero": length("0", body="")},
    ),
    *rule(
        "9112 6.3",
        "MUST",
        "An invalid Content-Length is 400, and the connection is closed",
        REFUSED,
        {
            "length-plus": length("+5"),
            "length-minus": length("-5"),
            "length-minus-zero": length("-0", body=""),
            "length-letters": length("five"),
            "length-letter-behind": length("5a"),
            "length-hexadecimal": length("0x5"),
            "length-underscore": length("0_5"),
            "length-fraction": length("5.0"),
            "length-exponent": length("5e0"),
            "length-two-words": length("5 5"),
            "length-semicolon": length("5;5"),
            "length-quotes": length('"5"'),
            "length-blank": length(""),
            "length-arabic": length("\xd9\xa5"),
            "length-superscript": length("\xb2"),
            "length-vertical-tab": length("\x0b5"),
            "length-twice-different": length("5", "Content-Length: 6"),
            "length-twice-shorter": length("5", "Content-Length: 0"),
            "length-list-different": length("5, 6"),
            "length-list-word": length("5, a"),
        },
    ),
    *rule(
        "9110 8.6",
        "MAY",
        "A Content-Length that is repeated with the same value may be taken as one, or refused",
        REFUSED,
        {
            "length-twice-same": length("5", "Content-Length: 5"),
            "length-list-same": length("5, 5"),
        },
        warns=SERVED,
    ),
    *rule(
        "9110 8.6",
        "MUST",
        "A Content-Length beyond all integers does not wrap around (to wait for it is no fault)",
        "4xx closed | stuck",
        {
            "length-2-64": length(str(2**64 + 5)),
            "length-2-128": length(str(2**128 + 5)),
            "length-1000-digits": length("9" * 1000),
        },
    ),
    *rule(
        "9112 6",
        "MUST",
        "Framing does not depend on the method: a body is read, or the connection closed",
        "4xx | 2xx | 501",
        {
            "body-of-get": get("/health", f"Content-Length: {len(SMUGGLED)}") + SMUGGLED.encode(),
            "body-of-delete": get("/health", "Content-Length: 5", method="DELETE") + b"hello",
            "body-of-options": get("*", "Content-Length: 5", method="OPTIONS") + b"hello",
            "body-of-unknown": post(line="PROPFIND /invoke HTTP/1.1", body=SMUGGLED),
            "chunks-of-get": get("/health", "Transfer-Encoding: chunked") + CHUNKS.encode(),
        },
    ),
    *rule(
        "9112 9.3",
        "MUST",
        "The body of a request that is answered early is read, or the connection closed",
        "4xx",
        {
            "early-in-one": post(line="POST /nope HTTP/1.1", body=SMUGGLED),
            "early-later": (
                message("POST /nope HTTP/1.1", "Host: a", f"Content-Length: {len(SMUGGLED)}"),
                SMUGGLED.encode(),
            ),
            "early-chunks": coded(
                f"{len(SMUGGLED):x}\r\n{SMUGGLED}\r\n0\r\n\r\n", line="POST /nope HTTP/1.1"
            ),
            "early-method": post(line="PUT /invoke HTTP/1.1", body=SMUGGLED),
        },
    ),
    *rule(
        "9112 2.2",
        "SHOULD",
        "What stands behind a body and is no request is 400, and the connection is closed",
        "200=hello 400 closed",
        {
            "behind-length": post() + b"X\r\n\r\n",
            "behind-many": post() + b"\x01" * 64 + b"\r\n\r\n",
        },
        warns="200=hello closed | 200=hello 501 closed | 200=hello 505 closed",
    ),
    *rule(
        "9112 6.1",
        "MUST",
        "The chunked coding is understood, whatever the case of its name",
        SERVED,
        {
            "coding": coded(CHUNKS),
            "coding-capital": coded(CHUNKS, coding="Chunked"),
            "coding-upper-case": coded(CHUNKS, coding="CHUNKED"),
            "coding-blanks": coded(CHUNKS, coding=" \tchunked\t "),
            "coding-name-case": coded(CHUNKS).replace(b"Transfer-Encoding", b"tRANSFER-eNCODING"),
        },
    ),
    *rule(
        "9112 6.3",
        "MUST",
        "A Transfer-Encoding that does not end with chunked is 400 (or 501: 6.1), and closed",
        "400 closed | 501 closed",
        {
            "coding-identity": codings("identity"),
            "coding-gzip": codings("gzip"),
            "coding-x": codings("xchunked"),
            "coding-behind": codings("chunkedx"),
            "coding-first": codings("chunked, gzip"),
            "coding-then-identity": codings("chunked, identity"),
            "coding-two-lines-last": codings("chunked", "identity"),
            "coding-quotes": codings('"chunked"'),
            "coding-vertical-tab": codings("\x0bchunked"),
            "coding-vertical-tab-behind": codings("chunked\x0b"),
            "coding-space": codings("chun ked"),
            "coding-semicolon": codings("gzip;chunked"),
            "coding-slash": codings("gzip/chunked"),
            "coding-latin": codings("chunked\xa0"),
            "coding-nul": codings("chunked\0"),
            "coding-identity-length": both(5, "identity", "hello"),
            "coding-x-length": both(5, "xchunked", "hello"),
            "coding-empty-length": both(5, "", "hello"),
            "coding-no-colon-name": codings("x: chunked"),
        },
    ),
    *rule(
        "9112 6.1",
        "SHOULD",
        "A coding that is not understood is 501",
        "501",
        {
            "coding-gzip-chunked": codings("gzip, chunked"),
            "coding-two-lines": codings("gzip", "chunked"),
            "coding-identity-chunked": codings("identity, chunked"),
        },
        warns="4xx closed",
    ),
    *rule(
        "9112 7.1",
        "SHOULD",
        "A parameter of the chunked coding is an error",
        "400 | 501",
        {
            "coding-parameter": codings("chunked;q=1"),
            "coding-parameter-blank": codings("chunked ; a=b"),
        },
    ),
    *rule(
        "9112 6.1",
        "MAY",
        "A message that is chunked twice, or whose list has an empty member, may be refused",
        "400 closed | 501 closed",
        {
            "coding-twice": codings("chunked, chunked"),
            "coding-twice-lines": codings("chunked", "chunked"),
            "coding-comma-behind": codings("chunked,"),
            "coding-comma-before": codings(", chunked"),
        },
        warns="200=hello",
    ),
    *rule(
        "9112 6.1",
        "MUST",
        "With both a length and a coding the coding counts or it is 400; the connection is closed",
        "400 closed | 200=hello closed | closed",
        {
            "both": both(5, "chunked", CHUNKS),
            "both-sizes-agree": both(len(CHUNKS), "chunked", CHUNKS),
            "both-length-long": both(99, "chunked", CHUNKS),
            "both-coding-first": coded(CHUNKS, "Content-Length: 5"),
            "both-te-cl": both(4, "chunked", CHUNKS + SMUGGLED),
            "both-length-zero": both(0, "chunked", CHUNKS),
            "both-in-pieces": (both(5, "chunked", "")[:-2], b"\r\n", CHUNKS.encode()),
        },
    ),
    *rule(
        "9112 6.1",
        "MUST",
        "With both, what is behind the last chunk is no request",
        "400 closed | 200= closed",
        {
            "both-cl-te": both(5 + len(SMUGGLED), "chunked", "0\r\n\r\n" + SMUGGLED),
            "both-cl-te-tail": both(6, "chunked", "0\r\n\r\nG"),
            "both-two-lengths": coded(
                "0\r\n\r\n" + SMUGGLED, "Content-Length: 5", "Content-Length: 5"
            ),
        },
    ),
    *rule(
        "9112 6.1",
        "MUST",
        "In HTTP/1.0 a Transfer-Encoding makes the framing faulty: the connection is closed",
        "400 closed | 2xx closed",
        {
            "old-coding": coded(CHUNKS, line=OLD),
            "old-both": both(5, "chunked", CHUNKS, line=OLD),
            "old-coding-kept": coded(CHUNKS, "Connection: keep-alive", line=OLD),
            "old-smuggled": coded("0\r\n\r\n" + SMUGGLED, "Connection: keep-alive", line=OLD),
            "old-both-kept": coded(
                "0\r\n\r\n" + SMUGGLED, "Content-Length: 5", "Connection: keep-alive", line=OLD
            ),
        },
    ),
    *rule(
        "9112 5.2",
        "MUST",
        "Framing that hides in a fold or behind a bare CR is refused or is no framing",
        f"400 | {SERVED}",
        {
            "hidden-fold": length("5", "x-a: b", " Transfer-Encoding: chunked"),
            "hidden-cr": length("5", "x-a: b\rTransfer-Encoding: chunked"),
            "hidden-name": length("5", "Transfer-Encoding\0: chunked"),
            "hidden-value": length("5", "x-a: Transfer-Encoding: chunked"),
        },
    ),
)
