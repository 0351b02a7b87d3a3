"""The documentation's site: each page is in it, and what a page shows is so."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shlex
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from service.commands import invoke, serve
from service.commands.parser import parser_of, split_command
from service.commands.plain_commands import PLAIN_COMMANDS, plain_command
from service.errors import UsageError
from tests.site import languages, pages, reference

CONFIG = tomllib.loads((pages.ROOT / "zensical.toml").read_text())["project"]
ALL = {str(path.relative_to(pages.ROOT)): path for path in pages.pages()}
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
STARTS = ("README.md", "docs/zh/README.md")


def blocks(text: str, kind: str) -> list[str]:
    """The blocks of code of one language, without the indent that a list gives them."""
    return [textwrap.dedent(code) for _, its, code in BLOCK.findall(text) if its == kind]


def in_navigation(entries: list[object]) -> Iterator[str]:
    """The pages that the navigation names."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            assert isinstance(entry, dict)
            for inner in entry.values():
                yield from in_navigation(inner if isinstance(inner, list) else [inner])


def test_each_page_is_in_the_navigation_once() -> None:
    """A page that nobody can find does not exist, nor a name that leads nowhere."""
    assert sorted(in_navigation(CONFIG["nav"])) == sorted(ALL)


def test_the_site_has_each_page_and_what_it_links_to(tmp_path: Path) -> None:
    """Pages and pictures are at their own paths, so links are right as they are."""
    assert pages.put_together(tmp_path) == len(ALL)
    for name, page in ALL.items():
        copy = tmp_path / name
        assert copy.read_bytes() == page.read_bytes()
        gone = [each for each in pages.linked(copy) if not each.exists()]
        assert gone == [], name
    own = (*CONFIG["extra"]["polyfills"], *CONFIG["extra_css"], *CONFIG["extra_javascript"])
    assert [name for name in own if not (tmp_path / name).is_file()] == []
    assert (pages.ROOT / CONFIG["theme"]["custom_dir"] / "404.html").is_file()


@pytest.mark.parametrize("name", ALL)
def test_a_link_to_a_heading_leads_to_one(name: str) -> None:
    """`page.md#heading` names a heading of that page."""
    text = ALL[name].read_text()
    for link in re.findall(r"\]\((?!\w+:)([^)\s]*#[^)\s]+)\)", text):
        file, _, heading = link.partition("#")
        page = ALL[name].parent / file if file else ALL[name]
        titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.M)
        assert heading in map(slug, titles), f"{name}: {link}"


def slug(title: str) -> str:
    """A heading's anchor, as the site and forges make it."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", title)
    return re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


@pytest.mark.parametrize("name", ALL)
def test_what_stands_in_a_block_is_of_its_language(name: str) -> None:
    """Python, JSON and YAML can be read; imports of ours and of what is installed are there."""
    text = ALL[name].read_text()
    for code in blocks(text, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module and "service" in node.module:
                found = __import__(node.module, fromlist=["*"])
                assert [each.name for each in node.names if not hasattr(found, each.name)] == []
    for code in blocks(text, "json"):
        while code := code.lstrip():  # often a value a line
            code = code[json.JSONDecoder().raw_decode(code)[1] :]
    for code in blocks(text, "yaml"):
        yaml.safe_load(code)


def typed() -> Iterator[tuple[str, str]]:
    """The commands of ours that pages show, in a terminal or by the way, with their page."""
    ours = r"(?:\.venv/bin/)?fc-event-service|python -m (?:service|fc_event_service)"
    for name, page in ALL.items():
        text = page.read_text()
        inline = re.findall(rf"(?<!`)`((?:{ours}) (?!\d)[^`]+)`(?!`)", BLOCK.sub("", text))
        shown = re.findall(rf"^ *\$ ((?:{ours})\b.*)$", text, re.M)
        yield from ((name, command) for command in (*shown, *inline))


def test_each_command_that_a_page_shows_can_be_typed() -> None:
    """The command exists and takes what stands behind it; names in capitals stand for values."""
    found = list(typed())
    assert len(found) > 40
    refused = []
    for name, command in found:
        words = shlex.split(re.split(r" (?:2?>|\||&&)", command)[0], comments=True)
        arguments = words[words.index("-m") + 2 :] if "-m" in words[:2] else words[1:]
        if "..." in arguments or "COMMAND" in arguments or arguments in ([], ["--help"]):
            continue
        try:
            told, rest = split_command(arguments)
            parsed(told, rest)
        except (SystemExit, UsageError) as reason:
            refused.append(f"{name}: {command}: {reason}")
    assert refused == []


def parsed(command: str, rest: list[str]) -> None:
    """Have the command's own parser read its arguments. Raises SystemExit for what it refuses."""
    if command in PLAIN_COMMANDS:
        add_flags, _run = plain_command(command)
    else:
        add_flags = {"invoke": invoke.add_flags, "serve": serve.add_flags}[command]
        rest = invoke.with_profile_file(rest) if command == "invoke" else rest
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            parser_of(command, add_flags).parse_args(rest)
        except SystemExit as end:
            if end.code:  # and not --help, --version
                raise


