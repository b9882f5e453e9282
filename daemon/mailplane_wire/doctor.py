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

    @classmethod
    def of(
        cls, check: str, detail: str, fix: str | None = None, *, grave: bool = True
    ) -> CheckView:
        """Without a fix it is ok; with one a fault, or a warning where that is not grave."""
        if fix is None:
            return cls(check=check, status="ok", detail=detail)
        return cls(check=check, status="fault" if grave else "warning", detail=detail, fix=fix)
