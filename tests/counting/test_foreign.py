"""What the function has put in the registry of `prometheus_client`."""

from __future__ import annotations

import sys

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary

from service.counting import foreign
from service.counting.families import Family, SampleKey


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """A registry of the test's own in the place of the library's."""
    own = CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", own)
    return own


def test_each_kind_is_read_by_the_names_of_the_text_format(registry: CollectorRegistry) -> None:
    """Counters end in `_total`, and times at which something was made are left out."""
    Counter("jobs", "Jobs.", ["kind"], registry=registry).labels("a b").inc(2)
    Gauge("depth", "Depth.", registry=registry).set(-1.5)
    Histogram("took_seconds", "Took.", buckets=(1,), registry=registry).observe(0.5)
    Summary("size_bytes", "Size.", registry=registry).observe(10)
    Info("build", "Build.", registry=registry).info({"version": "1"})
    families = {family.name: family for family in foreign.registered()}
    assert {name: family.kind for name, family in families.items()} == {
        "jobs_total": "counter",
        "depth": "gauge",
        "took_seconds": "histogram",
        "size_bytes": "summary",
        "build_info": "gauge",
    }
    assert families["jobs_total"].samples == {("jobs_total", (("kind", "a b"),)): 2.0}
    assert ("took_seconds_bucket", (("le", "+Inf"),)) in families["took_seconds"].samples
    assert not any(n.endswith("_created") for f in families.values() for n, _ in f.samples)


def test_nothing_is_read_or_imported_if_the_function_has_not_imported_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It costs nothing, then."""
    monkeypatch.delitem(sys.modules, "prometheus_client")
    assert foreign.registered() == []
    assert "prometheus_client" not in sys.modules


def test_what_is_sent_to_another_worker_arrives(registry: CollectorRegistry) -> None:
    """The same families; what a message has no room for is left out and counted."""
    Counter("jobs", 'Jobs "done".', ["kind"], registry=registry).labels("\u20ac\n").inc(2)
    families = foreign.registered()
    assert foreign.unpacked(foreign.packed(families)[0]) == families
    noise: dict[SampleKey, float] = {
        ("n", (("x", str(hash((n, "x")))),)): float(hash(n * 7.3)) for n in range(20_000)
    }
    text, left_out = foreign.packed([*families, Family("n", "gauge", "", noise)])
    assert (foreign.unpacked(text), left_out) == (families, 1)
