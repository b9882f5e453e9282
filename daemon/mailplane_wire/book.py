"""The book on the wire: whether files are one, what they would change, and edits of them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mailplane_wire.resources import View
from mailplane_wire.submissions import Request

BookTable = Literal["workspace", "account", "domain", "mailbox", "path", "workload", "member"]
"""The tables that can be edited by name; `member` is in `mailplane.toml`."""


class BookCheck(View, frozen=True, kw_only=True):
    """Whether files are a book; its hash is null when they have problems."""

    hash: str | None
    problems: list[str]
    notices: list[str]


class DifferenceView(View, frozen=True, kw_only=True):
    """One key that differs between two books; a value that is not set is null.

    `key` is such as `mailbox[ana@acme.example].caps`; the key of a whole table where that came or
    went. `text` says it in words.
    """

    file: str
    workspace: str | None
    key: str
    old: Any
    new: Any
    text: str


class BookFiles(Request, frozen=True, kw_only=True):
    """A book's files by name, such as `workspaces/acme.toml`; without it: those on disk."""

    files: dict[str, str] | None = None


class BookEdit(Request, frozen=True, kw_only=True):
    """One edit of a table that `name` names; a value of null takes its key out."""

    op: Literal["add", "set", "remove"]
    table: BookTable
    name: str
    values: dict[str, Any] = msgspec.field(default_factory=dict)


class BookEdits(Request, frozen=True, kw_only=True):
    """Edits of one file, that of a workspace or without one `mailplane.toml`: all or none.

    With `probe` each account that a mailbox is new at is logged in to before anything is written.
    """

    workspace: str | None = None
    edits: list[BookEdit]
    probe: bool = True


class BookChange(View, frozen=True, kw_only=True):
    """What differs between the book in force and another, and what that other is like.

    `hash` is null when it has problems. `applied` says whether it is in force now.
    """

    hash: str | None
    applied: bool
    differences: list[DifferenceView]
    problems: list[str]
    notices: list[str]


class BookVersion(View, frozen=True, kw_only=True):
    """A book that was put in force: when, by whom, and how much it changed."""

    hash: str
    applied_at: str
    actor: str
    changes: int


class MemberView(View, frozen=True, kw_only=True):
    """A person of the book who is a user of this host; no workspaces: all of them."""

    name: str
    role: str
    workspaces: list[str]
    unix_user: str | None
    uid: int
