"""The drawing of stacks: what is wide, what is named, what cannot break it."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from service.profiling.flame import LEAST, WAITING, WIDTH, Stack, draw

SVG = "{http://www.w3.org/2000/svg}"


def boxes(drawn: str) -> dict[str, dict[str, str]]:
    """Each frame's rectangle, by what is shown of it."""
    found = {}
    for group in ElementTree.fromstring(drawn).iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None
        assert rect is not None
        found[title.text or ""] = dict(rect.attrib)
    return found


def test_a_frame_is_as_wide_as_its_share_and_above_its_caller() -> None:
    """What two stacks share is one box below both."""
    drawn = boxes(draw({("a", "b"): 3.0, ("a", "c"): 1.0}, lambda frame: frame == "a"))
    assert list(drawn) == ["a 100.0%", "b 75.0%", "c 25.0%"]
    whole, left, right = drawn.values()
    assert [float(box["width"]) for box in (whole, left, right)] == [WIDTH - 0.5, 899.5, 299.5]
    assert (left["x"], right["x"]) == ("0.0", "900.0")
    assert int(whole["y"]) > int(left["y"]) == int(right["y"])


def test_own_code_others_and_waiting_have_colours() -> None:
    """Three hues, as numbers that every viewer of SVG knows."""
    stacks: dict[Stack, float] = {("own",): 1.0, ("others",): 1.0, (WAITING,): 1.0}
    fills = [box["fill"] for box in boxes(draw(stacks, lambda frame: frame == "own")).values()]
    assert len(set(fills)) == 3
    assert all(len(bytes.fromhex(fill.removeprefix("#"))) == 3 for fill in fills)


def test_what_is_too_narrow_to_be_seen_is_left_out() -> None:
    """A file of a million stacks is no picture."""
    assert list(boxes(draw({("a",): 1.0, ("b",): LEAST / 2}, bool))) == ["a 99.9%"]


def test_nothing_is_drawn_of_nothing() -> None:
    """No stack at all is an empty picture with its title."""
    assert boxes(draw({}, bool, "nothing")) == {}
    assert ">nothing<" in draw({}, bool, "nothing")


@given(st.text(), st.text())
def test_any_name_makes_an_xml_file_of_utf_8(name: str, title: str) -> None:
    """Control characters, quotes and halves of characters in names break nothing."""
    drawn = draw({(name, name): 1.0}, bool, title).encode()
    assert ElementTree.fromstring(drawn.decode()).tag == f"{SVG}svg"
