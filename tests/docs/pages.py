"""The pages of the documentation as what can be run and checked: their fenced blocks and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)

_BLOCK = re.compile(r"(<!-- not run[^\n]*-->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)]*)?\)")
_VOLATILE = (
    (re.compile(r"msg_[0-9A-Z]{26}"), "msg_ID"),
    (re.compile(r"<[0-9a-z]{26}@"), "<ID@"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r'("(policy|hash)": ?)"[0-9a-f]{16}"'), r'\1"HASH"'),
    (re.compile(r'("retry_after_s": ?)\d+'), r"\1SECONDS"),
    (re.compile(r"pid \d+, at \S+"), "pid PID, at SOCKET"),
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `skipped` when the page says that it is not to be run."""

    language: str
    text: str
    skipped: bool


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [
        Block(language=found[2], text=found[3], skipped=found[1] is not None)
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def links(page: Path) -> list[str]:
    """The files of this repository that a page refers to."""
    return [found[1] for found in _LINK.finditer(page.read_text(encoding="utf-8"))]


def settled(text: str) -> str:
    """An output without what differs from run to run."""
    for pattern, name in _VOLATILE:
        text = pattern.sub(name, text)
    lines = (re.sub(r" {2,}", "  ", line).rstrip() for line in text.strip().splitlines())
    return "\n".join(lines)
