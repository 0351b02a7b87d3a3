"""The lines of an instance: whole, in order, and each its call's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.emulator.instances.output import CHUNK, TAIL, Output, tail
from service.protocol import MAX_LOG_LINE, new_request_id

Lines = list[tuple[str, str]]


@pytest.fixture
def lines() -> Lines:
    """Each line, and the call that it was given to."""
    return []


@pytest.fixture
async def output(lines: Lines) -> Iterator[Output]:  # type: ignore[misc] # pytest takes it so
    """An instance's output, with nothing written yet."""
    output = Output(lines.extend)
    yield output
    output.close()


def test_lines_come_whole_however_they_arrive() -> None:
    """What is written in pieces is the same lines, in the same order."""

    @given(st.lists(st.binary(max_size=20) | st.sampled_from([b"\n", b"a\nb"]), max_size=20))
    def check(pieces: list[bytes]) -> None:
        asyncio.run(_whole(pieces))

    check()


async def _whole(pieces: list[bytes]) -> None:
    lines: Lines = []
    output = Output(lines.extend)
    for piece in pieces:
        os.write(output.writer, piece)
        output.catch_up()
    output.close()
    written = [line.removesuffix(b"\r") for line in b"".join(pieces).split(b"\n")]
    assert lines == [(line.decode("utf-8", "replace"), "") for line in written if line]


async def test_a_line_that_names_a_call_in_flight_is_that_calls(
    output: Output, lines: Lines
) -> None:
    """Among several calls the request id in the line decides; with two ids, or none, nobody's."""
    one, other, gone = new_request_id(), new_request_id(), new_request_id()
    output.begin(one)
    output.begin(other)
    text = [f'{{"id":"{other}"}}', f"{one} and {other}", "no id", f"RequestId: {one}, {gone}"]
    os.write(output.writer, "\n".join([*text, ""]).encode())
    output.catch_up()
    assert lines == list(zip(text, [other, "", "", one], strict=True))


@pytest.mark.parametrize(
    ("form", "own"),
    [
        ("2026-11-29T01:30:00.123Z {0} [INFO] called by {1}", True),
        ("2026-11-29T01:30:00.123Z {0}x [INFO] called by {1}", False),
        ("2026-11-29T01:30:00.123Z {1}-{0}", False),
        ("2026-11-29T01:30:00.123+ {0} [INFO] called by {1}", False),
        ("2026-11-29 01:30:00,123--{0} called by {1}", False),
        ("FC Invoke Start RequestId: {0}", True),
        ("FC Invoke End RequestId: {0}", True),
        ("FC Invoke End RequestId: {0}, Error: Unhandled function error", True),
        ("FC Invoke End RequestId: {0}x", False),
        ("FC Invoke {1} RequestId: {0}", False),
        ("FC {1}: FC Invoke Start RequestId: {0}", False),
    ],
)
async def test_a_line_of_the_platforms_form_is_the_calls_that_it_says(
    output: Output, lines: Lines, form: str, *, own: bool
) -> None:
    """One with its time and the call's id in front may tell of another call; a line around a call
    that names two is nobody's.
    """
    one, other = new_request_id(), new_request_id()
    output.begin(one)
    output.begin(other)
    text = form.format(one, other)
    os.write(output.writer, f"{text}\n".encode())
    output.catch_up()
    assert [name == one for _, name in lines] == [own]


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ("[{}]", True),
        ("id={},é", True),
        ("--{}--", True),
        ("-{} -", True),
        ("{}", True),
        ("{}x", False),
        ("x-{}", False),
    ],
)
async def test_an_id_is_a_whole_word(
    output: Output, lines: Lines, form: str, *, named: bool
) -> None:
    """Signs around a request id leave it what it is; letters and what a hyphen joins do not."""
    one = new_request_id()
    output.begin(one)
    output.begin(new_request_id())
    text = form.format(one)
    os.write(output.writer, f"{text}\n".encode())
    output.catch_up()
    assert lines == [(text, one if named else "")]


async def test_a_line_is_the_only_calls_that_is_in_flight(output: Output, lines: Lines) -> None:
    """With one call in flight every line is its own; what came before and comes after is not."""
    os.write(output.writer, b"before\n")
    output.begin("1-a")
    os.write(output.writer, b"within\n")
    output.catch_up()
    output.end("1-a")
    os.write(output.writer, b"after\n")
    output.catch_up()
    assert lines == [("before", ""), ("within", "1-a"), ("after", "")]


