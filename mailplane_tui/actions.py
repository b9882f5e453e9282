"""The one table of what a person can do: it feeds keys, footer, help, palette and command line.

An action is data. What it does lies in the view, screen or app that has a method `do_<name>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

ROLES: Final = {"viewer": 0, "auditor": 0, "operator": 1, "admin": 2, "owner": 3}
"""Rank of a role in the dashboard; the daemon decides, this only dims keys in time."""


class Danger(Enum):
    """How much an action can do to sending."""

    VIEW = "looks only"
    SAFE = "stops sending, or can be undone"
    GUARDED = "lets mail out again; asks for a reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing a person can do.

    `keys` are Textual's names; the first is the one shown. `cli` is the same on the command line,
    with `{address}` and `{workspace}` to fill. `footer` orders the footer, 0 keeps it out.
    `where` names the views that have it, empty for all of them.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    role: str = "viewer"
    danger: Danger = Danger.VIEW
    cli: str | None = None
    footer: int = 0
    where: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The method that does it: `mailbox.pause` is done by `do_mailbox_pause`."""
        return "do_" + self.id.replace(".", "_")


_FLEET = frozenset({"mailboxes", "detail"})
_TABLE = frozenset({"mailboxes"})
_LISTS = frozenset({"mailboxes", "audit", "events"})
_LOGS = frozenset({"audit", "events", "detail"})

ACTIONS: Final[tuple[Action, ...]] = (
    Action(
        id="mailbox.pause", keys=("p",), label="pause", role="operator", danger=Danger.SAFE,
        help="Pause what is selected, or under the cursor",
        cli="mailplane mailbox pause {address} --reason REASON", footer=10, where=_FLEET,
    ),
    Action(
        id="mailbox.resume", keys=("r",), label="resume", role="operator", danger=Danger.GUARDED,
        help="Let it send again; asks why, and y for a rule's stop",
        cli="mailplane mailbox resume {address} --reason REASON", footer=11, where=_FLEET,
    ),
    Action(
        id="workspace.pause", keys=("P",), label="pause workspace", role="operator",
        danger=Danger.SAFE, help="Pause every mailbox of the workspace",
        cli="mailplane workspace pause {workspace} --reason REASON",
    ),
    Action(
        id="workspace.resume", keys=("ctrl+r",), label="resume workspace", role="operator",
        danger=Danger.GUARDED, help="Lift the workspace's own pauses; asks for its name",
        cli="mailplane workspace resume {workspace} --reason REASON",
    ),
    Action(
        id="undo", keys=("u",), label="undo", role="operator", danger=Danger.SAFE,
        help="Lift the pauses you made just now (30 s)", footer=12, where=_FLEET,
        cli="mailplane pause lift ID --reason REASON",
    ),
    Action(
        id="open", keys=("enter",), label="open", help="Open what is under the cursor",
        cli="mailplane mailbox show {address}", footer=20, where=_TABLE,
    ),
    Action(
        id="back", keys=("escape", "h", "backspace"), label="back",
        help="Go back; on a list: clear filter and selection", footer=1,
        where=frozenset({"detail"}),
    ),
    Action(
        id="previous", keys=("[",), label="prev", help="The mailbox before this one", footer=21,
        where=frozenset({"detail"}),
    ),
    Action(
        id="next", keys=("]",), label="next", help="The mailbox after this one", footer=22,
        where=frozenset({"detail"}),
    ),
    Action(
        id="filter", keys=("/",), label="filter", footer=30, where=_LISTS,
        help="Show what matches: text, state:held, !text",
    ),
    Action(
        id="sort", keys=("s",), label="sort", help="Choose the order of the mailboxes", footer=31,
        where=_TABLE,
    ),
    Action(
        id="sort.reverse", keys=("S",), label="reverse", help="Turn the order round",
        where=_TABLE,
    ),
    Action(
        id="select", keys=("space",), label="select", help="Select the mailbox and go on",
        where=_TABLE,
    ),
    Action(
        id="select.range", keys=("V",), label="select range", where=_TABLE,
        help="Select from the last selected mailbox to the cursor",
    ),
    Action(
        id="select.all", keys=("*",), label="select shown", help="Select all that are shown",
        where=_TABLE,
    ),
    Action(
        id="select.none", keys=("U",), label="select none", help="Select nothing", where=_TABLE,
    ),
    Action(
        id="freeze", keys=("f",), label="freeze/follow", footer=25, where=_LOGS,
        help="Hold the tail still, or follow it again",
    ),
    Action(
        id="workspace.switch", keys=("w",), label="workspace", footer=32,
        help="Switch to another workspace, or look at all",
        cli="mailplane workspace list",
    ),
    Action(
        id="workspace.last", keys=("-",), label="last workspace",
        help="Go back to the workspace you came from",
    ),
    Action(
        id="cursor.down", keys=("j", "down"), label="down", help="Move down",
    ),
    Action(id="cursor.up", keys=("k", "up"), label="up", help="Move up"),
    Action(id="cursor.first", keys=("g", "home"), label="top", help="Go to the first line"),
    Action(
        id="cursor.last", keys=("G", "end"), label="end", help="Go to the last line; logs follow",
    ),
    Action(
        id="cursor.page_down", keys=("ctrl+d", "pagedown"), label="page down",
        help="Move down by a page",
    ),
    Action(
        id="cursor.page_up", keys=("ctrl+u", "pageup"), label="page up",
        help="Move up by a page",
    ),
    Action(
        id="copy", keys=("y",), label="copy", help="Copy the address under the cursor",
        where=_FLEET,
    ),
    Action(
        id="copy.command", keys=("Y",), label="copy command", where=_FLEET,
        help="Copy the command line that shows this mailbox",
    ),
    Action(
        id="reconnect", keys=("R",), label="retry now", help="Try to reach the daemon now",
        cli="mailplane status",
    ),
    Action(
        id="theme", keys=("ctrl+t",), label="dark/light", help="Change between dark and light",
    ),
    Action(
        id="palette", keys=(":", "ctrl+p"), label="command", help="Find an action by its name",
        footer=90,
    ),
    Action(
        id="help", keys=("?", "f1"), label="help", help="Show this list", footer=91,
    ),
    Action(
        id="quit", keys=("q", "ctrl+q"), label="quit",
        help="Leave the dashboard; the daemon keeps sending",
    ),
)  # fmt: skip

