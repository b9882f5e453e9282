"""`mailplane domain`, `account` and `path`: what mailboxes send from, through, and by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mailplane_tui.cli.editing import Table, cap_option, edit_verbs, probe_option, the_item
from mailplane_tui.cli.names import ACCOUNTS, DOMAINS, MAILBOXES, PATHS
from mailplane_tui.cli.output import say, show_caps, show_facts, show_json, show_pauses, show_table
from mailplane_tui.cli.pausing import pause_scope, resume_scope
from mailplane_tui.cli.session import Noun, Session, pass_session

_DOMAIN = Table(
    name="domain", collection="domains", metavar="NAME", what="a sending domain", names=DOMAINS
)
_ACCOUNT = Table(
    name="account", collection="accounts", metavar="NAME", what="an account", names=ACCOUNTS
)
_PATH = Table(name="path", collection="paths", metavar="NAME", what="a path", names=PATHS)

_Columns = dict[str, str | Callable[[Any], object]]


@click.group(cls=Noun)
def domain() -> None:
    """Sending domains."""


@domain.command("list")
@pass_session
def list_domains(session: Session) -> None:
    """List the sending domains."""
    columns: _Columns = {
        "DOMAIN": "name",
        "WORKSPACE": "workspace",
        "MAILBOXES": "mailboxes",
        "DKIM": "dkim_selector",
        "PAUSED": _held,
    }
    _list(session, "/v1/domains", columns)


@domain.command("show")
@click.argument("name", shell_complete=DOMAINS)
@pass_session
def show_domain(session: Session, name: str) -> None:
    """Show one sending domain: its caps and pauses."""
    _show(session, _DOMAIN, name, "name", "workspace", "mailboxes", "dkim_selector")


pause_scope(domain, "domains", "NAME", "a sending domain", DOMAINS)
resume_scope(domain, "domains", "NAME", "a sending domain", DOMAINS)
edit_verbs(domain, _DOMAIN, cap_option("all mailboxes of the domain"))


@click.group(cls=Noun)
def account() -> None:
    """What a provider bills and limits."""


@account.command("list")
@pass_session
def list_accounts(session: Session) -> None:
    """List the provider accounts."""
    columns: _Columns = {
        "ACCOUNT": "name",
        "WORKSPACE": "workspace",
        "PROVIDER": _provider,
        "MAILBOXES": "mailboxes",
    }
    _list(session, "/v1/accounts", columns)


@account.command("show")
@click.argument("name", shell_complete=ACCOUNTS)
@pass_session
def show_account(session: Session, name: str) -> None:
    """Show one account: its relay, the name of its secret, and its caps."""
    keys = ("name", "workspace", "mailboxes", "host", "port", "tls", "username", "secret")
    _show(session, _ACCOUNT, name, *keys, provider=_provider)


edit_verbs(account, _ACCOUNT, cap_option("all mailboxes of the account"), probe_option)


@click.group(cls=Noun)
def path() -> None:
    """Ways out that workloads may use."""


@path.command("list")
@pass_session
def list_paths(session: Session) -> None:
    """List the paths and their tiers."""
    columns: _Columns = {
        "PATH": "name",
        "WORKSPACE": "workspace",
        "TIERS": _tiers,
        "FAILOVER": "failover",
        "WORKLOADS": "workloads",
        "PAUSED": _held,
    }
    _list(session, "/v1/paths", columns)


@path.command("show")
@click.argument("name", shell_complete=PATHS)
@pass_session
def show_path(session: Session, name: str) -> None:
    """Show one path: its tiers, who may use it, its pauses."""
    _show(session, _PATH, name, "name", "workspace", "failover", "workloads", tiers=_tiers)


edit_verbs(
    path,
    _PATH,
    click.option(
        "--tier",
        "tiers",
        multiple=True,
        metavar="ADDRESS,…",
        shell_complete=MAILBOXES,
        callback=lambda _context, _param, tiers: [_tier(text) for text in tiers] or None,
        help="Mailboxes of one tier, the first tier first. Those given take the place of all.",
    ),
)


def _list(session: Session, path: str, columns: _Columns) -> None:
    """List the items of a path, under each head the key that it names or what is made of them."""
    found = list(session.items(path, workspace=session.workspace))
    if session.as_json:
        show_json({"items": found, "next": None})
        return
    cells = (
        [row[of] if isinstance(of, str) else of(row) for of in columns.values()] for row in found
    )
    show_table([*columns], cells)


def _show(
    session: Session, table: Table, name: str, *keys: str, **more: Callable[[Any], object]
) -> None:
    """Show some keys of an item, and what is made of others."""
    row = the_item(session, table, name)
    if session.as_json:
        show_json(row)
        return
    show_facts((key.replace("_", " "), row[key]) for key in keys)
    show_facts((key, made(row)) for key, made in more.items())
    if row.get("caps"):
        say("")
        show_caps(row["caps"])
    show_pauses(row.get("pauses", ()))


def _tier(text: str) -> list[str]:
    return [address for part in text.split(",") if (address := part.strip())]


def _tiers(row: dict[str, Any]) -> str:
    return " > ".join(" ".join(tier) for tier in row["tiers"])


def _provider(row: dict[str, Any]) -> str:
    provider: str = row["provider"]
    return provider if row["supported"] else f"{provider} (can't send yet)"


def _held(row: dict[str, list[dict[str, str]]]) -> str | None:
    return "; ".join(pause["reason"] for pause in row["pauses"]) or None
