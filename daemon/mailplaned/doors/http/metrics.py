"""`GET /metrics`: Prometheus text, computed when it is asked for."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from mailplaned.domain.roles import Action
from mailplaned.doors.http import views
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import refuse
from mailplaned.ports import Transaction


async def metrics(request: Request, context: Context) -> Response:
    """The state of every mailbox and cap, as gauges."""
    caller = caller_of(request)
    if not caller.may(Action.READ):
        raise refuse("not-permitted", "metrics are daemon-wide")
    text = await context.store.look(_collect)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _collect(tx: Transaction) -> bytes:
    registry = CollectorRegistry()
    names = ["workspace", "mailbox"]
    gauges = {
        name: Gauge(f"mailplane_{name}", words, names, registry=registry)
        for name, words in (
            ("waiting_messages", "Messages that wait for a slot or are held"),
            ("sending_messages", "Attempts under way"),
            ("unknown_messages", "Attempts whose outcome is unknown, still charged"),
            ("sent_messages_24h", "Messages accepted by the provider in 24 hours"),
            ("bounced_recipients_24h", "Recipients bounced in 24 hours"),
            ("paused", "1 while a pause stops the mailbox"),
        )
    }
    cap_names = [*names, "scope", "window", "kind", "counts"]
    limit = Gauge("mailplane_cap_limit", "The limit of a cap", cap_names, registry=registry)
    free = Gauge("mailplane_cap_free", "What is left of a cap", cap_names, registry=registry)
    for workspace in tx.memory.policy.workspaces.values():
        for mailbox in workspace.mailboxes.values():
            view = views.mailbox_view(tx.memory, mailbox, tx.now_us)
            labels = (view.workspace, view.address)
            gauges["waiting_messages"].labels(*labels).set(view.waiting)
            gauges["sending_messages"].labels(*labels).set(view.sending)
            gauges["unknown_messages"].labels(*labels).set(view.unknown)
            gauges["sent_messages_24h"].labels(*labels).set(view.sent_24h)
            gauges["bounced_recipients_24h"].labels(*labels).set(view.bounced_24h)
            gauges["paused"].labels(*labels).set(bool(view.pauses))
            for cap in view.caps:
                of_cap = (*labels, cap.scope, cap.window, cap.kind, cap.counts)
                limit.labels(*of_cap).set(cap.limit)
                free.labels(*of_cap).set(cap.free)
    return generate_latest(registry)
