"""Refusals and faults as problem details (RFC 9457)."""

from __future__ import annotations

from typing import Final

import msgspec

from mailplane_wire.submissions import Decision

URN: Final = "urn:mailplane:problem:"

STATUS: Final[dict[str, tuple[int, str]]] = {
    "invalid": (422, "The request is not valid"),
    "suppressed": (422, "The recipient is suppressed"),
    "consent-missing": (422, "Consent is missing"),
    "content-rule": (422, "A content rule refuses this message"),
    "cap-reached": (429, "A cap is reached"),
    "paused": (409, "Sending is paused"),
    "conflict": (409, "The present state does not allow this"),
    "idempotency-mismatch": (409, "The idempotency key was used for another message"),
    "unknown-mailbox": (404, "No such mailbox"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "path-forbidden": (403, "The workload may not use this path"),
    "not-permitted": (403, "Not permitted"),
    "origin-refused": (403, "Requests from web pages are refused"),
    "unauthenticated": (401, "A valid bearer token is required"),
    "unsupported-type": (415, "The body must be application/json"),
    "headers-too-large": (431, "The request's headers are too large"),
    "request-timeout": (408, "The request took too long"),
    "too-large": (413, "The request is too large"),
    "bad-host": (421, "The Host header is not one of ours"),
    "store-full": (507, "The state directory is full"),
    "stopping": (503, "The daemon is stopping"),
    "fault": (500, "A fault in mailplane"),
}
"""Code → HTTP status and title. The code is the last part of the problem's `type`."""


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with one field of a request."""

    field: str
    reason: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An RFC 9457 problem. `errors` for `invalid`, `decision` for `cap-reached` and `paused`."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
    decision: Decision | None = None
    mailbox: str | None = None
    recipient: str | None = None
    retry_after_s: int | None = None

    @property
    def code(self) -> str:
        """The last part of `type`, a key of `STATUS`."""
        return self.type.removeprefix(URN)


def problem(
    code: str,
    detail: str,
    *,
    errors: list[FieldError] | None = None,
    decision: Decision | None = None,
    mailbox: str | None = None,
    recipient: str | None = None,
    retry_after_s: int | None = None,
) -> Problem:
    """The problem for a code of `STATUS`."""
    status, title = STATUS[code]
    return Problem(
        type=URN + code,
        title=title,
        status=status,
        detail=detail,
        errors=errors or [],
        decision=decision,
        mailbox=mailbox,
        recipient=recipient,
        retry_after_s=retry_after_s,
    )
