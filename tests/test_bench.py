"""What `make bench` is asked for, how it judges, what it publishes; nothing is measured here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks import growth, instructions, publish, report, speed
from benchmarks.interpreters import RUNNING
from benchmarks.lineup import OURS, Contender
from benchmarks.report import Results
from benchmarks.servers import Cores, cores
from benchmarks.works import SMALL, WORKS

OPTIONS = ("--python", f"{RUNNING.version},aiohttp=3.99")


@pytest.fixture(autouse=True)
def _wrk_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "wrk_is_missing", lambda: "")


def named(*arguments: str) -> dict[str, Contender]:
    """Return who may take part, by name."""
    return {contender.name: contender for contender in speed.parsed(arguments).field}


def test_all_contenders_run_on_one_python_but_those_that_are_given_another() -> None:
    """`--python 3.14,aiohttp=3.13` puts aiohttp on 3.13 and everybody else on 3.14."""
    field = named(*OPTIONS)
    assert field["aiohttp"].interpreter.program.endswith(".venv-bench-3.99/bin/python")
    assert field["granian"].interpreter == field[OURS].interpreter == RUNNING


def test_a_contender_runs_on_two_pythons_in_one_run() -> None:
    """`--contenders ours,ours@3.99` enters it twice in the works of ours."""
    field = named(*OPTIONS, "--contenders", "ours,ours@3.99")
    assert field["ours@3.99"].interpreter.version == "3.99"
    assert field["ours@3.99"].works == field[OURS].works


def test_a_python_that_is_not_here_leaves_its_contenders_out_with_a_reason() -> None:
    """Whoever cannot be started is named in the table, and not forgotten."""
    assert "no Python 3.99" in named(*OPTIONS)["aiohttp"].missing()


@pytest.mark.parametrize("asked", ["3", "nobody=3.14", "ours=", "3.14;3.13"])
def test_a_python_that_cannot_be_read_is_refused(asked: str) -> None:
    """The command says what it does not understand, and measures nothing."""
    with pytest.raises(SystemExit):
        speed.parsed(["--python", asked])


def test_the_cores_stay_apart_once_the_load_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark gives itself the load's core, and starts further servers from there."""
    cores.cache_clear()
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    before = cores()
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {before.load})
    assert cores() == Cores(server=1, load=0)
    cores.cache_clear()


def test_one_work_is_run_with_those_whose_figures_are_compared() -> None:
    """A must is tried again in two minutes: nobody else takes part in it then."""
    options = speed.parsed(["--only", "small"])
    steps = list(speed.planned(options))
    entered = {step.contender.name for step in steps}
    assert {step.work for step in steps} == {SMALL}
    assert entered == SMALL.compared() == {OURS, "limit", "granian", "starlette"}


def test_a_whole_run_has_a_must_for_each_work_that_the_issue_names() -> None:
    """Every work but the price of features is judged."""
    assert [work.name for work in WORKS if not work.must] == ["features"]


def small(python: str, rate: float) -> Results:
    """Return a run in which the limit reaches 100."""
    results = Results(python)
    for name, rps in ((OURS, rate), ("limit", 100.0)):
        contender = named(*OPTIONS)[name]
        figures = {"rps": rps, "p50": 1, "p99": 1, "core": 1, "cpu": 1}
        results.add(SMALL, contender, figures)
    return results


def test_a_must_is_judged_on_each_python() -> None:
    """The table says on which Python a must is missed, and what is missing for a judgement."""
    said = "\n".join(report.summary([small("3.13.1", 50), small("3.14.2", 60)]))
    assert "0.56 of the limit: **missed** on 3.13, met on 3.14" in said
    assert "0.75 of granian RSGI: not judged" in said


def test_what_is_kept_makes_the_same_tables_again() -> None:
    """The figures that are published are enough for the page."""
    run = small("3.13.1", 50)
    again = report.from_json(report.as_json(run, {}, [RUNNING]))
    assert list(report.tables(again)) == list(report.tables(run))


def test_tables_are_put_between_their_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text around a table stays as it was written."""
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- made: small -->\nold\n<!-- end -->\nb\n<!-- made: one -->\n<!-- end -->\n"
    )
    monkeypatch.setattr(publish, "PAGE", page)
    publish.fill("small", r"\1 new")
    kept = (
        "a\n<!-- made: small -->\n\n\\1 new\n\n<!-- end -->\nb\n<!-- made: one -->\n<!-- end -->\n"
    )
    assert page.read_text() == kept


def test_the_growth_of_each_python_that_is_kept_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest first, below the figure, which is drawn of all of them in one."""
    pytest.importorskip("matplotlib", reason="the extra `size` has it, and not on Python 3.15")
    page = tmp_path / "page.md"
    page.write_text("<!-- made: growth -->\n<!-- end -->\n")
    for module in (publish, growth):
        monkeypatch.setattr(module, "DOCS", tmp_path)
        monkeypatch.setattr(module, "PAGE", page)
    rounds = [{"rps": 10.0, "p99": 1.0, "cpu": 5.0, "non_2xx": 0.0, "socket_errors": 0.0}]
    for python in ("3.9.1", "3.13.1", "3.14.2"):
        found = {
            "python": python,
            "machine": {"cpu": "a processor"},
            "sweeps": {"wait": {"fc-event-service": {"0": rounds, "1": rounds}, "aiohttp": {}}},
        }
        (tmp_path / f"growth-{python[:-2]}.json").write_text(json.dumps(found))
    assert growth.publish() == [page, tmp_path / "growth.png"]
    assert (tmp_path / "growth-dark.png").read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert re.findall(r"^Python (.*):$", text, re.M) == ["3.14.2", "3.13.1", "3.9.1"]
    assert text.index("![calls a second") < text.index("Python 3.14.2")


def test_a_plot_of_two_pythons_names_the_machine_of_each() -> None:
    """They may have been measured on two, on two days."""
    pytest.importorskip("matplotlib", reason="the extra `size` has it, and not on Python 3.15")
    from benchmarks import plot

    found = [
        report.as_json(small(python, 50), {}, [RUNNING])
        | {"machine": {"cpu": f"processor {python}"}}
        for python in ("3.14.2", "3.13.1")
    ]
    runs = {each["python"]: each["works"]["small"]["contenders"] for each in found}
    said = plot.caption(found, runs).splitlines()
    assert said[1].startswith("The upper bar: Python 3.14.2, processor 3.14.2, ")
    assert said[2].startswith("the lower one, a run of its own: Python 3.13.1, processor 3.13.1, ")


def test_an_event_that_takes_two_hundredths_more_instructions_is_told() -> None:
    """Each work is judged by what is written down of it; a work of which nothing is, by nothing."""
    before = {"small": {"ours": 1000}, "waits": {"ours": 1000}}
    found = {"small": {"ours": 1021}, "waits": {"ours": 1020}, "other": {"ours": 5}}
    (line,) = instructions.grown(found, before)
    assert line.startswith("small: 1,021 instructions an event, +2.1% over the 1,000")
