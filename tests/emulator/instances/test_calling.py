"""What is done for calls that end: together if they are answered together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from unittest.mock import Mock

import pytest

from service.emulator.account import Account
from service.emulator.instances.calling import InstanceCalls, Life
from service.emulator.instances.output import Output
from service.emulator.log import CallLine
from tests.emulator.play import function


async def test_calls_that_are_answered_together_have_all_of_their_lines() -> None:
    """The pipe is read once they are all answered, and each call's own report comes behind."""
    lines: list[CallLine] = []
    calls = InstanceCalls(function(), Account(), Mock(Life, memory=1.0), lines.extend)
    calls.output = output = Output(lines.extend)
    ended = asyncio.Event()
    for name in ("1-a", "1-b"):
        output.begin(name)
    calls.end_soon(("1-a", 0.5, lambda: None))
    os.write(output.writer, b"1-b says\n1-a says\n")
    calls.end_soon(("1-b", 0.25, ended.set))
    assert lines == []
    await ended.wait()
    output.close()
    assert [(name, text.partition(" ms")[0]) for text, name in lines] == [
        ("1-b", "1-b says"),
        ("1-a", "1-a says"),
        ("1-a", "RequestId: 1-a Duration: 500.00"),
        ("1-b", "RequestId: 1-b Duration: 250.00"),
    ]


async def test_a_call_ends_whatever_becomes_of_its_lines() -> None:
    """Its slot and its client wait for it."""

    def fail(_lines: Sequence[CallLine]) -> None:
        raise RuntimeError("the log has broken")

    calls = InstanceCalls(function(), Account(), Mock(Life, memory=1.0), fail)
    ended: list[str] = []
    with pytest.raises(RuntimeError, match="broken"):
        calls.end([("1-a", 0.5, lambda: ended.append("1-a"))])
    assert ended == ["1-a"]
