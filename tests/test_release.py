"""What an index page gets, and what keeps a release from being made."""

from __future__ import annotations

import importlib.util
import re
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: Mapping[str, list[str]] = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]


def loaded(path: str) -> ModuleType:
    """A file of the repository that is no module of a package."""
    spec = importlib.util.spec_from_file_location(f"loaded_{Path(path).stem}", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")

RELEASE, SETUP = loaded("bundling/release.py"), loaded("setup.py")


# --- the extras


def test_all_has_each_extra() -> None:
    """`fc-event-service[all]` is everything that a user may want."""
    (named,) = re.findall(r"fc-event-service\[(.*)\]", EXTRAS["all"][0])
    assert named.split(",") == sorted(EXTRAS.keys() - {"all"})


def test_what_works_on_the_service_is_no_extra() -> None:
    """Peers, load tools and tools of a release are groups, which an index page does not show."""
    assert not {"bench", "load", "dev", "release", "audit"} & EXTRAS.keys()
    assert {"bench", "load", "dev", "release", "audit"} <= GROUPS.keys()
    offered = {re.split(r"[\[<>=;]", each)[0] for extra in EXTRAS.values() for each in extra}
    peers = {re.split(r"[\[<>=;]", each)[0] for each in GROUPS["bench"]}
    assert not offered & (peers - {"matplotlib"})


# --- the page of the package


def test_a_link_of_the_page_leads_to_the_repository() -> None:
    """Relative ones would lead nowhere; pictures lead to the file itself."""
    text = SETUP.description("https://forge.example/o/r")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    assert not [each for each in links if not each.startswith(("https://", "http://", "#"))]
    assert "](https://forge.example/o/r/blob/HEAD/docs/settings.md)" in text
    assert "](https://forge.example/o/r/raw/HEAD/docs/speed.png)" in text


def test_without_a_repository_the_page_has_no_dead_link() -> None:
    """What a link names is there as text."""
    text = SETUP.description("")
    assert not [x for x in re.findall(r"\]\(([^)]+)\)", text) if not x.startswith("http")]
    assert "all figures" in text
    assert SETUP.links("") == {}


@needs_git
@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("git@forge.example:o/r.git", "https://forge.example/o/r"),
        ("ssh://git@forge.example/o/r.git", "https://forge.example/o/r"),
        ("https://forge.example/o/r", "https://forge.example/o/r"),
        ("https://token@forge.example/o/r", ""),
        ("/srv/git/r.git", ""),
    ],
    ids=["scp", "ssh", "https", "with a secret", "a folder"],
)
def test_the_repository_is_that_of_the_remote(
    remote: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No host is made up, and no secret of an address is published."""
    monkeypatch.delenv("PROJECT_URL", raising=False)
    monkeypatch.setattr(SETUP, "ROOT", tmp_path)
    (tmp_path / ".git").mkdir()
    for name in ("objects", "refs"):
        (tmp_path / ".git" / name).mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {remote}\n')
    assert SETUP.repository() == url


# --- a release


def git(folder: Path, *arguments: str) -> str:
    """What git prints in a folder."""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    command = ["git", *who, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a changelog that has something new."""
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n### Added\n\n- x\n\n## 0.1.0 - 2026-01-01\n\n- y\n"
    )
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "x")
    monkeypatch.setattr(RELEASE, "ROOT", tmp_path)
    monkeypatch.setattr(RELEASE, "PLACE", tmp_path / "build" / "release-clone")
    monkeypatch.setattr(RELEASE, "DIST", tmp_path / "dist")
    for key in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{key}_NAME", "a")
        monkeypatch.setenv(f"GIT_{key}_EMAIL", "a@example.com")
    return tmp_path


