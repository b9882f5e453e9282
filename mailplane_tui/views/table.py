"""The table of views. Another view is another entry here, and nothing else."""

from __future__ import annotations

from typing import Final

from mailplane_tui.views.base import ViewSpec
from mailplane_tui.views.logs import AuditTail, EventTail
from mailplane_tui.views.mailboxes import MailboxesView

VIEWS: Final = (
    ViewSpec(id="mailboxes", key="1", title="Mailboxes", make=MailboxesView),
    ViewSpec(id="audit", key="5", title="Audit", make=AuditTail),
    ViewSpec(id="events", key="6", title="Events", make=EventTail),
)
"""In the order of their digits, which stay as they are when views come between."""
