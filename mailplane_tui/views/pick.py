"""Choose one of a few: by cursor, by digit, or by typing part of it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.events import Key
from textual.widget import Widget

from mailplane_tui.glyphs import SEVERITY, STATE_ROLES, Glyphs
from mailplane_tui.lines import Line, Role, Span, fit_line, line, plain
from mailplane_tui.model import Count, Model
from mailplane_tui.scrub import fit, scrub
from mailplane_tui.views.dialog import Block, Dialog

_HEIGHT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Something to choose; `now` marks what is in force."""

    id: str
    line: Line
    now: bool = False


class PickDialog(Dialog[str]):
    """Gives the id of what was chosen, None when nothing was. `last` is what `-` chooses."""

    def __init__(
        self,
        title: str,
        choices: list[Choice],
        *,
        start: str | None = None,
        last: str | None = None,
    ) -> None:
        super().__init__(title)
        self._choices = choices
        self._query = ""
        self._last = last
        at = [choice.id for choice in choices]
        wanted = start if start is not None else next((c.id for c in choices if c.now), None)
        self._cursor = at.index(wanted) if wanted in at else 0

    def parts(self) -> list[Widget]:
        """What is typed, the list, the keys."""
        height = min(_HEIGHT, len(self._choices))
        return [
            Block(lambda _: [self._typed()], 1),
            Block(self._list, height),
            Block(lambda _: [(), self._keys()], 2),
        ]

    def _matching(self) -> list[Choice]:
        query = self._query.lower()
        return [choice for choice in self._choices if query in plain(choice.line).lower()]

    def _typed(self) -> Line:
        if self._query:
            return line((" find: ", Role.DIM), (scrub(self._query, 40), Role.KEY))
        return line((" type to find", Role.DIM))

    def _list(self, width: int) -> list[Line]:
        matching = self._matching()
        glyphs = self.dashboard.format.glyphs
        first = max(0, self._cursor - _HEIGHT + 1)
        lines = []
        for index, choice in enumerate(matching[first : first + _HEIGHT], first):
            here = index == self._cursor
            digit = str(index + 1) if index < 9 else " "
            mark: Span = (glyphs.cursor if here else " ", Role.TITLE)
            now: Span = (" now" if choice.now else "    ", Role.KEY)
            body = choice.line if not here else tuple((t, _lit(r)) for t, r in choice.line)
            rest = fit_line(body, max(0, width - 8))
            lines.append((mark, (f"{digit} ", Role.KEY), *rest, now))
        return lines or [line((" nothing matches", Role.NEAR))]

    def _keys(self) -> Line:
        enter = "enter" if self.dashboard.format.glyphs.ascii_only else "⏎"
        keys: list[str | Span] = [
            (f" {enter} ", Role.KEY),
            "choose   ",
            ("1-9 ", Role.KEY),
            "jump   ",
        ]
        if self._last is not None:
            keys.extend([("- ", Role.KEY), "the one before   "])
        return line(*keys, ("esc ", Role.KEY), "close")

    def on_key(self, event: Key) -> None:
        """Move, choose, or take a character of what is looked for."""
        matching = self._matching()
        event.stop()
        match event.key:
            case "escape":
                self.dismiss(None)
            case "enter":
                if self._cursor < len(matching):
                    self.dismiss(matching[self._cursor].id)
            case "down":
                self._cursor = min(self._cursor + 1, max(0, len(matching) - 1))
            case "up":
                self._cursor = max(self._cursor - 1, 0)
            case "backspace":
                self._query, self._cursor = self._query[:-1], 0
            case "minus" if self._last is not None and not self._query:
                self.dismiss(self._last)
            case _:
                self._type(event.character, matching)
        self.update_blocks()

    def _type(self, character: str | None, matching: list[Choice]) -> None:
        if not character or not character.isprintable():
            return
        if character in "123456789" and not self._query:
            if int(character) <= len(matching):
                self.dismiss(matching[int(character) - 1].id)
            return
        self._query, self._cursor = self._query + character, 0


ALL = ""
"""The choice for the view of all workspaces, where nothing is changed across them."""


def workspace_dialog(model: Model, glyphs: Glyphs) -> PickDialog:
    """Choose a workspace. From the view of all, the cursor starts on that of the mailbox there."""
    everything = Count.of(model.workspaces.values())
    choices = [
        Choice(
            id=ALL,
            line=_workspace_line("all workspaces", everything, glyphs),
            now=model.workspace is None,
        )
    ]
    for view in model.workspaces.values():
        spans = _workspace_line(view.name, Count.of([view]), glyphs)
        if view.pauses:
            spans = (*spans, (f" {glyphs.states['paused']} as a whole", Role.PAUSED))
        choices.append(Choice(id=view.name, line=spans, now=view.name == model.workspace))
    start = model.cursor_row.workspace if model.workspace is None and model.cursor_row else None
    last = model.last_workspace or ALL
    return PickDialog("Switch workspace", choices, start=start, last=last)


def _workspace_line(name: str, count: Count, glyphs: Glyphs) -> Line:
    shown = [state for state in SEVERITY if count.states[state]]
    return (
        (fit(scrub(name, 60), 20) + " ", Role.TEXT),
        (f"{count.mailboxes:>4}  ", Role.DIM),
        *(
            span
            for state in shown
            for span in (
                (f"{glyphs.states[state]} {count.states[state]} {state}", STATE_ROLES[state]),
                (" ", Role.TEXT),
            )
        ),
    )


def _lit(role: Role) -> Role:
    return Role.STRONG if role in (Role.TEXT, Role.DIM) else role
