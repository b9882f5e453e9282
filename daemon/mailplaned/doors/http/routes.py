"""The route table: what there is, on which surface, with which types. OpenAPI is made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import people as machines
from mailplane_wire import resources as wire
from mailplane_wire import submissions as sub
from mailplane_wire import vault
from mailplane_wire.audit.lines import AuditKey, CheckpointView, Redacted, RedactRequest
from mailplane_wire.backup import BackupRequest, BackupView
from mailplane_wire.book import BookChange, BookEdits, BookFiles, BookVersion, MemberView
from mailplane_wire.doctor import CheckView
from mailplaned.doors.http import (
    audit,
    audit_export,
    book,
    control,
    house,
    metrics,
    pauses,
    resources,
    secrets,
    submissions,
    tokens,
)
from mailplaned.doors.http.context import Context

Handler = Callable[[Request, Context], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    `answer` None: no JSON; a tuple: any of these. `page_of` gives the type of a page's items.
    """

    method: str
    path: str
    handler: Handler
    answer: Any
    status: int = 200
    body: Any = None
    page_of: Any = None
    shim: bool = False
    bodiless: bool = False
    """The body may be left out."""
    query: tuple[str, ...] = ()
    open: bool = False
    media: str = "text/plain"
    """What is answered where there is no JSON."""

    @property
    def name(self) -> str:
        """The operation's id."""
        path = self.path.removeprefix("/v1/").replace("{", "").replace("}", "").replace("/", "_")
        return f"{self.method.lower()}_{path}"


