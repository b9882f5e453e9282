"""The dashboard's composition root: stream in, model in the middle, screens out, requests back.

A thread follows the stream into a queue; a timer empties it twice a second into the model and tells
the screen what changed. Requests run in threads and change nothing here: a row changes when the
daemon says so.
"""

from __future__ import annotations

import locale
import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from functools import partial
from typing import ClassVar, TypeVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen, Screen
from textual.worker import Worker, WorkerState

from mailplane_tui import calls, themes
from mailplane_tui.actions import ACTIONS, BY_ID, Action, refusal
from mailplane_tui.feed import Feed, Lost
from mailplane_tui.formats import Format
from mailplane_tui.glyphs import Glyphs, glyphs_for
from mailplane_tui.model import FRESH_S, Link, Model
from mailplane_tui.pausing import Pausing
from mailplane_tui.scrub import scrub
from mailplane_tui.views.base import ViewSpec
from mailplane_tui.views.detail import DetailScreen
from mailplane_tui.views.help import HelpDialog
from mailplane_tui.views.main import MainScreen
from mailplane_tui.views.pick import ALL, workspace_dialog
from mailplane_tui.views.table import VIEWS
from mailplane_wire.client import Client
from mailplane_wire.paths import Places
from mailplane_wire.resources import MailboxView

REDRAW_S = 0.5
"""How often what the daemon said is shown; the effect of a key is shown at once."""

CALL_TIMEOUT_S = 5.0

_WIDTHS = ((0, "-tiny"), (40, "-narrow"), (110, "-medium"), (140, "-wide"))
_HEIGHTS = ((0, "-low"), (12, "-short"), (32, "-tall"))
"""Classes of a screen from so many columns and lines on; `app.tcss` says what they change."""

T = TypeVar("T")