@needs_git
@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("", "'' is no version: say make release VERSION=1.2.3"),
        ("v2", "'v2' is no version"),
        ("0.02.0", "'0.02.0' is no version"),
        ("0.1.0", "0.1.0 is not newer than 0.1.0"),
        ("0.0.9", "0.0.9 is not newer than 0.1.0"),
        ("dirty", "the tree is dirty (?? new.txt): commit or stash it"),
        ("tagged", "there is a tag v0.2.0: take the next version"),
        ("empty", "CHANGELOG.md has nothing under Unreleased"),
        ("nobody", "git config user.name and user.email say who releases"),
    ],
)
def test_what_is_no_release_is_refused_in_one_line(
    version: str,
    told: str,
    clone: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is written; exit code 2."""
    if version == "nobody":
        monkeypatch.setenv("GIT_COMMITTER_NAME", "")
    if version == "dirty":
        (clone / "new.txt").write_text("")
    if version == "tagged":
        git(clone, "tag", "v0.2.0")
    if version == "empty":
        (clone / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 0.1.0 - x\n")
        git(clone, "commit", "--quiet", "--all", "--message", "y")
    before = git(clone, "rev-parse", "HEAD"), git(clone, "tag"), git(clone, "status", "--short")
    wanted = version if version in ("", "v2") or version[:1].isdigit() else "0.2.0"
    assert RELEASE.main(wanted, only_check=True) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"no release: {told}")
    after = git(clone, "rev-parse", "HEAD"), git(clone, "tag"), git(clone, "status", "--short")
    assert after == before


@needs_git
def test_a_release_that_fails_on_its_way_changes_nothing(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """This clone has no file that names its version: nothing is committed, tagged or left."""
    (clone / ".gitignore").write_text("build/\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "z")
    before = git(clone, "rev-parse", "HEAD")
    assert RELEASE.main("0.2.0") == 2
    assert capsys.readouterr().err.startswith("no release: ")
    assert (git(clone, "rev-parse", "HEAD"), git(clone, "tag")) == (before, "")
    assert not (clone / "build" / "release-clone").exists()


def released(
    clone: Path, monkeypatch: pytest.MonkeyPatch, build: Callable[[Path], object]
) -> tuple[int, list[str]]:
    """The exit code of a release that is built by this, and all that is in the clone then."""
    monkeypatch.setattr(RELEASE, "WRITTEN", {})
    (clone / "README.md").write_text("x\n")
    (clone / ".gitignore").write_text("build/\ndist/\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "z")
    monkeypatch.setattr(RELEASE, "run", lambda command, why: None)
    monkeypatch.setattr(RELEASE, "url", lambda: "")
    monkeypatch.setattr(RELEASE, "build", lambda version: build(RELEASE.PLACE / "dist"))
    code = RELEASE.main("0.2.0")
    seen = git(clone, "log", "--format=%s"), git(clone, "tag"), git(clone, "status", "--short")
    return code, [*"\n".join(seen).split("\n"), *sorted(map(str, (clone / "dist").glob("*")))]


@needs_git
def test_a_release_comes_into_the_clone_as_a_whole(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commit, tag, and the files in place of older ones; what is left to do is told."""
    (clone / "dist").mkdir()
    (clone / "dist" / "old").touch()

    def build(dist: Path) -> None:
        dist.mkdir()
        (dist / "new").touch()

    code, found = released(clone, monkeypatch, build)
    assert (code, found[0], found[3:]) == (
        0,
        "Release 0.2.0",
        ["v0.2.0", "", str(clone / "dist/new")],
    )
    out = capsys.readouterr().out
    assert "PROJECT_URL=https://... names the repository\nwhat is left: git push" in out
    assert not RELEASE.PLACE.exists()


@needs_git
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_release_that_is_stopped_changes_nothing(
    number: signal.Signals,
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """However it is stopped: one line, and no commit, tag or file."""
    code, found = released(clone, monkeypatch, lambda dist: signal.raise_signal(number))
    assert (code, found) == (2, ["z", "x", "", ""])
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"no release: {number.name} has stopped it; nothing has changed"
    assert not RELEASE.PLACE.exists()


@needs_git
def test_a_commit_that_comes_meanwhile_leaves_no_tag(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The release is of another state than the clone is in then."""

    def build(dist: Path) -> None:
        dist.mkdir()
        git(clone, "commit", "--quiet", "--allow-empty", "--message", "meanwhile")

    code, found = released(clone, monkeypatch, build)
    assert (code, found) == (2, ["meanwhile", "z", "x", "", ""])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("no release: git merge: ")


def test_the_changelog_is_cut_below_what_comes_next() -> None:
    """Unreleased stays, empty, above the version with its day."""
    text = (ROOT / "CHANGELOG.md").read_text()
    cut = RELEASE.cut(text, "9.9.9", date(2026, 12, 1))
    assert RELEASE.newest(cut) == "9.9.9"
    assert RELEASE.unreleased(cut) == ""
    assert "\n## Unreleased\n\n## 9.9.9 - 2026-12-01\n" in cut
    assert cut.replace("## 9.9.9 - 2026-12-01\n\n", "", 1).count("\n- ") == text.count("\n- ")


@pytest.mark.parametrize("name", RELEASE.WRITTEN)
def test_the_version_is_written_where_it_stands(name: str) -> None:
    """In the metadata, the code, and where a page shows what is printed."""
    text = (ROOT / name).read_text()
    new = RELEASE.with_version(text, RELEASE.WRITTEN[name], "9.9.9", name)
    assert "9.9.9" in new
    assert len(new.splitlines()) == len(text.splitlines())


def test_a_page_shows_the_newest_version() -> None:
    """What a command prints first has the version in it, and each release writes it anew."""
    version = PROJECT["project"]["version"]
    for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        for line in RELEASE.SHOWN.finditer(page.read_text()):
            assert f" {version}" in line[0], page
    assert RELEASE.SHOWN.search((ROOT / "README.md").read_text())


def test_the_tools_of_a_release_have_a_lock() -> None:
    """They are installed by their hashes, like all tools."""
    locked = (ROOT / "requirements-release.lock").read_text()
    for name in ("build", "setuptools", "twine"):
        assert re.search(rf"(?m)^{name}==", locked)
    makefile = (ROOT / "Makefile").read_text()
    assert "build/release/bin/twine: requirements-release.lock" in makefile
    assert "--no-isolation" in makefile
