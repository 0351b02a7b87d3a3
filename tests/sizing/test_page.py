"""What is printed and drawn of a measurement and of a fleet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import UsageError
from service.sizing.fit import fit
from service.sizing.fleet.fleet_page import fleet_page, in_words
from service.sizing.fleet.patterns import pattern_of
from service.sizing.fleet.prices import Prices
from service.sizing.fleet.simulate import FleetLimits, FleetRow, FleetStudy, simulate
from service.sizing.level import SIZE_LEVELS
from service.sizing.page import advice_text, size_page
from service.sizing.recommend import recommend
from tests.sizing.measured import report

GIVEN = report(0.000_5, 0.1)
FITTED = fit(GIVEN.levels)


def study(folder: Path, **changes: object) -> FleetStudy:
    """Ten seconds of that handler's calls."""
    given = FleetStudy(
        GIVEN,
        FITTED,
        pattern_of("constant", 600.0, 10.0, folder),
        FleetLimits(100, 100, 100),
        (1, 10, 100),
        None,
        1,
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def rows_of(given: FleetStudy) -> list[FleetRow]:
    """What becomes of it."""
    return list(simulate(given, lambda _line: None))


def test_the_table_has_a_line_for_each_concurrency() -> None:
    """In columns, with what was found below."""
    lines = size_page(GIVEN, FITTED, ["leaks: a lot"]).splitlines()
    assert lines[0].split()[:4] == ["at", "once", "calls/s", "full"]
    assert [line.split()[0] for line in lines[1:9]] == [str(n) for n in SIZE_LEVELS]
    assert len({len(line) for line in lines[:9]}) == 1
    assert lines[-1] == "leaks: a lot"


def test_what_to_deploy_can_be_pasted_into_the_file() -> None:
    """The keys of s.yaml with their values, and the reasons."""
    advice = recommend(GIVEN, FITTED)
    text = advice_text(advice)
    assert f"  instanceConcurrency: {advice.concurrency}\n" in text
    assert f"  memorySize: {advice.size.memory}\n" in text
    assert f'    SERVICE_CONCURRENCY: "{advice.concurrency}"\n' in text
    assert "because" in text


def test_a_fleet_is_told_with_how_it_was_come_by(tmp_path: Path) -> None:
    """Its limits, its seed, a line for each concurrency, and bills in shares of the first one."""
    given = study(tmp_path)
    lines = fleet_page(given, rows_of(given)).splitlines()
    assert lines[0].startswith("constant: at most 600 calls/s for 10 s, about ")
    assert lines[0].endswith("seed 1")
    bills = [line.split()[-1] for line in lines[3:6]]
    assert bills[0] == "100%"
    assert int(bills[2].rstrip("%")) < 50
    assert lines[-1] == "Each call was simulated."


def test_prices_make_money_of_the_bill(tmp_path: Path) -> None:
    """With their date and currency."""
    given = study(tmp_path, prices=Prices("2026-11-01", "CNY", 0.0001, 0.00001, 1.5))
    text = fleet_page(given, rows_of(given))
    assert "bill: CNY by the prices of 2026-11-01" in text
    assert "%" not in text.splitlines()[3].split()[-1]


def test_too_many_calls_are_told_to_be_an_approximation(tmp_path: Path) -> None:
    """A day at a million calls a second."""
    given = study(tmp_path, pattern=pattern_of("constant", 1e6, 60.0, tmp_path))
    given = replace(given, limits=FleetLimits(10**7, 10**7, 10**7))
    rows = rows_of(given)
    assert not any(row.course.exact for row in rows)
    assert "approximation by rates" in fleet_page(given, rows)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(15.0, "15 s"), (600.0, "10 minutes"), (86_400.0, "24 hours"), (172_800.0, "2 days")],
    ids=["seconds", "minutes", "hours", "days"],
)
def test_times_read_as_people_say_them(seconds: float, told: str) -> None:
    """In the largest unit of which there are two."""
    assert in_words(seconds) == told


def test_pictures_are_drawn_or_said_to_be_missing(tmp_path: Path) -> None:
    """In either format; a place that cannot be written is told."""
    pytest.importorskip("matplotlib", reason="the extra `size` has it, and not on Python 3.15")
    from service.sizing.fleet.fleet_picture import draw_fleet
    from service.sizing.picture import draw_size

    advice = recommend(GIVEN, FITTED)
    assert draw_size(GIVEN, FITTED, advice, tmp_path / "size.svg") == ""
    assert b"<svg" in (tmp_path / "size.svg").read_bytes()
    given = study(tmp_path, levels=(1, 100))
    assert draw_fleet(given, rows_of(given), tmp_path / "fleet.png") == ""
    assert (tmp_path / "fleet.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="name a file"):
        draw_size(GIVEN, FITTED, advice, tmp_path / "size.svg" / "size.svg")


def test_without_matplotlib_the_table_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one line says what to install."""
    import sys

    from service.sizing.picture import draw_size

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    file = tmp_path / "size.svg"
    told = draw_size(GIVEN, FITTED, recommend(GIVEN, FITTED), file)
    assert told.endswith("install fc-event-service[size]")
    assert not file.exists()


def test_without_simpy_a_fleet_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line."""
    import sys

    monkeypatch.setitem(sys.modules, "simpy", None)
    with pytest.raises(UsageError, match=r"install fc-event-service\[size\]"):
        rows_of(study(tmp_path))