class Dashboard(App[int]):
    """The app. `clock` gives seconds that only go forward; `zone` None is this machine's."""

    CSS_PATH = "app.tcss"
    TITLE = "mailplane"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(",".join(action.keys), f"act('{action.id}')", action.label, id=action.id)
            for action in ACTIONS
        ),
        *(Binding(spec.key, f"show_view('{spec.id}')", spec.title) for spec in VIEWS),
    ]

    def __init__(
        self,
        client: Client,
        *,
        workspace: str | None = None,
        readonly: bool = False,
        title_note: str | None = None,
        glyphs: Glyphs | None = None,
        zone: tzinfo | None = None,
        clock: Callable[[], float] = time.perf_counter,
        views: Sequence[ViewSpec] = VIEWS,
    ) -> None:
        plain = "NO_COLOR" in os.environ
        super().__init__(ansi_color=True if plain else None)
        self.HORIZONTAL_BREAKPOINTS = list(_WIDTHS)
        self.VERTICAL_BREAKPOINTS = list(_HEIGHTS)
        self.client = client
        self.clock = clock
        self.readonly = readonly
        self.title_note = title_note
        self.views = views
        self.model = Model(clock, workspace=workspace)
        self.format = Format(glyphs or glyphs_for(locale.getencoding()), zone)
        self.main = MainScreen(self)
        self.feed = Feed(client, clock)
        self._pausing = Pausing(self)
        self._told: frozenset[str] = frozenset()
        self._told_on: str | None = None
        self.animation_level = "none"
        self.register_theme(themes.DARK)
        self.register_theme(themes.LIGHT)
        self.theme = themes.PLAIN if plain else themes.DARK.name
        self.set_class(plain, "-plain")
        self.set_class(self.format.glyphs.ascii_only, "-ascii")

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our variables for themes that aren't ours."""
        return themes.DEFAULTS

    def get_default_screen(self) -> Screen[None]:
        """The main screen."""
        return self.main

    def on_mount(self) -> None:
        """Follow the daemon."""
        self.feed.start()
        self.set_interval(REDRAW_S, self.tick)

    def on_unmount(self) -> None:
        """Follow no longer."""
        self.feed.stop()

    # --- the stream ------------------------------------------------------------------------------

    def tick(self) -> None:
        """Take in what the daemon said, then show what changed; without news, nothing is made."""
        model = self.model
        link = model.link
        news = model.link is not Link.LIVE
        for item in self.feed.drain():
            news = True
            if isinstance(item, Lost):
                model.lost(item.fault, item.retry_at)
            else:
                model.fold(item.message, item.at)
        for address, what in model.overdue().items():
            self.toast(f"{what} {address}: no effect seen yet", "error")
        if not isinstance(self.screen, ModalScreen) and model.arrange_if_due():
            news = True
        if model.undo and self.clock() >= model.undo.until:
            model.undo, news = None, True
        if link is Link.OFFLINE and model.link is Link.LIVE:
            self.toast("The daemon is back; the numbers are live again")
        dirty = model.take_dirty()
        if news or dirty or (model.age_s or 0.0) >= FRESH_S:
            self.show(dirty)
        self._tell_shown()

    def _tell_shown(self) -> None:
        """Have what is on the screen told first; a page around it, so as not to ask at each key."""
        open_ = [self.screen.address] if isinstance(self.screen, DetailScreen) else []
        view, stream = self.main.view, self.model.stream
        if stream is None or (self._told_on == stream and self._told >= {*view.around(0), *open_}):
            return
        near = [*open_, *view.around(1)]
        self._told_on, self._told = stream, frozenset(near)
        self.in_background(partial(calls.tell_shown, self.client, stream, near), lambda _: None)

    def show(self, dirty: Iterable[str] = ()) -> None:
        """Bring the screens up to date with the model."""
        changed = set(dirty)
        for screen in self.screen_stack:
            if isinstance(screen, MainScreen | DetailScreen) and screen.is_mounted:
                screen.take(changed)

    def toast(self, text: str, severity: SeverityLevel = "information") -> None:
        """A short notice; its text may come from outside."""
        self.notify(scrub(text), severity=severity, markup=False)

    # --- actions ---------------------------------------------------------------------------------

    def action_act(self, name: str) -> None:
        """A key of the registry was pressed."""
        self.act(name)

    def action_show_view(self, name: str) -> None:
        """A view's digit was pressed."""
        if self.screen is not self.main:
            self.pop_screen()
        self.main.show_view(name)

    def act(self, name: str) -> None:
        """Do an action, or say why not: in the view in front, else the screen, else here."""
        action = BY_ID[name]
        self.model.touch()
        if why := self.refusal(action):
            self.toast(why, "error")
            return
        places = (self.main.view, self.main) if self.screen is self.main else (self.screen,)
        for place in (*places, self._pausing, self):
            if method := getattr(place, action.name, None):
                method()
                break
        self.show()

    def refusal(self, action: Action) -> str | None:
        """Why an action can't be done now."""
        workspace = self.model.workspace
        if workspace is None and action.id.startswith("mailbox."):
            owners = {row.workspace for row in self.targets()}
            workspace = owners.pop() if len(owners) == 1 else None
        return refusal(
            action,
            role=self.model.role,
            readonly=self.readonly,
            offline=self.model.link in (Link.NEVER, Link.OFFLINE),
            workspace=workspace,
        )

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: the whole registry, and the views."""
        del screen
        for action in ACTIONS:
            twin = f"  {action.cli}" if action.cli else ""
            yield SystemCommand(action.label, f"{action.help}{twin}", partial(self.act, action.id))
        for spec in self.views:
            show = partial(self.action_show_view, spec.id)
            yield SystemCommand(spec.title, f"Show {spec.title.lower()}", show)

    def targets(self) -> list[MailboxView]:
        """The mailboxes that an action is about: the open one, else selection or cursor."""
        open_ = self.screen.address if isinstance(self.screen, DetailScreen) else None
        addresses = [open_] if open_ else self.model.fleet.targets()
        return [self.model.mailboxes[a] for a in addresses if a in self.model.mailboxes]

    def open_mailbox(self, address: str) -> None:
        """Show one mailbox in full."""
        self.push_screen(DetailScreen(self, address))

    def do_workspace_switch(self) -> None:
        """Choose a workspace."""
        dialog = workspace_dialog(self.model, self.format.glyphs)
        self.push_screen(dialog, self._switch)

    def _switch(self, name: str | None) -> None:
        if name is None:
            return
        if self.screen is not self.main:
            self.pop_screen()
        self.model.switch(None if name == ALL else name)
        self.main.view.enter()
        self.show()

    def do_workspace_last(self) -> None:
        """Go back to the workspace before this one."""
        self._switch(self.model.last_workspace or ALL)

    def do_copy(self) -> None:
        """Copy the addresses that an action would be about."""
        text = "\n".join(row.address for row in self.targets())
        self.copy_to_clipboard(scrub(text) if "\n" not in text else text)
        self.toast("Copied; if nothing arrived, your terminal doesn't take OSC 52")

    def do_copy_command(self) -> None:
        """Copy the command that shows this mailbox."""
        command = BY_ID["open"].cli
        if command and (rows := self.targets()):
            text = command.format(address=scrub(rows[0].address))
            self.copy_to_clipboard(text)
            self.toast(f"Copied: {text}")

    def do_reconnect(self) -> None:
        """Try to reach the daemon now."""
        self.feed.retry_now()

    def do_theme(self) -> None:
        """Change between dark and light; without colours there is nothing to change."""
        if not self.has_class("-plain"):
            light = self.theme == themes.LIGHT.name
            self.theme = themes.DARK.name if light else themes.LIGHT.name

    def do_palette(self) -> None:
        """Find an action by name."""
        self.action_command_palette()

    def do_help(self) -> None:
        """Show the keys of this place."""
        view = "detail" if isinstance(self.screen, DetailScreen) else self.main.shown
        self.push_screen(HelpDialog(view))

    def do_quit(self) -> None:
        """Leave; the daemon goes on."""
        self.exit(0)

    # --- threads ---------------------------------------------------------------------------------

    def in_background(self, job: Callable[[], T], then: Callable[[T], None]) -> None:
        """Run a blocking job in a thread and hand its result to `then` here."""

        def run() -> None:
            result = job()
            self.call_from_thread(self._finish, then, result)

        self.run_worker(run, thread=True, exit_on_error=False)

    def _finish(self, then: Callable[[T], None], result: T) -> None:
        then(result)
        self.show(self.model.take_dirty())

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A job that failed is told, and never takes the dashboard with it."""
        if event.state is WorkerState.ERROR:
            self.toast(f"A fault in the dashboard: {event.worker.error!r}", "error")


def run(
    client_places: Places,
    *,
    workspace: str | None = None,
    readonly: bool = False,
    title_note: str | None = None,
) -> int:
    """Open the dashboard on the daemon of these places; the exit code when it was left."""
    client = Client(client_places.socket, timeout_s=CALL_TIMEOUT_S)
    app = Dashboard(client, workspace=workspace, readonly=readonly, title_note=title_note)
    return app.run() or 0