BY_ID: Final = {action.id: action for action in ACTIONS}

_KEY_TEXT: Final = {
    "enter": "⏎", "escape": "esc", "space": "space", "down": "↓", "up": "↑",
    "pagedown": "pgdn", "pageup": "pgup",
}  # fmt: skip
_KEY_ASCII: Final = {**_KEY_TEXT, "enter": "enter", "down": "down", "up": "up"}


def key_text(key: str, *, ascii_only: bool = False) -> str:
    """A key as it is shown: `enter` is `⏎`, `ctrl+d` is itself."""
    return (_KEY_ASCII if ascii_only else _KEY_TEXT).get(key, key)


def for_view(view: str) -> list[Action]:
    """What can be done in a view, in the table's order."""
    return [action for action in ACTIONS if not action.where or view in action.where]


def footer_for(view: str) -> list[Action]:
    """What the footer shows for a view, in its order."""
    return sorted((a for a in for_view(view) if a.footer), key=lambda a: a.footer)


def refusal(
    action: Action, *, role: str, readonly: bool, offline: bool, workspace: str | None
) -> str | None:
    """Why the action can't be done now, for the person to read; None when it can.

    `workspace` is the one that it is about; None when that is all of them, or several.
    """
    if action.danger is Danger.VIEW:
        return None
    if readonly:
        return f"{action.label}: this dashboard was opened read-only"
    if ROLES.get(role, 0) < ROLES[action.role]:
        return f"{action.label}: your role is {role}; it takes {action.role}"
    if offline:
        return f"{action.label}: the daemon can't be reached; R tries again now"
    if workspace is None and action.id != "undo":
        return f"{action.label}: nothing is changed across workspaces; w enters one"
    return None
