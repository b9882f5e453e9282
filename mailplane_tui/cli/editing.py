"""The verbs `add`, `set` and `remove`, the same for every noun that is a table of the book.

What a key is called and which values it may have is for the daemon to say: it answers with the
problems that the book would have, and writes nothing then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from mailplane_tui.cli.names import Completer
from mailplane_tui.cli.output import say, show_json
from mailplane_tui.cli.session import REFUSED, Failure, Noun, Session, part, pass_session

Option = Callable[[Callable[..., int]], Callable[..., int]]

_CAP: Final = re.compile(
    r"([0-9][0-9_]*)/(hour|day|week)(?:/(rolling|calendar))?(?:/(messages|recipients))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the book: its name, its list in the API, and how its items are spoken of."""

    name: str
    collection: str
    metavar: str
    what: str
    names: Completer


def edit_verbs(noun: Noun, table: Table, *options: Option) -> None:
    """Give a noun `add`, `set` and `remove`; each option has the name of the key that it gives."""

    def valued(function: Callable[..., int]) -> Callable[..., int]:
        for option in reversed(options):
            function = option(function)
        return click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")(function)

    @noun.command("add", help=f"Add {table.what} to the book.")
    @click.argument("item", metavar=table.metavar)
    @valued
    @pass_session
    def add(session: Session, /, item: str, pairs: Sequence[str], **given: Any) -> int:
        workspace = item if table.name == "workspace" else _workspace(session)
        probe = not given.pop("no_probe", False)
        edit = book_edit("add", table.name, item, _values(pairs, given))
        return send_edit(session, workspace, edit, probe=probe)

    @noun.command("set", help=f"Change {table.what} in the book; KEY= takes a key out.")
    @click.argument("item", metavar=table.metavar, shell_complete=table.names)
    @valued
    @pass_session
    def change(session: Session, /, item: str, pairs: Sequence[str], **given: Any) -> int:
        probe = not given.pop("no_probe", False)
        edit = book_edit("set", table.name, item, _values(pairs, given))
        return send_edit(session, _workspace_of(session, table, item), edit, probe=probe)

    @noun.command("remove", help=f"Take {table.what} out of the book.")
    @click.argument("item", metavar=table.metavar, shell_complete=table.names)
    @pass_session
    def remove(session: Session, item: str) -> int:
        workspace = _workspace_of(session, table, item)
        whole = ", and all that is in it," if table.name == "workspace" else ""
        session.confirm(f"Take {table.name} {item}{whole} out of the book?")
        return send_edit(session, workspace, book_edit("remove", table.name, item, {}))


def cap_option(what: str) -> Option:
    """`--cap`: the caps of an item, in place of those that it has."""
    return click.option(
        "--cap",
        "caps",
        multiple=True,
        metavar="N/PER",
        callback=lambda _context, _param, texts: [_cap(text) for text in texts] or None,
        help=f"A cap on {what}: 50/day, 250/week/calendar, 100/day/rolling/recipients. "
        "Those given take the place of all it has.",
    )


def probe_option(function: Callable[..., int]) -> Callable[..., int]:
    """`--no-probe`: change the book without a log-in to the account first."""
    text = "Don't log in to the account before anything is written."
    return click.option("--no-probe", is_flag=True, help=text)(function)


