"""Backups on the wire."""

from __future__ import annotations

from mailplane_wire.resources import View
from mailplane_wire.submissions import Request


class BackupRequest(Request, frozen=True, kw_only=True):
    """Make a backup; `keys` takes the vault's key, the audit log's and secret files into it."""

    keys: bool = False


class BackupView(View, frozen=True, kw_only=True):
    """A backup. `left_out` are files that a restored daemon needs from elsewhere."""

    path: str
    bytes: int
    made_at: str
    version: str
    book: str
    counts: dict[str, int]
    left_out: list[str]
