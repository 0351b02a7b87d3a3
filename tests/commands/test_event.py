"""The sample events on the command line."""

from __future__ import annotations

import argparse
import json
import sys

import pytest

import service.events
from service.calls.decode import decoder
from service.commands import event
from service.errors import UsageError
from service.events.sample import names, sample


def printed(*arguments: str) -> bytes:
    """What `event` prints for these arguments."""
    parser = argparse.ArgumentParser()
    event.add_flags(parser)
    flags = parser.parse_args(arguments)
    return event.sample_text(flags.name, flags.changes)


def test_the_list_has_a_line_for_each_sample() -> None:
    """Name, type and what it is, in columns."""
    lines = printed().decode().splitlines()
    assert [line.split()[0] for line in lines] == names()
    for count in (1, 2):
        assert len({len(line) - len(line.split(None, count)[count]) for line in lines}) == 1


def test_the_type_that_the_list_names_decodes_the_sample() -> None:
    """A handler with that annotation takes the event; "-" stands where there is no type."""
    types = dict(line.split()[:2] for line in printed().decode().splitlines())
    for name, kind in types.items():
        if kind != "-":
            decoder(getattr(service.events, kind))(sample(name))
    assert {name for name, kind in types.items() if kind == "-"} == {"scalar", "tablestore.decoded"}


def test_a_sample_is_printed_as_it_is_sent() -> None:
    """To the byte, binary ones too."""
    assert printed("oss.put") == sample("oss.put")
    assert printed("tablestore") == sample("tablestore")


def test_the_schema_of_a_sample_is_printed() -> None:
    """It is that of the type; what has none says so."""
    made = json.loads(event.schema_text("oss.put"))
    assert made == service.events.schema(service.events.OssEvent)
    for name, told in (("scalar", "--schema needs a sample"), (None, "--schema needs a sample")):
        with pytest.raises(UsageError, match=told):
            event.schema_text(name)
    with pytest.raises(UsageError, match=r"near to it: oss\.put"):
        event.schema_text("oss.putt")


def test_fields_can_be_set() -> None:
    """A value may hold `=`; a later change sees the earlier."""
    body = printed(
        "oss.put", "--set", "events.0.oss.object.key=a=b", "--set", "events.0.oss.object.size=7"
    )
    changed = json.loads(body)["events"][0]["oss"]["object"]
    assert (changed["key"], changed["size"]) == ("a=b", 7)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["oss.putt"], "no sample is called 'oss.putt'; near to it: oss.put"),
        (["nonsense"], "there are apigateway, cdn.log"),
        (["timer", "--set", "nowhere.x=1"], "there are triggerTime"),
        (["timer", "--set", "payload"], "--set payload: is not of the form KEY=VALUE"),
        (["timer", "--set", "=1"], "--set =1: is not of the form KEY=VALUE"),
        (["mns.stream", "--set", "a=1"], "is plain text: it has no fields to change"),
        (["--set", "a=1"], "--set changes a sample: name one"),
    ],
)
def test_what_is_not_there_is_told(arguments: list[str], told: str) -> None:
    """A usage error says what is allowed."""
    with pytest.raises(UsageError, match=told):
        printed(*arguments)


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a changed sample in CBOR needs a package."""
    monkeypatch.setitem(sys.modules, "cbor2", None)
    assert printed("tablestore") == sample("tablestore")
    with pytest.raises(UsageError, match=r"install fc-event-service\[events\], or run `make dev`"):
        printed("tablestore", "--set", "Records.0.Type=UpdateRow")
