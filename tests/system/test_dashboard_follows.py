"""The dashboard's model behind a real daemon with more mailboxes than one change may hold."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import msgspec

from mailplane_tui.calls import tell_shown
from mailplane_tui.fleet import SORTS
from mailplane_tui.model import Model
from mailplane_wire.client import Client
from mailplane_wire.resources import Change, MailboxView, Page, StreamMessage
from mailplaned.doors.http.rounds import CHANGED, SWEPT
from tests.fakes.process_daemon import SHIM, Daemon, to, workspace
from tests.fakes.sink_process import Sink

EACH = 700
WITHIN_S = 20.0


def address(number: int, name: str = "acme") -> str:
    return f"box{number:03}@{name}.example"


class Follower:
    """A model that follows a stream."""

    def __init__(self, daemon: Daemon) -> None:
        self.client = Client(daemon.socket)
        self.model = Model(time.monotonic)
        self._messages = self.client.stream()
        self.until(lambda _: self.model.stream is not None)

    def until(self, true: Callable[[StreamMessage], object]) -> list[Change]:
        """Fold messages until it is true after one; the changes among them."""
        changes: list[Change] = []
        end_s = time.monotonic() + WITHIN_S
        for _, message in self._messages:
            self.model.fold(message, time.monotonic())
            changes += [message] if isinstance(message, Change) else []
            if true(message):
                return changes
            assert time.monotonic() < end_s, (self.model.count, message)
        raise AssertionError("the daemon closed the stream")

    def truth(self) -> dict[str, MailboxView]:
        """What the daemon answers when it is asked for all mailboxes."""
        found = self.client.get("/v1/mailboxes", Page).items
        return {view.address: view for view in msgspec.convert(found, list[MailboxView])}


def write_book(daemon: Daemon, port: int) -> None:
    for name in ("acme", "beta"):
        boxes = [
            f"{address(number, name)}; caps = [{{ limit = {10 + number % 7}, per = 'day' }}]"
            for number in range(EACH)
        ]
        daemon.write(f"workspaces/{name}.toml", workspace(port, *boxes, name=name))


def test_a_change_of_everything_comes_in_bounded_parts_and_what_is_shown_comes_first(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    write_book(the_daemon, the_sink.port)
    door = the_daemon.start().door
    follower = Follower(the_daemon)
    model = follower.model
    shown = model.fleet.order[-40:]
    assert model.stream is not None
    tell_shown(follower.client, model.stream, shown)
    assert door.post("/v1/everything/pause", {"reason": "all of it"}).status == 201
    changes = follower.until(lambda _: model.count.states["paused"] == 2 * EACH)
    told = [{row.address for row in change.mailboxes if row.pauses} for change in changes]
    first = next(names for names in told if names)
    assert first >= set(shown)
    assert max(map(len, told)) <= CHANGED + SWEPT + 2 * len(shown)
    assert len([names for names in told if names]) >= 2 * EACH // (CHANGED + SWEPT)
    assert {row.state for row in model.mailboxes.values()} == {"paused"}
    assert model.mailboxes == follower.truth()


def test_filter_order_search_and_workspace_are_right_for_mailboxes_that_were_never_shown(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    write_book(the_daemon, the_sink.port)
    door = the_daemon.start().door
    follower = Follower(the_daemon)
    model = follower.model
    assert model.stream is not None
    tell_shown(follower.client, model.stream, [address(0)])
    for number, count in ((123, 12), (456, 6), (650, 3)):
        bodies = [to(f"kim+{n}@there.example", address(number)) for n in range(count)]
        assert door.post("/v1/messages", {"messages": bodies}).status == 202
    door.post(f"/v1/mailboxes/{address(300, 'beta')}/pause", {"reason": "Bad List"})
    paused = address(300, "beta")
    follower.until(
        lambda _: (
            sum(row.sent_24h for row in model.mailboxes.values()) == 21
            and model.mailboxes[paused].pauses
        )
    )
    truth = follower.truth()
    assert model.mailboxes == truth

    model.switch("acme")
    model.fleet.sort = "today"
    model.arrange()
    assert model.fleet.order[:3] == [address(number) for number in (123, 456, 650)]
    for sort, (_, key) in SORTS.items():
        model.fleet.sort = sort
        model.arrange()
        wanted = sorted((row for row in truth.values() if row.workspace == "acme"), key=key)
        assert model.fleet.order == [row.address for row in wanted]
    for text, shown in (
        ("box12", [address(number) for number in range(120, 130)]),
        ("state:near", [address(123)]),
        ("!state:ready", [address(123)]),
    ):
        model.fleet.set_filter(text)
        model.fleet.sort = "address"
        model.arrange()
        assert model.fleet.order == shown
    model.switch("beta")
    assert model.fleet.order[0] == paused
    assert model.fleet.total == model.count.mailboxes == EACH
    model.fleet.set_filter("bad list")
    model.arrange()
    assert model.fleet.order == [paused]
    model.switch(None)
    assert model.count.mailboxes == len(model.fleet.order) == 2 * EACH


def test_only_ones_own_stream_is_told_what_is_shown(the_sink: Sink, the_daemon: Daemon) -> None:
    member = f'[[member]]\nname = "bo"\nuid = {os.getuid()}\nrole = "viewer"\n'
    the_daemon.write("mailplane.toml", f'{SHIM}{member}workspaces = ["acme"]\n')
    write_book(the_daemon, the_sink.port)
    door = the_daemon.start().door
    follower = Follower(the_daemon)
    at = f"/v1/stream/{follower.model.stream}/shown"
    assert door.post(at, {"mailboxes": [address(1), address(1, "beta"), "x"]}).status == 200
    answers = [
        door.post(at, {"mailboxes": ["x"] * 501}),
        door.post(at, {"mailboxes": "x"}),
        door.post(at, {}),
        door.post("/v1/stream/0/shown", {"mailboxes": []}),
    ]
    assert [answer.status for answer in answers] == [422, 422, 422, 404]
    assert {row.workspace for row in follower.model.mailboxes.values()} == {"acme"}
