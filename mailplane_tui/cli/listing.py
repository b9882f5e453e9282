"""`mailplane domain` and `mailplane path`: what the book made of them."""

from __future__ import annotations

import click

from mailplane_tui.cli.names import DOMAINS
from mailplane_tui.cli.output import show_json, show_table
from mailplane_tui.cli.pausing import pause_scope, resume_scope
from mailplane_tui.cli.session import Noun, Session, pass_session


@click.group(cls=Noun)
def domain() -> None:
    """Sending domains."""


@domain.command("list")
@pass_session
def list_domains(session: Session) -> None:
    """List the sending domains."""
    found = list(session.items("/v1/domains", workspace=session.workspace))
    if session.as_json:
        show_json({"items": found, "next": None})
        return
    rows = (
        (row["name"], row["workspace"], row["mailboxes"], row["dkim_selector"], _held(row))
        for row in found
    )
    show_table(("DOMAIN", "WORKSPACE", "MAILBOXES", "DKIM", "PAUSED"), rows)


pause_scope(domain, "domains", "NAME", "a sending domain", DOMAINS)
resume_scope(domain, "domains", "NAME", "a sending domain", DOMAINS)


@click.group(cls=Noun)
def path() -> None:
    """Ways out that workloads may use."""


@path.command("list")
@pass_session
def list_paths(session: Session) -> None:
    """List the paths and their tiers."""
    found = list(session.items("/v1/paths", workspace=session.workspace))
    if session.as_json:
        show_json({"items": found, "next": None})
        return
    rows = (
        (
            row["name"],
            row["workspace"],
            " > ".join(" ".join(tier) for tier in row["tiers"]),
            row["failover"],
            row["workloads"],
            _held(row),
        )
        for row in found
    )
    show_table(("PATH", "WORKSPACE", "TIERS", "FAILOVER", "WORKLOADS", "PAUSED"), rows)


def _held(row: dict[str, list[dict[str, str]]]) -> str | None:
    return "; ".join(pause["reason"] for pause in row["pauses"]) or None
