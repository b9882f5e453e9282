"""The book on the wire: whether files are a book."""

from __future__ import annotations

from mailplane_wire.resources import View


class BookCheck(View, frozen=True, kw_only=True):
    """Whether files are a book; its hash is null when they have problems."""

    hash: str | None
    problems: list[str]
    notices: list[str]