def test_the_chinese_start_has_the_figures_of_the_readme() -> None:
    """Rows of figures are the same, in the same order: what is counted anew is changed in both."""
    rows = re.compile(r"^\| [^|]+((?: \| [\d,]+){5}) \|$", re.M)
    english, chinese = (rows.findall(ALL[name].read_text()) for name in STARTS)
    assert english == chinese
    assert len(english) == 3


def built(site: Path, name: str) -> Path:
    """A page as it is built: its language, and the choice of one, are those of the site."""
    page = site / name
    page.parent.mkdir(parents=True, exist_ok=True)
    links = "".join(f'<a href="x" hreflang="{each}">' for each in ("en", "zh"))
    head = '<html lang="en" class="no-js">\n  <link rel="alternate" href="x" hreflang="zh">'
    page.write_text(f"<!doctype html>\n{head}{links}</html>")
    return page


def test_a_chinese_page_says_so_and_leads_to_its_english_one(tmp_path: Path) -> None:
    """And that one back; a page that is there in English only leads where it did."""
    names = ("index.html", "docs/zh/index.html", "docs/a.html", "docs/zh/a.html", "docs/b.html")
    start, chinese_start, page, chinese_page, single = (built(tmp_path, name) for name in names)
    before = single.read_text().replace('\n  <link rel="alternate" href="x" hreflang="zh">', "")
    assert languages.tell(tmp_path) == 2
    for english, chinese in ((start, chinese_start), (page, chinese_page)):
        assert '<html lang="en"' in english.read_text()
        assert '<html lang="zh-CN"' in chinese.read_text()
        for each in (english, chinese):
            links = re.findall(r'href="([^"]+)"', each.read_text())
            assert [(each.parent / link).resolve() for link in links] == [english, chinese]
    assert single.read_text() == before


def test_each_chinese_page_has_an_english_one() -> None:
    """The choice of a language leads from one to the other."""
    chinese = [name for name in ALL if name.startswith("docs/zh/")]
    own = {name: name.replace("zh/", "") for name in chinese if name != STARTS[1]}
    assert len(own) == len(chinese) - 1
    assert [name for name in own.values() if name not in ALL] == []


def test_what_agents_are_told_exists() -> None:
    """llms.txt names pages and files of the repository, and every page of how to do a thing."""
    text = (pages.ROOT / "llms.txt").read_text()
    named = re.findall(r"\]\(([^)]+)\)", text)
    assert [name for name in named if not (pages.ROOT / name).is_file()] == []
    (how_to,) = (each["How to"] for each in CONFIG["nav"] if "How to" in each)
    assert set(in_navigation(how_to)) <= set(named)


@pytest.mark.skipif(sys.version_info[:2] != (3, 13), reason="the reference is as 3.13 writes it")
@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    """`make reference` has been run since the code was changed."""
    assert (reference.REFERENCE / name).read_text() == reference.page(name)
