"""What `mailplane doctor` finds."""

from __future__ import annotations

from typing import Literal

from mailplane_wire.resources import View


class CheckView(View, frozen=True, kw_only=True):
    """One thing that was looked at. `fix` says what to do about it unless it is ok."""

    check: str
    status: Literal["ok", "warning", "fault"]
    detail: str
    fix: str | None = None
