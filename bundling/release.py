"""`make release VERSION=0.2.0`: all of a release but its upload.

In a clone of its own below build/: the changelog is cut, the version written, the bill of materials
made, all of it committed and tagged, wheel and source archive built from that and checked. Only if
all of it has succeeded the commit and the tag come here, and the files into dist/. Until then it
may be stopped: nothing has changed.

`--check` only tells whether there can be such a release: that needs no tools.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "build" / "release-clone"
DIST = ROOT / "dist"
TOOLS = ROOT / "build" / "release" / "bin"
PYTHON = ROOT / ".venv" / "bin" / "python"

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
WRITTEN = {
    "pyproject.toml": r'(?m)^(version = ")[^"]+(")$',
    "service/__init__.py": r'(?m)^(__version__ = ")[^"]+(")$',
}
"""Where the version stands, and what is around it."""
SHOWN = re.compile(r"(?m)^((?:fc-event-service|Function Compute on the desk) )[\d.]+\d( serves|:)")
"""A line that a command prints, as pages show it."""


class Refused(Exception):
    """Why there is no release: one line, which says what to do."""


def main(version, only_check=False):
    """Make the release; return the exit code."""
    try:
        with on_signals(stop):
            check(version)
            if only_check:
                return 0
            make(version)
    except (Refused, OSError) as reason:
        print(f"no release: {reason}", file=sys.stderr)
        return 2
    finally:
        with on_signals(signal.SIG_IGN):
            shutil.rmtree(PLACE, ignore_errors=True)
    print(f"{version} is committed and tagged here, and in dist/:")
    for file in sorted(DIST.iterdir()):
        print(f"  {file.name}")
    if not url():
        print("the package's page has no links: PROJECT_URL=https://... names the repository")
    print("what is left: git push --follow-tags, and")
    print("  build/release/bin/twine upload dist/*.whl dist/*.tar.gz")
    return 0


@contextmanager
def on_signals(action):
    """Within this, what stops a command does this."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = [(number, signal.signal(number, action)) for number in numbers]
    try:
        yield
    finally:
        for number, old in before:
            signal.signal(number, old)


def stop(number, frame):
    """Raise Refused: a signal has come."""
    raise Refused(f"{signal.Signals(number).name} has stopped it; nothing has changed")


# --- before anything is written


def check(version):
    """Refuse what would be no release."""
    if not VERSION.fullmatch(version):
        raise Refused(f"{version!r} is no version: say make release VERSION=1.2.3")
    git("var", "GIT_COMMITTER_IDENT", why="git config user.name and user.email say who releases")
    changed = git("status", "--porcelain", "--untracked-files=normal")
    if changed:
        raise Refused(f"the tree is dirty ({changed.splitlines()[0].strip()}): commit or stash it")
    if git("tag", "--list", f"v{version}"):
        raise Refused(f"there is a tag v{version}: take the next version")
    now = newest((ROOT / "CHANGELOG.md").read_text("utf-8"))
    if parts(version) <= parts(now):
        raise Refused(f"{version} is not newer than {now}")
    if not unreleased((ROOT / "CHANGELOG.md").read_text("utf-8")):
        raise Refused("CHANGELOG.md has nothing under Unreleased: write what is new")


def parts(version):
    """Return a version as numbers."""
    return tuple(map(int, version.split(".")))


def newest(changelog):
    """Return the newest version of a changelog, 0.0.0 for none."""
    found = re.search(r"(?m)^## (\d+\.\d+\.\d+)", changelog)
    return found[1] if found else "0.0.0"


def unreleased(changelog):
    """Return what stands under Unreleased."""
    after = changelog.partition("\n## Unreleased\n")[2]
    return re.split(r"(?m)^## ", after)[0].strip()


def cut(changelog, version, day):
    """Return a changelog in which what was unreleased is a version's."""
    return changelog.replace(
        "\n## Unreleased\n", f"\n## Unreleased\n\n## {version} - {day:%Y-%m-%d}\n", 1
    )


def with_version(text, pattern, version, name):
    """Return a file's text with another version in it."""
    text, times = re.subn(pattern, rf"\g<1>{version}\g<2>", text)
    if not times:
        raise Refused(f"{name} does not name its version any more: mend bundling/release.py")
    return text


