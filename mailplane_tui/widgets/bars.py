"""The lines around the list: truth bar, tabs, status, explanation and keys."""

from __future__ import annotations

from textual.events import Click

from mailplane_tui.actions import Danger, footer_for, key_text, refusal
from mailplane_tui.lines import Line, Role, Span, line, plain, spread, width_of
from mailplane_tui.model import FRESH_S, Link
from mailplane_tui.scrub import fit, fit_middle, scrub
from mailplane_tui.widgets.painted import Lines

_WIDE = 110
_WIDER = 130
_LEAD = "     ! "


class TruthBar(Lines):
    """Line 1: whose numbers these are, how fresh, and how much is wrong."""

    def compose_lines(self, width: int) -> list[Line]:
        """One line; where it is too long, the less urgent counts go."""
        model = self.dashboard.model
        left: list[str | Span] = [(" mailplane ", Role.STRONG)]
        if self.dashboard.title_note:
            left.append((f"{scrub(self.dashboard.title_note, 20)} ", Role.NEAR))
        left.extend(self._workspace())
        if width >= _WIDE and model.actor:
            who = dict.fromkeys((scrub(model.actor, 40), scrub(model.role, 20)))
            left.append((f"   {', '.join(who)}", Role.DIM))
        if width >= _WIDER and model.book:
            left.append((f"   book {scrub(model.book.hash, 16)}", Role.DIM))
        if self.dashboard.readonly:
            left.append(("  read-only", Role.NEAR))
        counts = self._counts()
        right = [self._link(), *counts.values(), self._clock(width)]
        room = width - width_of(line(*left)) - 2
        for least in (counts.get("paused"), right[-1], counts.get("unknown")):
            if least and sum(map(width_of, right)) > room:
                right.remove(least)
        return [spread(line(*left), line(*(span for part in right for span in part), " "), width)]

    def _clock(self, width: int) -> Line:
        model = self.dashboard.model
        if model.now is None or model.link is Link.OFFLINE:
            return ()
        clock = self.dashboard.format.local(model.now)
        return line(f"  {clock:%H:%M:%S}" + (f" {clock:%Z}" if width >= _WIDE else ""))

    def _workspace(self) -> Line:
        model = self.dashboard.model
        if not model.workspaces:
            return line(("(no workspace yet)", Role.DIM))
        if model.workspace is None:
            return line((f" all ({len(model.workspaces)}) ", Role.TITLE))
        names = list(model.workspaces)
        place = names.index(model.workspace) + 1 if model.workspace in names else 0
        name = scrub(model.workspace, 40)
        return line((f" {name} ", Role.TITLE), (f"({place}/{len(names)})", Role.DIM))

    def _link(self) -> Line:
        model, glyphs = self.dashboard.model, self.dashboard.format.glyphs
        age = model.age_s or 0.0
        match model.link:
            case Link.NEVER:
                return line((f"{glyphs.lost} not connected", Role.ERROR))
            case Link.LIVE:
                since = f" {age:.0f}s" if age >= FRESH_S else ""
                return line((f"{glyphs.live} live{since}", Role.DIM))
            case Link.LATE:
                return line((f"{glyphs.live} late {age:.0f}s", Role.NEAR))
            case Link.OFFLINE:
                since = f"{int(age) // 60}:{int(age) % 60:02d}"
                retry = model.retry_in_s
                again = f", retry in {retry:.0f}s" if retry is not None else ""
                at = f"{self.dashboard.format.local(model.now):%H:%M:%S}" if model.now else ""
                return line(
                    (f"{glyphs.lost} OFFLINE {since}{again}", Role.ERROR),
                    (f"  data as of {at}", Role.NEAR),
                )

    def _counts(self) -> dict[str, Line]:
        model = self.dashboard.model
        if model.link in (Link.NEVER, Link.OFFLINE):
            return {}
        count = model.count
        numbers = (
            ("held", count.states["held"], Role.HELD),
            ("err", count.states["error"], Role.ERROR),
            ("queue", count.waiting, Role.TEXT),
            ("paused", count.states["paused"], Role.PAUSED),
            ("unknown", count.unknown, Role.UNKNOWN),
        )
        return {
            word: line("  ", (f"{word} {number}", role))
            for word, number, role in numbers
            if number or word == "queue"
        }


