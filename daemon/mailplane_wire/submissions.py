"""What a sender hands in and what it is told.

Times are RFC 3339 UTC strings, durations are `<number><s|m|h|d|w>`, ids are `msg_` and 26
characters. Requests refuse fields they don't know, by name.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Addresses = list[str]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every body that comes from outside."""


class Attachment(Request, frozen=True, kw_only=True):
    """A file to attach; `content` is base64."""

    name: str
    type: str = "application/octet-stream"
    content: str


class Submission(Request, frozen=True, kw_only=True):
    """One message to send.

    `mailbox`, or `path`, or neither: then the workload's path decides. `raw` (base64 of RFC 5322
    bytes) stands in place of subject, text, html, headers and attachments.
    """

    workspace: str | None = None
    mailbox: str | None = None
    path: str | None = None
    workload: str = "manual"
    to: Addresses = []
    cc: Addresses = []
    bcc: Addresses = []
    reply_to: str | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    headers: dict[str, str] = {}
    attachments: list[Attachment] = []
    raw: str | None = None
    idempotency_key: str | None = None
    not_before: str | None = None
    expires_in: str | None = None
    on_cap: Literal["schedule", "reject"] | None = None
    metadata: dict[str, Any] = {}
    experiment: str | None = None


class Batch(Request, frozen=True, kw_only=True):
    """Up to 1,000 submissions in one call; each gets its own result, in order."""

    messages: list[Submission]


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Why the governor answered as it did: the cap that binds tightest, in numbers.

    `scope` is `<kind>:<name>`, e.g. `mailbox:ana@getacme.example`; None when no cap applies.
    """

    verdict: Literal["admit", "schedule", "hold", "refuse"]
    scope: str | None = None
    window: Literal["hour", "day", "week"] | None = None
    kind: Literal["rolling", "calendar"] | None = None
    limit: int | None = None
    used: int | None = None
    unknown: int | None = None
    waiting: int | None = None
    remaining: int | None = None
    resets_at: str | None = None
    policy: str
    reason: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an accepted submission is told. `id` is None in a preflight's answer."""

    id: str | None
    state: Literal["queued", "scheduled", "held"]
    mailbox: str
    workload: str
    path: str | None
    message_id: str | None
    slot_at: str | None
    decision: Decision


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a batch: an `Answer` or a `Problem` per message, in order."""

    results: list[Any]
