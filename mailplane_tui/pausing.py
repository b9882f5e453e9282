"""Pause, resume and undo: from the key over the dialog and the request to the toast.

Nothing is shown as done before the daemon said so: a mailbox gets a mark until its row changes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mailplane_tui import calls
from mailplane_tui.calls import Outcome
from mailplane_tui.explain import advice, own_pauses, own_workspace_pauses
from mailplane_tui.views.reasons import (
    Answer,
    PauseDialog,
    ResumeDialog,
    ResumeWorkspaceDialog,
    lifts,
)
from mailplane_wire.resources import MailboxView

if TYPE_CHECKING:
    from mailplane_tui.app import Dashboard


class Pausing:
    """The actions that stop sending or let it go on."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._model = dashboard.model

    def do_mailbox_pause(self) -> None:
        """Ask for a reason, then pause."""
        rows = self._dashboard.targets()
        if not rows:
            self._dashboard.toast("No mailbox to pause here", "error")
            return
        title = f"Pause {len(rows)} mailboxes" if len(rows) > 1 else f"Pause {rows[0].address}"
        self._dashboard.push_screen(
            PauseDialog(title, rows, self._model.now), partial(self._pause, rows)
        )

    def _pause(self, rows: list[MailboxView], answer: Answer | None) -> None:
        if answer is None:
            return
        addresses = [row.address for row in rows]
        self._model.expect(addresses, "pause")
        job = partial(
            calls.pause_mailboxes, self._dashboard.client, addresses, answer.reason, answer.until
        )
        self._dashboard.in_background(job, self._paused)

    def _paused(self, outcome: Outcome) -> None:
        for address, pauses in outcome.pauses.items():
            self._model.answered(address, present=pauses)
        self._refused(outcome, "pause")
        if outcome.pauses:
            made = [pause for pauses in outcome.pauses.values() for pause in pauses]
            only = next(iter(outcome.pauses)) if len(outcome.pauses) == 1 else None
            label = only or f"{len(outcome.pauses)} mailboxes"
            self._model.remember_undo(made, label)
            self._dashboard.toast(f"Paused {label}; u undoes (30 s)")

    def do_workspace_pause(self) -> None:
        """Ask for a reason, then pause the workspace in view."""
        name = self._model.workspace
        if name is None:
            return
        rows = [row for row in self._model.mailboxes.values() if row.workspace == name]
        title = f"Pause workspace {name}: {len(rows)} mailboxes"
        dialog = PauseDialog(title, rows, self._model.now)
        self._dashboard.push_screen(dialog, partial(self._pause_workspace, name))

    def _pause_workspace(self, name: str, answer: Answer | None) -> None:
        if answer is not None:
            job = partial(
                calls.pause_workspace, self._dashboard.client, name, answer.reason, answer.until
            )
            self._dashboard.in_background(job, self._paused)

    def do_mailbox_resume(self) -> None:
        """Ask why, then lift the pauses of mailboxes that have some of their own."""
        rows = self._dashboard.targets()
        stopped = [row for row in rows if own_pauses(row)]
        if not stopped:
            stop = rows[0] if len(rows) == 1 and rows[0].state in ("paused", "error") else None
            why = advice(stop) if stop else "Nothing to resume here"
            self._dashboard.toast(why, "error")
            return
        dialog = ResumeDialog(stopped)
        then = partial(self._resume, stopped, acknowledge=dialog.acknowledge)
        self._dashboard.push_screen(dialog, then)

    def _resume(self, rows: list[MailboxView], answer: Answer | None, *, acknowledge: bool) -> None:
        if answer is None:
            return
        gone = {row.address: lifts(row, acknowledge=acknowledge) for row in rows}
        self._model.expect(gone, "resume")
        job = partial(
            calls.resume_mailboxes,
            self._dashboard.client,
            gone,
            answer.reason,
            acknowledge=acknowledge,
        )
        self._dashboard.in_background(job, self._resumed)

    def _resumed(self, outcome: Outcome) -> None:
        for address, pauses in outcome.pauses.items():
            self._model.answered(address, absent=pauses)
        self._refused(outcome, "resume")
        if outcome.pauses:
            only = next(iter(outcome.pauses)) if len(outcome.pauses) == 1 else None
            self._dashboard.toast(f"Resumed {only or f'{len(outcome.pauses)} mailboxes'}")

    def do_workspace_resume(self) -> None:
        """Ask why and for the name, then lift the workspace's pauses."""
        name = self._model.workspace
        view = self._model.workspaces.get(name) if name else None
        if name is None or view is None or not own_workspace_pauses(view):
            self._dashboard.toast("This workspace has no pause of its own", "error")
            return
        dialog = ResumeWorkspaceDialog(name, self._model.count.mailboxes)
        self._dashboard.push_screen(dialog, partial(self._resume_workspace, name))

    def _resume_workspace(self, name: str, answer: Answer | None) -> None:
        if answer is not None:
            job = partial(calls.resume_workspace, self._dashboard.client, name, answer.reason)
            self._dashboard.in_background(job, self._resumed)

    def do_undo(self) -> None:
        """Lift the pauses made just now; the audit keeps both."""
        undo = self._model.take_undo()
        if undo is None:
            self._dashboard.toast("Nothing to undo: only your own pauses, for 30 s", "error")
            return
        job = partial(calls.lift_pauses, self._dashboard.client, undo.pauses, "undo of a pause")
        self._dashboard.in_background(job, partial(self._undone, undo.label))

    def _undone(self, label: str, outcome: Outcome) -> None:
        self._refused(outcome, "undo")
        if outcome.pauses:
            self._dashboard.toast(f"Undone: pause of {label}")

    def _refused(self, outcome: Outcome, what: str) -> None:
        for subject, why in list(outcome.refused.items())[:3]:
            self._dashboard.toast(f"{what} {subject}: {why}", "error")
        if (more := len(outcome.refused) - 3) > 0:
            self._dashboard.toast(f"{what}: {more} more refused", "error")
        for subject in outcome.refused:
            self._model.forget(subject)
