"""A daemon at which every verb can be called: what a verb is about is made when it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

import mailplane_wire.client
from mailplane_wire.unix_http import Exchange
from tests.fakes.command_tree import USES, Ended, mailplane, mailplane_apart
from tests.fakes.process_daemon import SHIM, Daemon, short_folder, to, workspace
from tests.fakes.process_wait import until
from tests.fakes.sink_process import sink

ANA, BEN = "ana@acme.example", "ben@acme.example"
OWNER, VIEWER = os.geteuid(), 61004
WHY = {"reason": "because"}


class Heard(Exchange):
    """An exchange that is noted, and that comes to the daemon from another person if one is set."""

    uid = OWNER
    requests: ClassVar[list[str]] = []

    def __init__(self, path: Path, timeout_s: float, method: str, target: str, *rest: Any) -> None:
        self.requests.append(f"{method} {target.partition('?')[0]}")
        os.seteuid(self.uid)
        try:
            super().__init__(path, timeout_s, method, target, *rest)
        finally:
            os.seteuid(OWNER)


class House(dict[str, str]):
    """A daemon and its folder; each place of a table's arguments is made when it is asked for."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon = daemon
        self.count = 0
        super().__init__(mailbox=ANA, config=str(daemon.config), other=str(folder / "other"))
        self._top = folder

    def __missing__(self, place: str) -> str:
        self.count += 1
        made: str = getattr(self, f"_{place}")()
        return made

    @property
    def at(self) -> list[str]:
        """The flag that leads to the daemon."""
        return ["--socket", str(self.daemon.socket)]

    @contextmanager
    def someone_else(self, uid: int, mode: int = 0o666) -> Iterator[None]:
        """Come to the daemon as another person, by a socket of that mode."""
        self.daemon.socket.chmod(mode)
        Heard.uid = uid
        try:
            yield
        finally:
            Heard.uid = OWNER
            self.daemon.socket.chmod(0o600)

    def call(self, name: str) -> Ended:
        """Call a verb as the table says."""
        places = {"config": self.daemon.config, "state": self.daemon.state,
                  "socket": self.daemon.socket}  # fmt: skip
        flags = [word for at, path in places.items() for word in (f"--{at}", str(path))]
        words = [*name.split(), *USES[name].arguments(self)]
        words = [*flags, "--json", "--yes", *words]
        if USES[name].apart:
            return mailplane_apart(*words)
        return mailplane(*words, typed=USES[name].typed)

    def _post(self, path: str, body: dict[str, Any], wanted: str = "id") -> str:
        reply = self.daemon.door.post(path, body)
        assert reply.status in {200, 201, 202}, reply
        return str(reply.json[wanted])

    def _folder(self) -> str:
        path = self._top / f"made-{self.count}"
        path.mkdir()
        return str(path)

    def _waiting(self) -> str:
        return self._post("/v1/messages", to("kim@there.example", BEN))

    def _unknown(self) -> str:
        id_ = self._post("/v1/messages", to(f"after-dot+{self.count}@there.example", ANA))
        door = self.daemon.door
        until(lambda: door.message(id_)["state"] == "unknown", "an unknown message", 15)
        return id_

    def _paused(self, path: str, name: str) -> str:
        self._post(f"/v1/{path}/{name}/pause", WHY)
        return name

    def _paused_mailbox(self) -> str:
        return self._paused("mailboxes", "ida@beta.example")

    def _paused_domain(self) -> str:
        return self._paused("domains", "beta.example")

    def _paused_workspace(self) -> str:
        return self._paused("workspaces", "beta")

    def _pause(self) -> str:
        return self._post("/v1/pauses", {"scope": {"workspace": "beta"}, **WHY})

    def _suppression(self) -> str:
        return self._post("/v1/suppressions", {"address": f"x{self.count}@there.example"})

    def _token(self) -> str:
        return self._post("/v1/tokens", {"name": "crm", "workspace": "acme"})

    def _added(self, table: str, name: str, workspace: str | None = "acme", **values: Any) -> str:
        edit = {"op": "add", "table": table, "name": name, "values": values}
        body = {"workspace": workspace, "edits": [edit], "probe": False}
        assert self._post("/v1/book/edits", body, "applied") == "True"
        return name

    def _box(self) -> str:
        return self._added("mailbox", f"box-{self.count}@acme.example", account="acme-relay")

    def _workspace(self) -> str:
        return self._added("workspace", self._new_name(), self._new_name())

    def _domain(self) -> str:
        return self._added("domain", f"{self._new_name()}.example")

    def _account(self) -> str:
        return self._added("account", self._new_name(), provider="ses")

    def _path(self) -> str:
        return self._added("path", self._new_name(), tiers=[[ANA]])

    def _person(self) -> str:
        uid = 61100 + self.count
        return self._added("member", self._new_name(), None, role="viewer", uid=uid)

    def _new_name(self) -> str:
        return f"new-{self.count}"

    def _secret(self) -> str:
        return self._post("/v1/secrets", {"name": self._new_name(), "value": "x"}, "name")

    def _backup(self) -> str:
        return self._post("/v1/backups", {}, "path")


@contextmanager
def running_house() -> Iterator[House]:
    """A house of two workspaces, with an owner and a viewer; what comes to it is noted."""
    with (
        short_folder() as folder,
        sink(folder / "sink") as provider,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(mailplane_wire.client, "Exchange", Heard)
        made = Daemon(folder)
        members = "".join(
            f'[[member]]\nname = "{role}"\nuid = {uid}\nrole = "{role}"\n'
            for role, uid in (("owner", OWNER), ("viewer", VIEWER))
        )
        made.write("mailplane.toml", SHIM + members)
        made.write("workspaces/acme.toml", workspace(provider.port, ANA, BEN))
        way = '[[path]]\nname = "beta-way"\ntiers = [["ida@beta.example"]]\n'
        beta = workspace(provider.port, "ida@beta.example", name="beta", tail=way)
        made.write("workspaces/beta.toml", beta)
        made.start()
        second = Daemon(folder / "other")
        assert second.config.exists()
        try:
            for above in (folder, made.socket.parent):
                above.chmod(0o711)
            made.door.post(f"/v1/mailboxes/{BEN}/pause", WHY)
            yield House(made, folder)
        finally:
            mailplane("down", "--socket", str(folder / "other" / "sock"))
            made.kill()
