"""What pyproject.toml cannot say: links that work on an index page, and a source archive that is as
the repository is.
"""

import os
import re
import shutil
import subprocess
from email import message_from_string
from pathlib import Path

from setuptools import setup
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
LINKED = ("installed", "fc_event_service")
"""In the repository a link to `service`: the archive has it, too, and not a second copy."""


class SourceArchive(sdist):
    """Makes the archive."""

    def make_release_tree(self, base_dir, files):
        """Put the link back where setuptools has copied what it leads to."""
        super().make_release_tree(base_dir, files)
        place = Path(base_dir, *LINKED)
        shutil.rmtree(place, ignore_errors=True)
        place.symlink_to("../service")


def repository():
    """Return the address of the repository, "" if nothing tells it: no host is made up."""
    if told := os.environ.get("PROJECT_URL"):
        return told.rstrip("/")
    if (ROOT / "PKG-INFO").exists():  # of a source archive
        listed = message_from_string((ROOT / "PKG-INFO").read_text("utf-8"))
        pairs = [each.split(", ", 1) for each in listed.get_all("Project-URL", [])]
        return dict(pairs).get("Repository", "")
    return _of_remote()


def _of_remote():
    """Return the address of the remote from which this was cloned, as a browser takes it."""
    command = ["git", "-C", str(ROOT), "config", "--get", "remote.origin.url"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
    told = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", told).removesuffix(".git")
    return told if told.startswith("https://") and "@" not in told else ""


def links(url):
    """Return what an index page lists beside the package."""
    if not url:
        return {}
    return {
        "Repository": url,
        "Documentation": f"{url}/tree/HEAD/docs",
        "Changelog": f"{url}/blob/HEAD/CHANGELOG.md",
        "Security": f"{url}/blob/HEAD/SECURITY.md",
    }


def description(url):
    """Return the README with links that live outside of the repository; without an address of it
    what they name stays, as text.
    """
    try:
        text = (ROOT / "README.md").read_text("utf-8")
    except OSError:  # what is copied beside a function has none
        return ""
    text = re.sub(r"<picture><source[^>]*>\s*|</picture>", "", text)  # an index page is light
    if not url:
        text = re.sub(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n*", "", text)
        return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
    text = re.sub(r"(!\[[^\]]*\]\()(?!https?:)", rf"\1{url}/raw/HEAD/", text)
    return re.sub(r"((?<!!)\[[^\]]+\]\()(?!https?:|#)", rf"\1{url}/blob/HEAD/", text)


if __name__ == "__main__":
    setup(
        cmdclass={"sdist": SourceArchive},
        long_description=description(repository()),
        long_description_content_type="text/markdown",
        project_urls=links(repository()),
    )
