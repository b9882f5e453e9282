"""The demo's book: three clients, twelve mailboxes, and one of each state to look at."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from mailplane_tui.demo.verdict import Limit

WORKSPACES: Final = ("acme", "northwind", "kumo")

NEAR: Final = "ben@getacme.example"
FULL: Final = "cleo@tryacme.example"
PAUSED: Final = "fay@northwind-hello.example"

MORNING: Final = {
    "acme": {"ana@getacme.example": 15, NEAR: 102, FULL: 26},
    "northwind": {"dora@northwind-mail.example": 90, "emil@northwind-mail.example": 60, PAUSED: 3},
    "kumo": {
        "hana@kumo-studio.example": 55,
        "jun@kumo-studio.example": 8,
        "mio@kumo-hello.example": 40,
    },
}
"""What each mailbox is given before the demo begins: more than fits for the one that is full."""


def write_book(config: Path, port: int, today: date) -> None:
    """Write the book for a stand-in provider on that port of this host."""
    (config / "workspaces").mkdir(parents=True, exist_ok=True)
    (config / "mailplane.toml").write_text(_source("mailplane"), encoding="utf-8")
    for name in WORKSPACES:
        text = Template(_source(name)).substitute(port=port, first_day=today - timedelta(days=6))
        (config / "workspaces" / f"{name}.toml").write_text(text, encoding="utf-8")


def provider_port(config: Path) -> int | None:
    """The port of the stand-in provider that a book is written for; None without a book."""
    for file in _files(config):
        for account in file.get("account", ()):
            port: int = account["port"]
            return port
    return None


def limits(config: Path) -> list[Limit]:
    """Every cap that the book puts on a mailbox, a domain, an account or a workspace."""
    return [limit for file in _files(config) for limit in _limits(file)]


def _limits(file: dict[str, Any]) -> Iterator[Limit]:
    boxes = file.get("mailbox", [])
    workspace = file["workspace"]
    scopes = [(f"workspace:{workspace['name']}", workspace, boxes)]
    scopes += [(f"mailbox:{box['address']}", box, [box]) for box in boxes]
    for domain in file.get("domain", ()):
        own = [box for box in boxes if box["address"].endswith(f"@{domain['name']}")]
        scopes.append((f"domain:{domain['name']}", domain, own))
    for account in file.get("account", ()):
        own = [box for box in boxes if box["account"] == account["name"]]
        scopes.append((f"account:{workspace['name']}/{account['name']}", account, own))
    for scope, table, own in scopes:
        for cap in table.get("caps", ()):
            yield Limit(
                scope=scope,
                senders=frozenset(box["address"].lower() for box in own),
                limit=cap["limit"],
                per=cap["per"],
                calendar=cap.get("window") == "calendar",
                recipients=cap.get("counts") == "recipients",
                zone=workspace.get("timezone", "UTC"),
            )


def _files(config: Path) -> list[dict[str, Any]]:
    return [
        tomllib.loads(path.read_text(encoding="utf-8"))
        for path in sorted((config / "workspaces").glob("*.toml"))
    ]


def _source(name: str) -> str:
    return files("mailplane_tui.demo").joinpath("books", f"{name}.toml").read_text(encoding="utf-8")
