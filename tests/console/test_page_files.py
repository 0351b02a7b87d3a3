"""The files of the console's page: whole, of known origin, and without what a page may not do."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from tests.testing.bare_environment import built_wheel

PAGE = Path(__file__).parents[2] / "service" / "console" / "page"
SCRIPTS = sorted(PAGE.glob("*.js"))


def test_what_is_taken_from_others_is_what_the_table_says() -> None:
    """Each file's sum is named, and each licence is there."""
    rows = re.findall(
        r"\| `(.+?)` \| .+ \| .+, `(.+?)` \| `([0-9a-f]{64})` \|",
        (PAGE / "vendor" / "README.md").read_text(),
    )
    told = {name for name, _, _ in rows} | {licence for _, licence, _ in rows}
    assert told == {each.name for each in (PAGE / "vendor").iterdir()} - {"README.md"}
    for name, _, wanted in rows:
        assert hashlib.sha256((PAGE / "vendor" / name).read_bytes()).hexdigest() == wanted


@pytest.mark.parametrize("script", [each.name for each in SCRIPTS])
def test_a_script_makes_no_markup_and_knows_no_other_host(script: str) -> None:
    """What comes from functions becomes text: nothing parses a string as markup or as code."""
    text = (PAGE / script).read_text()
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser"
    )
    assert not re.search(forbidden, text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


@pytest.mark.long
def test_the_wheel_has_each_file_of_the_page(tmp_path: Path) -> None:
    """What was installed serves the same page."""
    with zipfile.ZipFile(built_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
    files = {str(each.relative_to(PAGE)) for each in PAGE.rglob("*") if each.is_file()}
    assert {f"fc_event_service/console/page/{each}" for each in files} <= names


def test_the_page_has_no_script_and_no_style_of_its_own() -> None:
    """The policy forbids both."""
    page = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=)", page)


def test_each_module_that_is_imported_is_there() -> None:
    """A file that was renamed would leave a page that does not start."""
    for script in SCRIPTS:
        for named in re.findall(r'from "\./(.+?)"', script.read_text()):
            assert (PAGE / named).is_file(), f"{script.name} imports {named}"
