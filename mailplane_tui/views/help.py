"""Every action of the place one is in, made from the registry."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.events import Key
from textual.widget import Widget

from mailplane_tui.actions import Action, Danger, for_view, key_text
from mailplane_tui.glyphs import STATE_ROLES, Glyphs
from mailplane_tui.lines import BLANK, Line, Role, Span, line
from mailplane_tui.views.dialog import Block, Dialog

_STATES = {
    "ready": "can send",
    "near": "over 80 % of a cap",
    "full": "a cap is used up; goes on by itself",
    "paused": "a person paused it",
    "held": "a rule or a provider stopped it; needs a person",
    "error": "credentials or account; can't send",
}


class HelpDialog(Dialog[None]):
    """Keys, what they do, who may and the same on the command line; then the signs."""

    def __init__(self, view: str) -> None:
        super().__init__(f"Keys here ({view}); esc closes")
        self._view = view

    def parts(self) -> list[Widget]:
        """One scrolling list."""
        lines = help_lines(self._view, self.dashboard.format.glyphs)
        return [HelpScroll(lines)]

    def on_key(self, event: Key) -> None:
        """The key that opened it closes it, as does `q`."""
        if event.character in {"?", "q"}:
            event.stop()
            self.dismiss(None)


class HelpScroll(VerticalScroll, can_focus=True):
    """The list, scrolled by arrows and page keys."""

    def __init__(self, lines: list[Line]) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        """The lines."""
        yield Block(lambda _: self._lines, len(self._lines))


def help_lines(view: str, glyphs: Glyphs) -> list[Line]:
    """All keys of a view, those that change something first."""
    actions = sorted(for_view(view), key=lambda action: action.danger is Danger.VIEW)
    lines = [_action_line(action, glyphs) for action in actions]
    lines.append(BLANK)
    for state, meaning in _STATES.items():
        sign = f" {glyphs.states[state]} {state:<8}"
        lines.append(line((sign, STATE_ROLES[state]), (f" {meaning}", Role.TEXT)))
    lines.append(_bars(glyphs))
    return lines


def _action_line(action: Action, glyphs: Glyphs) -> Line:
    keys = " ".join(key_text(key, ascii_only=glyphs.ascii_only) for key in action.keys)
    who = f" ({action.role})" if action.role != "viewer" else ""
    return line((f" {keys:<14}", Role.KEY), action.help, (who, Role.DIM))


def _bars(glyphs: Glyphs) -> Line:
    signs = (
        (glyphs.sent, Role.SENT, "sent"),
        (glyphs.unknown, Role.UNKNOWN, "unknown, still counted"),
        (glyphs.waiting, Role.WAITING, "waiting"),
        (glyphs.free, Role.FREE, "free"),
    )
    pieces: list[Span] = [(" bars      ", Role.DIM)]
    for sign, role, meaning in signs:
        pieces.extend(((sign * 2, role), (f" {meaning}  ", Role.TEXT)))
    return tuple(pieces)
