"""The two HTTP doors in memory: real guards, routes and decoders, and no socket in between."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from mailplane_wire.backup import BackupView
from mailplane_wire.book import BookEdits
from mailplane_wire.doctor import CheckView
from mailplane_wire.resources import BookView
from mailplaned.core import Core
from mailplaned.domain import ids
from mailplaned.domain.outcomes import Report
from mailplaned.domain.policy import Account, Policy
from mailplaned.domain.records import Token
from mailplaned.doors.http.app import build
from mailplaned.doors.http.context import Context, Surface
from mailplaned.doors.http.stream import Stream
from mailplaned.ports import Clock, Random, Transaction
from mailplaned.services.book import BookPlan
from tests.fakes.vault_memory import memory_vault

OWNER_UID = 1000
PORT = 7525


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    json: Any


async def no_backup(*, with_keys: bool) -> BackupView:
    """There is no folder to make one in."""
    raise OSError


async def no_checks() -> list[CheckView]:
    """There is no host to look at."""
    return []


class NoBooks:
    """There is no folder with a book."""

    lock = asyncio.Lock()

    async def catch_up(self) -> list[str]:
        """Nothing to take."""
        raise OSError

    async def plan(self, texts: Mapping[str, str] | None) -> BookPlan:
        """No plan."""
        raise OSError

    async def plan_edits(self, edits: BookEdits) -> BookPlan:
        """No plan."""
        raise OSError

    async def put(self, plan: BookPlan, actor: str) -> list[str]:
        """No change."""
        raise OSError


async def no_probe(account: Account) -> Report:
    """There is no network to try it on."""
    raise OSError


class Doors:
    """The doors of one daemon, from one of its lives to the next."""

    def __init__(self, core: Core, policy: Policy, clock: Clock, random: Random) -> None:
        self.context = Context(
            store=core.store,
            vault=memory_vault(clock),
            audit=core.audit,
            clock=clock,
            random=random,
            own_uid=OWNER_UID,
            pid=1,
            started_us=clock.wall_us(),
            policy=policy,
            book=BookView(hash=policy.hash, applied_at="", notices=[], problems=[]),
            books=NoBooks(),
            probe=no_probe,
            findings=list,
            back_up=no_backup,
            examine=no_checks,
            shim_port=PORT,
            sqlite_version="",
        )
        stream = Stream(self.context)
        self._apps = {surface: build(self.context, stream, surface) for surface in Surface}

    async def open(self, core: Core, policy: Policy) -> None:
        """Serve another life; a sequencer of each workspace has a token."""
        context = self.context
        context.store, context.audit, context.policy = core.store, core.audit, policy

        def tokens(tx: Transaction) -> dict[bytes, Token]:
            known = tx.token_hashes()
            for name in policy.workspaces:
                hash_ = hashlib.sha256(secret_of(name).encode()).digest()
                if hash_ not in known:
                    id_ = ids.make_id(tx.now_us, context.random.bits(ids.RANDOM_BITS))
                    token = Token(id=id_, name=name, workspace=name, created_us=tx.now_us)
                    tx.add_token(token, hash_)
            return tx.token_hashes()

        context.tokens = await core.store.write(tokens)

    async def ask(
        self, surface: Surface, method: str, path: str, body: Any, workspace: str
    ) -> Reply:
        """One request, by a person at the socket or by the sequencer of a workspace."""
        headers = {"content-type": "application/json", "host": f"127.0.0.1:{PORT}"}
        state: dict[str, Any] = {"peer_uid": OWNER_UID}
        if surface is Surface.SHIM:
            headers["authorization"] = f"Bearer {secret_of(workspace)}"
            state = {}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": None,
            "server": None,
            "state": state,
        }
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self._apps[surface](scope, receive, send)
        start, *rest = sent
        return Reply(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            json.loads(b"".join(part.get("body", b"") for part in rest)),
        )


def secret_of(workspace: str) -> str:
    """The token of a workspace's sequencer."""
    return f"mp_{workspace:_<43}"