_LIST = ("workspace",)
_REASON = wire.ReasonRequest

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/messages", submissions.submit, (sub.Answer, sub.Results), 202,
          body=(sub.Submission, sub.Batch), shim=True),
    Route("POST", "/v1/preflight", submissions.preflight, (sub.Answer, sub.Results),
          body=(sub.Submission, sub.Batch), shim=True),
    Route("GET", "/v1/messages", resources.list_messages, wire.Page, page_of=wire.MessageView,
          shim=True,
          query=("workspace", "state", "mailbox", "recipient", "after", "limit")),
    Route("GET", "/v1/messages/{id}", resources.show_message, wire.MessageView, shim=True),
    Route("POST", "/v1/messages/{id}/cancel", control.cancel_message, wire.MessageView,
          body=_REASON, bodiless=True, shim=True),
    Route("POST", "/v1/messages/{id}/resolve", control.resolve_message, wire.MessageView,
          body=wire.ResolveRequest),
    Route("GET", "/v1/mailboxes", resources.list_mailboxes, wire.Page, page_of=wire.MailboxView,
          shim=True, query=_LIST),
    Route("GET", "/v1/mailboxes/{address}", resources.show_mailbox, wire.MailboxView, shim=True),
    Route("GET", "/v1/workspaces", resources.list_workspaces, wire.Page,
          page_of=wire.WorkspaceView, query=_LIST),
    Route("GET", "/v1/domains", resources.list_domains, wire.Page, page_of=wire.DomainView,
          query=_LIST),
    Route("GET", "/v1/accounts", resources.list_accounts, wire.Page, page_of=wire.AccountView,
          query=_LIST),
    Route("GET", "/v1/paths", resources.list_paths, wire.Page, page_of=wire.PathView, query=_LIST),
    Route("GET", "/v1/names", resources.list_names, wire.Page, page_of=str,
          query=("of", "prefix", "workspace")),
    Route("GET", "/v1/pauses", pauses.list_pauses, wire.Page, page_of=wire.PauseView,
          query=("workspace", "lifted")),
    Route("POST", "/v1/pauses", pauses.add_pause, wire.PauseView, 201, body=wire.PauseRequest),
    Route("DELETE", "/v1/pauses/{id}", pauses.lift_pause, dict[str, list[str]], body=_REASON),
    *(
        route
        for path in ("/v1/mailboxes/{name}", "/v1/domains/{name}", "/v1/workspaces/{name}",
                     "/v1/everything")
        for route in (
            Route("POST", f"{path}/pause", pauses.pause_named, wire.PauseView, 201, body=_REASON),
            Route("POST", f"{path}/resume", pauses.resume_named, dict[str, list[str]],
                  body=_REASON),
        )
    ),
    Route("GET", "/v1/suppressions", control.list_suppressions, wire.Page,
          page_of=wire.SuppressionView, query=("workspace", "after")),
    Route("POST", "/v1/suppressions", control.add_suppression, wire.SuppressionView, 201,
          body=wire.SuppressionRequest),
    Route("DELETE", "/v1/suppressions/{id}", control.remove_suppression, wire.SuppressionView,
          body=_REASON),
    Route("POST", "/v1/suppressions/check", control.check_suppressions, wire.Page,
          page_of=wire.SuppressionView, body=wire.SuppressionCheck, shim=True),
    Route("GET", "/v1/events", resources.list_events, wire.Page, page_of=wire.EventView, shim=True,
          query=("workspace", "after", "limit", "last")),
    Route("GET", "/v1/audit", audit.list_audit, wire.Page, page_of=wire.AuditView,
          query=("workspace", "actor", "action", "target", "since", "until", "about", "after",
                 "limit", "last")),
    Route("POST", "/v1/audit/checkpoints", audit.sign, CheckpointView, query=_LIST),
    Route("GET", "/v1/audit/key", audit.show_key, AuditKey, query=_LIST),
    Route("GET", "/v1/audit/export", audit_export.export, None, media=audit_export.MEDIA,
          query=_LIST),
    Route("GET", "/v1/audit/{seq}/proof", audit_export.prove, None, media=audit_export.MEDIA),
    Route("POST", "/v1/audit/redact", audit.redact, Redacted, body=RedactRequest),
    Route("POST", "/v1/book/diff", book.diff, BookChange, body=BookFiles, bodiless=True),
    Route("POST", "/v1/book/apply", book.apply, BookChange, body=BookFiles, bodiless=True),
    Route("POST", "/v1/book/edits", book.edit, BookChange, body=BookEdits),
    Route("GET", "/v1/book/history", book.history, wire.Page, page_of=BookVersion,
          query=("after", "limit")),
    Route("GET", "/v1/people", book.list_people, wire.Page, page_of=MemberView),
    Route("GET", "/v1/tokens", tokens.list_tokens, wire.Page, page_of=machines.TokenView,
          query=_LIST),
    Route("POST", "/v1/tokens", tokens.add_token, machines.TokenView, 201,
          body=machines.TokenRequest),
    Route("POST", "/v1/tokens/{id}/rotate", tokens.rotate_token, machines.TokenView, 201,
          body=machines.TokenRotation, bodiless=True),
    Route("DELETE", "/v1/tokens/{id}", tokens.revoke_token, machines.TokenView),
    Route("GET", "/v1/secrets", secrets.list_secrets, wire.Page, page_of=vault.SecretView,
          query=_LIST),
    Route("POST", "/v1/secrets", secrets.add_secret, vault.SecretView, 201,
          body=vault.SecretRequest),
    Route("POST", "/v1/secrets/{name}/rotate", secrets.rotate_secret, vault.SecretView,
          body=vault.RotateRequest, query=_LIST),
    Route("DELETE", "/v1/secrets/{name}", secrets.remove_secret, vault.SecretView, body=_REASON,
          query=_LIST),
    Route("POST", "/v1/vault/rekey", secrets.rekey, dict[str, int]),
    Route("POST", "/v1/backups", house.back_up, BackupView, 201, body=BackupRequest,
          bodiless=True),
    Route("GET", "/v1/doctor", house.doctor, wire.Page, page_of=CheckView),
    Route("GET", "/v1/ledger/verify", house.verify_ledger, wire.LedgerReport),
    Route("POST", "/v1/clock/accept", house.accept_clock, dict[str, int], body=_REASON),
    Route("GET", "/v1/health", house.health, wire.Health, shim=True, open=True),
    Route("GET", "/metrics", metrics.metrics, None),
)  # fmt: skip
