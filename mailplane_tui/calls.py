"""The requests that change something. Blocking: the app runs them in threads.

Each returns what became of it as a value; nothing here decides what the screen shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from mailplane_wire.client import Client, DaemonUnreachable, Refused
from mailplane_wire.resources import (
    MessageView,
    Page,
    PauseRequest,
    PauseScope,
    PauseView,
    ReasonRequest,
    ShownRequest,
)

OPEN_STATES: Final = ("unknown", "held", "deferred", "sending", "queued", "scheduled")


@dataclass(slots=True)
class Outcome:
    """What became of a request per mailbox: pauses made or lifted by it, or why not."""

    pauses: dict[str, frozenset[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def pause_mailboxes(
    client: Client, addresses: Iterable[str], reason: str, until: str | None
) -> Outcome:
    """Pause each mailbox; `pauses` has the one made for each."""
    outcome = Outcome()
    for address in addresses:
        body = PauseRequest(scope=PauseScope(mailbox=address), reason=reason, until=until)
        try:
            made = msgspec.convert(client.call("POST", "/v1/pauses", body), PauseView)
        except (Refused, DaemonUnreachable) as fault:
            outcome.refused[address] = str(fault)
        else:
            outcome.pauses[address] = frozenset({made.id})
    return outcome


def pause_workspace(client: Client, name: str, reason: str, until: str | None) -> Outcome:
    """Pause a whole workspace; the outcome is kept under the workspace's name."""
    body = PauseRequest(scope=PauseScope(workspace=name), reason=reason, until=until)
    try:
        made = msgspec.convert(client.call("POST", "/v1/pauses", body), PauseView)
    except (Refused, DaemonUnreachable) as fault:
        return Outcome(refused={name: str(fault)})
    return Outcome(pauses={name: frozenset({made.id})})


def resume_mailboxes(
    client: Client, lifts: dict[str, frozenset[str]], reason: str, *, acknowledge: bool
) -> Outcome:
    """Resume each mailbox; `lifts` names the pauses that have to go with it."""
    outcome = Outcome()
    body = ReasonRequest(reason=reason, acknowledge=acknowledge)
    for address, pauses in lifts.items():
        try:
            client.call("POST", f"/v1/mailboxes/{quote(address)}/resume", body)
        except (Refused, DaemonUnreachable) as fault:
            outcome.refused[address] = str(fault)
        else:
            outcome.pauses[address] = pauses
    return outcome


def resume_workspace(client: Client, name: str, reason: str) -> Outcome:
    """Lift the pauses of a workspace."""
    try:
        client.call("POST", f"/v1/workspaces/{quote(name)}/resume", ReasonRequest(reason=reason))
    except (Refused, DaemonUnreachable) as fault:
        return Outcome(refused={name: str(fault)})
    return Outcome(pauses={name: frozenset()})


def lift_pauses(client: Client, pauses: Iterable[str], reason: str) -> Outcome:
    """Lift these pauses and no others."""
    outcome = Outcome()
    for pause in pauses:
        try:
            client.call("DELETE", f"/v1/pauses/{quote(pause)}", ReasonRequest(reason=reason))
        except (Refused, DaemonUnreachable) as fault:
            outcome.refused[pause] = str(fault)
        else:
            outcome.pauses[pause] = frozenset({pause})
    return outcome


def open_messages(client: Client, address: str, limit: int) -> list[MessageView] | str:
    """The mailbox's unfinished messages, those that need a person first; or why they can't be had.

    Oldest first within a state.
    """
    found: list[MessageView] = []
    try:
        for state in OPEN_STATES:
            if (room := limit - len(found)) > 0:
                query = urlencode({"mailbox": address, "state": state, "limit": room})
                page = client.get(f"/v1/messages?{query}", Page)
                found.extend(msgspec.convert(page.items, list[MessageView]))
    except (Refused, DaemonUnreachable) as fault:
        return str(fault)
    except msgspec.MsgspecError:
        return "the daemon's answer was not understood"
    return found


def tell_shown(client: Client, stream: str, addresses: list[str]) -> None:
    """Say which mailboxes are on the screen; where that fails, the stream itself is in trouble."""
    body = ShownRequest(mailboxes=addresses)
    with suppress(Refused, DaemonUnreachable):
        client.call("POST", f"/v1/stream/{quote(stream)}/shown", body)