async def test_a_calls_log_is_complete_at_its_end(output: Output, lines: Lines) -> None:
    """All that was written before the end is in the log, a line without its end included, and
    more than one read takes.
    """
    output.begin("1-a", keep=True)
    os.write(output.writer, b"xyz\n" * (3 * CHUNK // 4) + b"one\n\ntwo")
    output.catch_up()
    assert (output.end("1-a") or b"").endswith(b"xyz\none\n\ntwo\n")
    assert lines[-1] == ("two", "1-a")


async def test_a_calls_log_has_its_last_bytes(output: Output) -> None:
    """The log of a call is cut at its beginning, to 4 KB."""
    output.begin("1-a", keep=True)
    for number in range(3000):
        os.write(output.writer, b"%05d a line that is one of many\n" % number)
        output.catch_up()
    output.catch_up()
    log = output.end("1-a")
    assert log is not None
    assert len(log) == TAIL
    assert log.endswith(b"02999 a line that is one of many\n")


async def test_a_log_that_was_not_asked_for_is_not_kept(output: Output) -> None:
    """Only calls that ask for their log have one."""
    output.begin("1-a")
    os.write(output.writer, b"a line\n")
    output.catch_up()
    assert output.end("1-a") is None
    assert output.recent == "a line\n"


async def test_a_line_over_32_kb_is_cut_and_says_so(output: Output, lines: Lines) -> None:
    """The line's length is told; the next line is whole."""
    size = 3 * MAX_LOG_LINE
    for at in range(0, size, CHUNK):
        os.write(output.writer, b"x" * min(CHUNK, size - at))
        output.catch_up()
        assert len(output._begun) <= MAX_LOG_LINE + 1
    os.write(output.writer, b"\nnext\n")
    output.catch_up()
    (long, _), following = lines
    assert len(long) == MAX_LOG_LINE
    assert long.endswith(f"x... [cut: the line had {size} bytes]")
    assert following == ("next", "")


async def test_a_flood_does_not_hold_up_the_end_of_a_call(output: Output, lines: Lines) -> None:
    """Catching up ends, though more is written all the time: with what was there when it began."""
    line = b"a line of a flood, longer than most\n"
    os.set_blocking(output.writer, False)

    def fill() -> None:
        try:
            while True:
                os.write(output.writer, line * 100)
        except BlockingIOError:
            pass

    read = os.read

    def read_and_fill(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        fill()
        return data

    fill()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "read", read_and_fill)
        output.begin("1-a")
        output.catch_up()
        output.end("1-a")
    assert lines


async def test_the_last_words_of_an_instance_are_read(output: Output, lines: Lines) -> None:
    """What a process wrote before it ended is there, without a line's end, too."""
    os.write(output.writer, b"last words")
    output.close()
    assert lines == [("last words", "")]
    assert output.recent == "last words\n"


async def test_an_instance_that_closes_its_output_is_let_be(output: Output) -> None:
    """The end of the pipe is noted once, and nothing is read from then on."""
    output.close_writer()
    output.catch_up()
    output.begin("1-a")
    output.catch_up()
    assert output.end("1-a") is None


@given(st.text(min_size=1, max_size=30), st.integers(0, 6))
def test_a_tail_is_cut_between_characters(text: str, more: int) -> None:
    """A text of UTF-8 stays one, at most three bytes shorter than the limit."""
    data = (text * (TAIL // len(text.encode()) + 2)).encode("utf-8", "replace") + b"x" * more
    found = tail(data)
    found.decode()
    assert data.endswith(found)
    assert TAIL - 3 <= len(found) <= TAIL


def test_a_tail_of_bytes_that_are_no_text_is_whole() -> None:
    """Nothing tells where a character would begin."""
    assert tail(b"\x80" * 5000) == b"\x80" * TAIL
    assert tail(b"\x80 short") == b"\x80 short"


async def test_a_long_line_is_cut_between_characters(output: Output, lines: Lines) -> None:
    """What stands before the note is text."""
    for shift in range(4):
        line = b"x" * shift + "\N{GRINNING FACE}".encode() * (MAX_LOG_LINE // 4 + 10)
        for start in range(0, len(line), CHUNK):
            os.write(output.writer, line[start : start + CHUNK])
            output.catch_up()
        os.write(output.writer, b"\n")
        output.catch_up()
        assert "\ufffd" not in lines[-1][0]
        assert len(lines[-1][0].encode()) <= MAX_LOG_LINE
