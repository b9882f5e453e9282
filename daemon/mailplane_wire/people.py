"""Machines' tokens on the wire."""

from __future__ import annotations

from typing import Literal

from mailplane_wire.resources import View
from mailplane_wire.submissions import Request

TokenAction = Literal["submit", "read", "cancel"]
"""What a token can do at all."""


class TokenView(View, frozen=True, kw_only=True):
    """A machine's token; `token` is shown once, when it is made. Null limits nothing."""

    id: str
    name: str
    workspace: str
    workloads: list[str] | None
    mailboxes: list[str] | None
    actions: list[str] | None
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    token: str | None = None


class TokenRequest(Request, frozen=True, kw_only=True):
    """A new token for a machine that works for one workspace, or for a part of it."""

    name: str
    workspace: str
    workloads: list[str] | None = None
    mailboxes: list[str] | None = None
    actions: list[TokenAction] | None = None
    expires_at: str | None = None


class TokenRotation(Request, frozen=True, kw_only=True):
    """Another token with the same limits; the old one goes on for `overlap`, then ends."""

    overlap: str = "24h"
    expires_at: str | None = None
