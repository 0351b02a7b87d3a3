"""The sample events, by name and with fields changed."""

from __future__ import annotations

import json

import cbor2
import pytest

from service.events.sample import ABOUT, about, names, sample


def test_names() -> None:
    """Samples have the names a user types."""
    assert {"oss.put", "timer", "mns.topic", "mns.stream", "tablestore"} <= {*names()}


def test_each_sample_is_told_in_a_line() -> None:
    """Every sample has a few words on what it is, and no word is without a sample."""
    assert set(ABOUT) == {*names()}
    assert all(0 < len(about(name)) < 80 for name in names())


def test_text() -> None:
    """A sample is the body as the platform sends it."""
    assert sample("mns.stream") == b"order A-20260311-0042 paid"


def test_binary() -> None:
    """The sample of Tablestore is CBOR."""
    assert cbor2.loads(sample("tablestore")) == json.loads(sample("tablestore.decoded"))


CHANGES: dict[str, tuple[str, str, object]] = {
    "text": ("events.0.oss.bucket.name", "photos", "photos"),
    "unicode": ("events.0.oss.object.key", "封面.png", "封面.png"),
    "number": ("events.0.oss.object.size", "7", 7),
    "quoted-number": ("events.0.oss.object.key", '"7"', "7"),
    "object": ("events.0.userIdentity", '{"principalId": "1"}', {"principalId": "1"}),
    "whole-record": ("events.0", "null", None),
    "new-field": ("events.0.later", "true", True),
}


@pytest.mark.parametrize(("path", "text", "value"), CHANGES.values(), ids=CHANGES)
def test_changes(path: str, text: str, value: object) -> None:
    """A dotted path changes one field: to JSON if the new value parses, else to text."""
    changed = json.loads(sample("oss.put", {path: text}))
    for step in path.split("."):
        changed = changed[int(step) if isinstance(changed, list) else step]
    assert changed == value


def test_changes_in_order() -> None:
    """A change sees what the one before it did."""
    changes = {"events.0": "{}", "events.0.a": "1"}
    assert json.loads(sample("oss.put", changes)) == {"events": [{"a": 1}]}


def test_changed_binary() -> None:
    """A field of a CBOR sample can be changed, too."""
    event = cbor2.loads(sample("tablestore", {"Records.0.Type": "UpdateRow"}))
    assert event["Records"][0]["Type"] == "UpdateRow"


def test_what_there_is_instead_is_told() -> None:
    """A wrong path says which keys or indexes there are where it fails."""
    with pytest.raises(LookupError, match=r"there are triggerTime, triggerName, payload$"):
        sample("timer", {"nowhere.x": "1"})
    with pytest.raises(LookupError, match=r"; the only item is 0$"):
        sample("oss.put", {"events.1.region": "1"})
    with pytest.raises(LookupError, match=r"; the items are 0 to 2$"):
        sample("kafka", {"3.id": "1"})
    with pytest.raises(LookupError, match=r"the list is empty$"):
        sample("oss.put", {"events": "[]", "events.0.region": "1"})


PATHS = ["nowhere.x", "events.1.region", "events.x", "events.0.region.x", "events.0.nowhere.x"]


@pytest.mark.parametrize("path", PATHS)
def test_unknown_path(path: str) -> None:
    """A path that leads nowhere is an error that names the step that fails."""
    with pytest.raises(LookupError, match=f"the sample oss.put has no '{path}': nothing is called"):
        sample("oss.put", {path: "1"})


@pytest.mark.parametrize(
    ("name", "near"), [("oss.putt", "near to it: oss.put"), ("?", "there are")]
)
def test_unknown_name(name: str, near: str) -> None:
    """An unknown name is an error that names what is near to it, or all there is."""
    with pytest.raises(LookupError, match=near):
        sample(name)


@pytest.mark.parametrize("name", ["mns.stream", "scalar"])
def test_without_fields(name: str) -> None:
    """A sample that is plain text has nothing to change, and says so."""
    with pytest.raises(ValueError, match=f"the sample {name} .*no fields"):
        sample(name, {"a": "1"})