# --- the release


def make(version):
    """Make it in the clone, and take over what came of it."""
    shutil.rmtree(PLACE, ignore_errors=True)
    git("clone", "--quiet", "--local", str(ROOT), str(PLACE))
    for key in ("user.name", "user.email"):
        if who := git("config", key):  # of this clone
            git("config", key, who, at=PLACE)
    write(version)
    run([PYTHON, "-m", "tests.sbom"], "the bill of materials cannot be made")
    git("add", "--all", at=PLACE)
    git("commit", "--quiet", "--message", f"Release {version}", at=PLACE)
    git("tag", "--annotate", f"v{version}", "--message", version, at=PLACE)
    build(version)
    with on_signals(signal.SIG_IGN):  # from here on all of it, within a second
        take_over(f"v{version}")


def take_over(tag):
    """Bring commit and tag here, then the files. Raises Refused, and then neither is here."""
    git("fetch", "--quiet", "--no-tags", str(PLACE), f"refs/tags/{tag}:refs/tags/{tag}")
    try:
        git("merge", "--quiet", "--ff-only", tag)
    except Refused:
        git("tag", "--delete", tag)
        raise
    shutil.rmtree(DIST, ignore_errors=True)
    shutil.move(PLACE / "dist", DIST)


def write(version):
    """Write the version and the changelog into the clone."""
    for name, pattern in WRITTEN.items():
        file = PLACE / name
        file.write_text(with_version(file.read_text("utf-8"), pattern, version, name), "utf-8")
    for page in (PLACE / "README.md", *PLACE.glob("docs/**/*.md")):
        text = page.read_text("utf-8")
        if SHOWN.search(text):
            page.write_text(SHOWN.sub(rf"\g<1>{version}\g<2>", text), "utf-8")
    file = PLACE / "CHANGELOG.md"
    file.write_text(cut(file.read_text("utf-8"), version, datetime.now(UTC)), "utf-8")


def build(version):
    """Build wheel and source archive of the clone, check them, and add the bill and the sums."""
    moment = git("log", "-1", "--format=%ct", at=PLACE)
    run(
        [TOOLS / "python", "-m", "build", "--quiet", "--no-isolation"],
        "it cannot be built",
        SOURCE_DATE_EPOCH=moment,
    )
    made = sorted((PLACE / "dist").iterdir())
    run([TOOLS / "twine", "check", "--strict", *made], "twine refuses what was built")
    bill = PLACE / "dist" / f"fc_event_service-{version}.cdx.json"
    shutil.copy(PLACE / "docs" / "sbom.cdx.json", bill)
    sums = [
        f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}" for each in [*made, bill]
    ]
    (PLACE / "dist" / "SHA256SUMS").write_text("\n".join(sums) + "\n")


def run(command, why, **variables):
    """Run a command in the clone. Raises Refused."""
    environment = {**os.environ, "PROJECT_URL": url(), **variables}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        command, cwd=PLACE, env=environment, start_new_session=True, **pipes
    ) as process:
        try:
            output, error = process.communicate()
        except Refused:
            os.killpg(process.pid, signal.SIGKILL)  # and what it has started: it writes into PLACE
            raise
    if process.returncode:
        last = (error.strip() or output.strip() or "?").splitlines()[-1]
        raise Refused(f"{why}: {last}")


def url():
    """Return the address of the repository: the clone's own remote is this folder."""
    sys.path.insert(0, str(ROOT))
    from setup import repository

    return repository()


def git(*arguments, at=None, why=""):
    """Return what git prints. Raises Refused, which says `why` or what git does."""
    done = subprocess.run(["git", *arguments], cwd=at or ROOT, capture_output=True, text=True)
    if done.returncode and arguments[0] != "config":
        last = (done.stderr.strip() or "?").splitlines()[-1]
        raise Refused(why or f"git {arguments[0]}: {last}")
    return done.stdout.strip()


if __name__ == "__main__":
    told = [each for each in sys.argv[1:] if each != "--check"]
    sys.exit(main(told[0] if told else "", only_check="--check" in sys.argv))
