"""Secrets on the wire: everything but their values, which only ever travel inwards."""

from __future__ import annotations

from typing import Literal

from mailplane_wire.resources import View
from mailplane_wire.submissions import Request


class SecretView(View, frozen=True, kw_only=True):
    """A named secret. `used_by` are the places of the book that name it."""

    name: str
    workspace: str | None
    version: int | None
    kept: Literal["sealed", "file"]
    created_at: str | None
    changed_at: str | None
    expires_at: str | None
    last_used_at: str | None
    used_by: list[str]
    problem: str | None = None


class SecretRequest(Request, frozen=True, kw_only=True):
    """A new secret; without a workspace every workspace may name it."""

    name: str
    value: str
    workspace: str | None = None
    expires_at: str | None = None


class RotateRequest(Request, frozen=True, kw_only=True):
    """Another value for a secret that there is; it serves from the next use on."""

    value: str
    expires_at: str | None = None