def book_edit(op: str, table: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """One edit, as the wire has it."""
    return {"op": op, "table": table, "name": name, "values": values}


def send_edit(
    session: Session, workspace: str | None, edit: dict[str, Any], *, probe: bool = True
) -> int:
    """Have the daemon change the book, and show what has changed; the exit code."""
    body = {"workspace": workspace, "edits": [edit], "probe": probe}
    change = session.call_long("changing the book", "POST", "/v1/book/edits", body)
    about = edit["name"] if workspace else "mailplane.toml"
    return show_change(session, change, about)


def show_change(session: Session, change: dict[str, Any], about: str = "") -> int:
    """What differs now, or the problems that kept a change from being made; the exit code.

    Of the book's notices those are shown that have `about` in them.
    """
    if session.as_json:
        show_json(change)
    elif change["applied"]:
        for difference in change["differences"]:
            say(difference["text"])
        if not change["differences"]:
            say("nothing has changed")
        for notice in change["notices"]:
            if about in notice:
                say(f"notice: {notice}", "yellow")
    else:
        for problem in change["problems"]:
            say(f"problem: {problem}", "red")
    return 0 if change["applied"] else REFUSED


def the_item(session: Session, table: Table, name: str) -> dict[str, Any]:
    """What the daemon's list says of one item. Raises Failure."""
    found = _items(session, table, name)
    if not found:
        where = f" in {session.workspace}" if session.workspace else ""
        raise Failure(f"there is no {table.name} {name}{where}")
    return _only(table, name, found)


def _items(session: Session, table: Table, name: str) -> list[dict[str, Any]]:
    """What the daemon has of this name, in the workspace that is meant or in all."""
    if table.name == "mailbox":
        return _mailbox(session, name)
    rows = session.items(f"/v1/{table.collection}", workspace=session.workspace)
    return [row for row in rows if row["name"].lower() == name.lower()]


def _mailbox(session: Session, address: str) -> list[dict[str, Any]]:
    from mailplane_wire.client import Refused

    with session.failing():
        try:
            return [session.client().call("GET", f"/v1/mailboxes/{part(address)}")]
        except Refused as fault:
            if fault.problem.status != 404:
                raise
            return []


def _workspace_of(session: Session, table: Table, name: str) -> str:
    """The workspace whose file has an item: the one that is meant, or that the daemon knows it in.

    What the daemon does not know may be written in the only one; it says what is near otherwise.
    """
    if table.name == "workspace":
        return name
    found = _items(session, table, name) if session.workspace is None else []
    if found:
        return str(_only(table, name, found)["workspace"])
    return _workspace(
        session, f"no workspace has {table.name} {name}: mend its name, or give --workspace"
    )


def _only(table: Table, name: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if len(found) > 1:
        homes = " and ".join(row["workspace"] for row in found)
        raise click.UsageError(f"{table.name} {name} is in {homes}: give --workspace")
    return found[0]


def _workspace(
    session: Session, unclear: str = "there are several workspaces: give --workspace"
) -> str:
    """The workspace that is meant, or the only one; `unclear` is said where there are several."""
    if session.workspace is not None:
        return session.workspace
    names = [row["name"] for row in session.items("/v1/workspaces")]
    if not names:
        raise Failure("there is no workspace yet: mailplane workspace add NAME")
    if len(names) > 1:
        raise click.UsageError(unclear)
    return str(names[0])


def _values(pairs: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
    """The keys that options and KEY=VALUE give; KEY= gives null."""
    values = {key: value for key, value in given.items() if value is not None}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{pair!r} must be KEY=VALUE, or KEY= to take the key out")
        if key in values:
            raise click.UsageError(f"{key} is given twice")
        values[key] = _value(value) if value else None
    return dict(sorted(values.items(), key=lambda item: item[0] == "caps"))  # these come last


def _value(text: str) -> Any:
    """A value of TOML; what is none is a text, which needs no quotes then."""
    import tomllib

    try:
        (value,) = tomllib.loads(f"value = {text}").values()
        return _plain(value)
    except (ValueError, RecursionError):
        return text


def _plain(value: Any) -> Any:
    """A value of TOML as JSON has it. Raises ValueError for a number that JSON can't say."""
    from datetime import date, time
    from math import isfinite

    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(value)
    return value.isoformat() if isinstance(value, date | time) else value


def _cap(text: str) -> dict[str, Any]:
    match = _CAP.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} must be such as 50/day or 250/week/calendar")
    limit, per, window, counts = match.groups()
    cap = {"limit": int(limit), "per": per}
    return cap | {k: v for k, v in (("window", window), ("counts", counts)) if v}
