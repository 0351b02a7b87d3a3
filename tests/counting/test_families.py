"""Several workers' families as those of one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.counting.families import Family, Labels, added, number, of_worker

LABELS = st.sampled_from([(), (("shop", "a"),), (("shop", "b"),), (("shop", "a"), ("x", "y"))])
SAMPLES = st.dictionaries(LABELS, st.integers(0, 1000).map(float))
PARTS = st.lists(st.dictionaries(st.sampled_from(["a_total", "b_total"]), SAMPLES), max_size=5)


def families(part: dict[str, dict[Labels, float]]) -> list[Family]:
    """One worker's families."""
    return [
        Family(name, "counter", "", {(name, labels): value for labels, value in samples.items()})
        for name, samples in part.items()
    ]


@given(PARTS)
def test_the_sum_over_workers_is_the_sum_of_its_parts(
    parts: list[dict[str, dict[Labels, float]]],
) -> None:
    """For each sample, in whatever order the workers have come to it, and however grouped."""
    whole = {key: v for f in added(map(families, parts)) for key, v in f.samples.items()}
    expected: dict[tuple[str, Labels], float] = {}
    for part in parts:
        for name, samples in part.items():
            for labels, value in samples.items():
                expected[name, labels] = expected.get((name, labels), 0) + value
    assert whole == expected
    first = added(map(families, parts[:2]))
    again = added([first, *map(families, parts[2:])])
    assert {key: v for f in again for key, v in f.samples.items()} == expected


def test_each_workers_own_has_its_number() -> None:
    """As the first label, in the place of one that is called so."""
    family = Family("a", "gauge", "", {("a", (("worker", "x"), ("b", "c"))): 1.0})
    (labelled,) = of_worker([family], 2)
    assert labelled.samples == {("a", (("worker", "2"), ("b", "c"))): 1.0}


def test_a_name_is_of_the_kind_that_it_was_first() -> None:
    """Two workers that differ in it are not added up."""
    (only,) = added([[number("a", "gauge", "", 1)], [number("a", "counter", "", 2)]])
    assert (only.kind, only.samples) == ("gauge", {("a", ()): 1.0})
