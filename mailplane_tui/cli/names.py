"""Names for a shell to complete: what the daemon has, if it answers at once; else none.

A completer never fails and never writes: whoever presses Tab gets nothing for it but a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from mailplane_tui.cli.session import Failure, Session, address

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list["CompletionItem"]]

COLLECTIONS: Final = {
    "mailbox": "mailboxes",
    "domain": "domains",
    "path": "paths",
    "workspace": "workspaces",
}
"""What a pause can stop by name, and the list that has it."""

_ANSWER_S: Final = 1.0
_HELP_LENGTH: Final = 60
_PLAIN: Final = re.compile(r"[A-Za-z0-9._@+/-]+")
"""What no shell takes for anything but a name; other names have to be typed."""


def _of_book(kind: str) -> Completer:
    """Complete the names of one kind of thing in the book."""
    return _completer(lambda _, begun: address("/v1/names", of=kind, prefix=begun))


def _of_list(path: str, key: str, *about: str) -> Completer:
    """Complete what the items of a list have under `key`; `about` are shown beside it."""
    return _completer(lambda _context, _begun: path, key, *about)


def _completer(
    path: Callable[[click.Context, str], str], key: str | None = None, *about: str
) -> Completer:
    def complete(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from mailplane_tui.scrub import scrub

        found: dict[str, list[str]] = {}
        for name, words in _found(context, path(context, begun), key, about):
            if name.startswith(begun) and _PLAIN.fullmatch(name):
                found.setdefault(name, []).append(words)
        return [
            CompletionItem(name, help=scrub(", ".join(filter(None, words)), _HELP_LENGTH) or None)
            for name, words in found.items()
        ]

    return complete


def _found(
    context: click.Context, path: str, key: str | None, about: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    session = context.ensure_object(Session)
    try:
        with session.failing():
            items: list[Any] = session.client(_ANSWER_S).call("GET", path)["items"]
    except Failure:
        return
    for item in items:
        if key is None:
            yield item, ""
        else:
            yield item[key], " ".join(str(item[part]) for part in about if item[part])


def _what_is_paused(context: click.Context, begun: str) -> str:
    return address("/v1/names", of=COLLECTIONS.get(context.params.get("kind", "")), prefix=begun)


WORKSPACES: Final = _of_book("workspaces")
MAILBOXES: Final = _of_book("mailboxes")
DOMAINS: Final = _of_book("domains")
ACCOUNTS: Final = _of_book("accounts")
PATHS: Final = _of_book("paths")
TO_PAUSE: Final = _completer(_what_is_paused)
PAUSES: Final = _of_list("/v1/pauses", "id", "scope", "reason")
PEOPLE: Final = _of_list("/v1/people", "name", "role")
TOKENS: Final = _of_list("/v1/tokens", "id", "workspace", "name")
SECRETS: Final = _of_list("/v1/secrets", "name", "workspace")
UNKNOWN: Final = _of_list("/v1/messages?state=unknown&limit=100", "id", "mailbox", "subject")
