"""Secrets that stand in the book in clear, in values or comments. Their text is never repeated."""

from __future__ import annotations

import re
from typing import Final

from mailplaned.book.source import Source

_ADVICE: Final = "take it out, change it at its provider, and use: mailplane secret set NAME"

_SHAPES: Final = (
    # what it is, a part that is always in it, its form
    ("a private key", "-----BEGIN ", re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")),
    ("a password in an address", "://", re.compile(r"://[^\s/\"'@:]{1,200}:[^\s/\"'@]{1,200}@")),
    ("a key of AWS", "AKIA", re.compile(r"AKIA[0-9A-Z]{16}\b")),
    ("a key of Mailgun", "key-", re.compile(r"key-[0-9a-f]{32}\b")),
    ("a key of SendGrid", "SG.", re.compile(r"SG\.[\w-]{16,}\.[\w-]{16,}")),
    ("a token of Google", "ya29.", re.compile(r"ya29\.[\w-]{20,}")),
    ("a secret of Google", "GOCSPX-", re.compile(r"GOCSPX-[\w-]{20,}")),
    ("a token of mailplane", "mp_", re.compile(r"mp_[\w-]{43}\b")),
)

_KEY: Final = re.compile(
    r"pass(?:word|wd|phrase)?|api_?key|private_?key|token|credentials?", re.IGNORECASE
)
"""Keys that would hold a secret; the book has none of these."""


def check_exposed(source: Source) -> None:
    """A problem for each place of the file that looks like a secret in clear."""
    for words, part, form in _SHAPES:
        if part in source.text:
            for match in form.finditer(source.text):
                source.problem_at(match.start(), f"what looks like {words}", _ADVICE)


def names_a_secret(key: str) -> bool:
    """Whether a key is one that people put a secret under."""
    return _KEY.search(key[:100]) is not None


def looks_secret(value: object) -> bool:
    """Whether a value may be a secret itself and is better not repeated."""
    text = value if isinstance(value, str) else repr(value)
    return any(part in text and form.search(text) for _, part, form in _SHAPES)
