"""The Chinese pages beside the English ones: the same code, commands, names and parts."""

from __future__ import annotations

import re

import pytest

from tests.docs.blocks import ALL, Block
from tests.docs.tables import TRANSLATED
from tests.site.pages import ROOT

ORIGINALS = {
    "docs/zh/README.md": ("README.md", "docs/deployment.md", "docs/emulator.md", "docs/events.md"),
    "docs/zh/how-to.md": ("docs/how-to.md", "docs/resources.md", "docs/observe.md"),
    "docs/zh/from-the-built-in-runtime.md": (
        "docs/from-the-built-in-runtime.md",
        "docs/testing.md",
        "docs/concurrency.md",
        "docs/new.md",
    ),
}
"""The English pages that each tells in Chinese, the first one part by part."""

PARTS = {
    "docs/zh/how-to.md": [
        "给一个请求的每一行日志加上字段",
        "共用数据库连接池",
        "同一个事件只处理一次",
        "所有请求共用一个 OSS 客户端",
        "读取密钥",
        "链路追踪",
        "把同时到达的请求合成一批",
        "拆开触发器的一批消息",
        "测试",
        "实例并发度设为多少",
        "部署之前的检查",
    ],
    "docs/zh/from-the-built-in-runtime.md": [
        "不变的",
        "不同的",
        "内置运行时自带的包",
        "同时处理多个请求之前，检查这些",  # noqa: RUF001 - it is Chinese
    ],
}
"""The parts of a page, in the order of the English ones."""


def text_of(page: str) -> str:
    """The text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def without_comments(code: str) -> str:
    """Code without the comments that are translated; the name of a file stays."""
    return re.sub(r" *#(?! \w+\.(?:py|toml)).*", "", code)


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page."""
    return [block for block in ALL.values() if block.page == page]


@pytest.mark.parametrize("page", ORIGINALS)
def test_each_block_is_one_of_the_english_page(page: str) -> None:
    """Comments may be translated. Of a terminal, each line is there, in a block or in a
    sentence, so what is run there is run here.
    """
    english = [block for original in ORIGINALS[page] for block in blocks_of(original)]
    same = {without_comments(block.code) for block in english}
    shown = "".join(block.code for block in english)
    told = set(re.findall(r"(?<!`)`([^`\n]+)`", "".join(map(text_of, ORIGINALS[page]))))
    for block in blocks_of(page):
        if block.kind == "console":
            lines = [line.removeprefix("$ ") for line in block.code.splitlines()]
            assert [line for line in lines if line not in shown and line not in told] == []
        else:
            assert without_comments(block.code) in same, block.place


@pytest.mark.parametrize("page", PARTS)
def test_each_part_of_the_english_page_is_there(page: str) -> None:
    """In the same order, each with as many blocks."""
    chinese, english = (
        [(part.partition("\n")[0], part.count("```") // 2) for part in text.split("\n## ")[1:]]
        for text in (text_of(page), text_of(ORIGINALS[page][0]))
    )
    assert [title for title, _ in chinese if title in PARTS[page]] == PARTS[page]
    shown = [count for title, count in chinese if title in PARTS[page]]
    assert shown == [count for _, count in english]


@pytest.mark.parametrize("page", ORIGINALS)
def test_each_name_in_it_is_in_the_english_page(page: str) -> None:
    """What is set as code, commands, settings and names, is there, too."""
    english = "".join(map(text_of, ORIGINALS[page])) + text_of("README.md")
    english = " ".join(english.split())
    prose = re.sub(r"^ *```.*?^ *```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    named = {name for name in re.findall("`([^`\n]+)`", prose) if name.isascii()}
    assert sorted(name for name in named if name not in english) == []


def test_each_chinese_page_is_compared() -> None:
    """A new one needs its original."""
    pages = {block.page for block in ALL.values() if block.page.startswith(TRANSLATED)}
    files = {f"docs/zh/{path.name}" for path in (ROOT / "docs/zh").glob("*.md")}
    assert pages <= files == set(ORIGINALS)