class Tabs(Lines):
    """Line 2: the views and their digits."""

    def compose_lines(self, width: int) -> list[Line]:
        """One line; the view in front stands in brackets."""
        del width
        return [tuple((piece, role) for piece, role, _ in self._tabs())]

    def _tabs(self) -> list[tuple[str, Role, str]]:
        shown = self.dashboard.main.shown
        return [
            (f"[{spec.key} {spec.title}] ", Role.STRONG, spec.id)
            if spec.id == shown
            else (f" {spec.key} {spec.title}  ", Role.DIM, spec.id)
            for spec in self.dashboard.views
        ]

    def on_click(self, event: Click) -> None:
        """Show the view whose tab was clicked."""
        end = 0
        for text, _, view in self._tabs():
            end += len(text)
            if event.x < end:
                self.dashboard.main.show_view(view)
                return


class StatusLine(Lines):
    """Line 3: the offline banner, else a fault of the book, else what the view says of itself.

    Behind that what else needs a person, as far as there is room.
    """

    def compose_lines(self, width: int) -> list[Line]:
        """One line."""
        model = self.dashboard.model
        if model.link is Link.OFFLINE:
            lead = " ! view only, R retries: "
            fault = scrub(model.fault or "the daemon fell silent")
            ellipsis = self.dashboard.format.glyphs.ellipsis
            shown = fit_middle(fault, width - len(lead), ellipsis=ellipsis)
            return [line((lead + shown, Role.ERROR))]
        if model.book and model.book.problems:
            first = scrub(model.book.problems[0], 200)
            return [line((f" ! bad book, the last good one stays: {first}", Role.HELD))]
        view = self.dashboard.main.view.status()
        if not model.findings:
            return [view]
        more = f" (and {len(model.findings) - 1} more)" if len(model.findings) > 1 else ""
        room = width - width_of(view) - len(_LEAD) - len(more)
        ellipsis = self.dashboard.format.glyphs.ellipsis
        said = fit(scrub(model.findings[0]), room, ellipsis=ellipsis).rstrip()
        return [(*view, (_LEAD + said + more, Role.HELD))]


class ExplainStrip(Lines):
    """Three lines on what is under the cursor."""

    DEFAULT_CSS = "ExplainStrip { height: 4; }"

    def compose_lines(self, width: int) -> list[Line]:
        """A rule, then what the view in front has to say."""
        rule = self.dashboard.format.glyphs.rule * width
        return [line((rule, Role.DIM)), *self.dashboard.main.view.explain(width)]


class KeyBar(Lines):
    """The last line: keys of the view in front; dim where they can't be used now."""

    def __init__(self, view: str | None = None) -> None:
        super().__init__()
        self._view = view

    def compose_lines(self, width: int) -> list[Line]:
        """As many keys as fit; the last two always do."""
        keys = self._keys()
        last = [keys.pop() for _ in range(min(2, len(keys)))][::-1]
        room = width - 1 - sum(width_of(spans) for _, spans in last)
        shown: list[Span] = [(" ", Role.TEXT)]
        for _, spans in keys:
            room -= width_of(spans)
            if room < 0:
                break
            shown.extend(spans)
        return [(*shown, *(span for _, spans in last for span in spans))]

    def _keys(self) -> list[tuple[str, Line]]:
        dashboard = self.dashboard
        model = dashboard.model
        keys: list[tuple[str, Line]] = []
        for action in footer_for(self._view or dashboard.main.shown):
            refused = action.danger is not Danger.VIEW and refusal(
                action,
                role=model.role,
                readonly=dashboard.readonly,
                offline=model.link in (Link.NEVER, Link.OFFLINE),
                workspace=model.workspace,
            )
            if action.id == "undo" and model.undo is None:
                continue
            key = key_text(action.keys[0], ascii_only=dashboard.format.glyphs.ascii_only)
            roles = (Role.DIM, Role.DIM) if refused else (Role.KEY, Role.TEXT)
            keys.append((action.id, line((key, roles[0]), (f" {action.label}  ", roles[1]))))
        return keys

    def on_click(self, event: Click) -> None:
        """Do the action that was clicked."""
        end = 1
        shown = plain(self.compose_lines(self.size.width)[0])
        for action, spans in self._keys():
            if plain(spans) not in shown:
                continue
            end += width_of(spans)
            if event.x < end:
                self.dashboard.act(action)
                return
