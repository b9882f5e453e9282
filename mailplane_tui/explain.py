"""Everything there is to say about one mailbox, in lines, for strip, pane and screen. Pure."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from mailplane_tui.formats import Format
from mailplane_tui.lines import Line, Role, Span, line
from mailplane_tui.scrub import mask_all, scrub
from mailplane_wire.resources import CapView, MailboxView, PauseView, WorkspaceView

_WINDOWS = ("hour", "day", "week")
_LABEL = 9


def needs_acknowledgement(row: MailboxView) -> bool:
    """Whether a rule or a provider paused the mailbox: a person has to say that they saw it."""
    return any(pause.origin != "person" for pause in own_pauses(row))


def own_pauses(row: MailboxView) -> list[PauseView]:
    """The pauses on the mailbox itself, not on what it belongs to."""
    return [pause for pause in row.pauses if pause.scope.startswith("mailbox:")]


def own_workspace_pauses(view: WorkspaceView) -> list[PauseView]:
    """The pauses on the workspace itself, not on everything."""
    return [pause for pause in view.pauses if pause.scope.startswith("workspace:")]


def strip(row: MailboxView, text: Format, now: datetime | None, keep: Container[str]) -> list[Line]:
    """Three lines: why it is as it is, what it did last, what to do."""
    state, role = text.state(row)
    return [
        line(
            f" {scrub(row.address)}  ", (state, role), (f"  {text.why(row, now, keep)}", Role.TEXT)
        ),
        line((f" {_traffic(row, text, now, keep)}", Role.DIM)),
        line((f" {advice(row)}", Role.TITLE)),
    ]


def details(
    row: MailboxView, text: Format, now: datetime | None, keep: Container[str], *, bar: int
) -> list[Line]:
    """All of it: state, pauses, every cap, traffic, place, advice. `bar` cells per cap's bar."""
    state, role = text.state(row)
    lines = [_labelled("state", (state, role), f"  {text.why(row, now, keep)}")]
    lines.extend(
        _labelled("", (f"also {text.pause(pause, now)}", Role.PAUSED)) for pause in row.pauses[1:]
    )
    caps = sorted(row.caps, key=_cap_order)
    lines.extend(((" ", Role.TEXT), *text.cap(cap, now, bar)) for cap in caps)
    if not row.caps:
        lines.append(_labelled("caps", ("none", Role.NEAR)))
    slot = text.moment(row.next_slot_at, now)
    queue = f"{row.waiting} waiting, {row.sending} sending"
    lines.append(_labelled("next", f"{slot} {text.glyphs.dot} {queue}"))
    if row.unknown:
        risk = f"{row.unknown} may or may not have gone out; they count until resolved"
        lines.append(_labelled("unknown", (risk, Role.UNKNOWN)))
    lines.append(_labelled("7 days", *_week(row, text)))
    last = text.moment(row.last_sent_at, now)
    reply = f"  {mask_all(scrub(row.last_reply), keep)}" if row.last_reply else ""
    lines.append(_labelled("last", last + reply))
    paths = ", ".join(scrub(path, 40) for path in row.paths) or text.glyphs.none
    account = f"account {scrub(row.account)} ({text.provider(row.provider)})"
    lines.append(_labelled("place", f"{scrub(row.workspace)}, path {paths}, {account}"))
    lines.append(_labelled("do", (advice(row), Role.TITLE)))
    return lines


def advice(row: MailboxView) -> str:
    """What to press, or that nothing has to be done."""
    if needs_acknowledgement(row):
        return "r resumes it; asks you to acknowledge the stop"
    if own_pauses(row):
        return "r resumes it; mail stays queued until then"
    if row.pauses:
        kind, _, name = row.pauses[0].scope.partition(":")
        what = f"its {scrub(kind)} {scrub(name, 60)} is" if name else "everything is"
        return f"{what} paused; that has to be resumed"
    if row.state == "error":
        return "nothing to resume: its account has to be put right in the book"
    if row.unknown:
        return "mailplane message list --in unknown, then message resolve for each"
    if row.state == "full":
        return "nothing to do: it goes on by itself as its cap frees"
    return "p pauses it"


def _traffic(row: MailboxView, text: Format, now: datetime | None, keep: Container[str]) -> str:
    dot = f" {text.glyphs.dot} "
    parts = [f"{row.waiting} waiting"]
    if row.next_slot_at:
        parts.append(f"next {text.moment(row.next_slot_at, now)}")
    if row.unknown:
        parts.append(f"{row.unknown} unknown (capacity at risk)")
    if row.last_sent_at:
        parts.append(f"last sent {text.moment(row.last_sent_at, now)}")
    if row.last_reply:
        parts.append(f"last reply {mask_all(scrub(row.last_reply), keep)}")
    return dot.join(parts)


def _week(row: MailboxView, text: Format) -> list[str | Span]:
    share, role = text.bounces(row)
    pieces: list[str | Span] = [f"{row.sent_7d} sent, {row.bounced_7d} bounced"]
    if row.sent_7d:
        pieces.append((f" ({share} %)", role))
    return pieces


def _cap_order(cap: CapView) -> tuple[bool, int, str]:
    return not cap.scope.startswith("mailbox:"), _WINDOWS.index(cap.window), cap.scope


def _labelled(label: str, *pieces: str | Span) -> Line:
    return line((f" {label:<{_LABEL}} ", Role.DIM), *pieces)
