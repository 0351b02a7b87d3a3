"""Hypothesis strategies for events: `hypothesis` is imported once one is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_origin

from .. import events
from ..events.sample import names, sample, type_of

FREE_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9_/.-]*")
"""A text of a sample in whose place any other may stand: no time, number, JSON or base64."""

GENERAL = ("CloudEvent", "EventBridgeEvent")
"""Types of one CloudEvent, whichever it is; a batch of them has CloudEvent as its item."""

ONE_CLOUD_EVENT = "eventbridge.oss"


class EventForm(NamedTuple):
    """A value that events are made like, and how they are written: as JSON, CBOR or text."""

    value: Any
    written: str = "json"


def event_bodies(of: Any) -> Any:
    """Return a strategy for bodies of events: of a sample's form, by its name (`"oss.put"`), or of
    a type of `service.events` (`OssEvent`): batches of one to five records, other names, numbers
    and flags.

    Raises LookupError for a sample that there is not, ValueError for one that has no fields, and
    for a type of which there is no sample.
    """
    from hypothesis import strategies as st

    if isinstance(of, str):
        form = _form_of(of)
        if form.written == "text":
            raise ValueError(
                f"the sample {of} is no JSON object or list: it has no fields to change"
            )
        return _bodies(form)
    found = [*_forms_of(get_origin(of) or of)]
    if not found:
        raise ValueError(
            f"there is no sample of {of!r}: event_bodies takes the name of a sample or a type of a"
            " whole event, one of service.events"
        )
    return st.one_of([_bodies(form) for form in found])


def _form_of(name: str) -> EventForm:
    """Return what a sample has in it."""
    body = sample(name)
    try:
        value = json.loads(body)
    except ValueError:
        pass
    else:
        return EventForm(value, "json" if isinstance(value, dict | list) else "text")
    if name == "tablestore":
        import cbor2  # only this trigger's events need it

        return EventForm(cbor2.loads(body), "cbor")
    return EventForm(body.decode(), "text")


def _forms_of(kind: Any) -> Iterator[EventForm]:
    """Yield the forms of a type: of its samples, of one item of a batch, or of any CloudEvent."""
    for name in filter(type_of, names()):
        whole = getattr(events, type_of(name))
        if whole is kind:
            yield _form_of(name)
        elif _item_of(whole) is kind:
            form = _form_of(name)
            for each in form.value if isinstance(form.value, list) else [form.value]:
                yield EventForm(json.loads(each) if isinstance(each, str) else each)
    if getattr(kind, "__name__", "") in GENERAL:
        yield _form_of(ONE_CLOUD_EVENT)
    elif kind is events.EventBatch or get_origin(_item_of(kind)) is events.CloudEvent:
        yield EventForm([_form_of(ONE_CLOUD_EVENT).value])


def _item_of(kind: Any) -> Any:
    return kind.__event_item__(kind) if hasattr(kind, "__event_item__") else None


def _bodies(form: EventForm) -> Any:
    from hypothesis import strategies as st

    if form.written == "text":
        return st.text().map(str.encode)
    if form.written == "cbor":
        import cbor2

        return _like(form.value).map(cbor2.dumps)
    return _like(form.value).map(lambda made: json.dumps(made, ensure_ascii=False).encode())


def _like(part: Any) -> Any:
    """Return a strategy for values of the same form."""
    from hypothesis import strategies as st

    if isinstance(part, dict):
        return st.fixed_dictionaries({key: _like(each) for key, each in part.items()})
    if isinstance(part, list) and part:
        return st.lists(st.one_of(*map(_like, part)), min_size=1, max_size=5)
    if isinstance(part, bool):
        return st.booleans()
    if isinstance(part, int):
        return st.integers(min(part, 0), max(part, 1))
    if isinstance(part, str) and FREE_TEXT.fullmatch(part) and len(part) < 40:
        return st.just(part) | st.text("abcxyz/é", min_size=1, max_size=20)
    return st.just(part)
