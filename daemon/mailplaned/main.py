"""The composition root: the whole process, and the only file that knows every adapter."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sqlite3
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import structlog

from mailplane_wire.backup import BackupView
from mailplane_wire.doctor import CheckView
from mailplane_wire.paths import Places
from mailplane_wire.resources import BookView
from mailplaned import backup, doctor
from mailplaned.books import Books
from mailplaned.core import Core
from mailplaned.domain import ids
from mailplaned.domain.policy import Policy
from mailplaned.domain.records import AuditEntry, SecretKey, Token
from mailplaned.domain.windows import HOUR_US, SECOND_US
from mailplaned.doors.http.app import build
from mailplaned.doors.http.context import Context, Surface
from mailplaned.doors.http.server import Server
from mailplaned.doors.http.stream import Stream
from mailplaned.ports import Clock, Random, StoreFault, Transaction
from mailplaned.runtime import collector
from mailplaned.runtime.clock import SystemClock, SystemRandom
from mailplaned.runtime.notify import notify, watchdog_interval_us
from mailplaned.runtime.place import (
    EX_CONFIG,
    EX_IOERR,
    Lock,
    Refused,
    bind_tcp,
    bind_unix,
    own_directory,
)
from mailplaned.services import credentials
from mailplaned.store.database import Database, Unusable
from mailplaned.transports.dkim import DkimSigner
from mailplaned.transports.smtp import SmtpTransport
from mailplaned.vault.files import FileSecrets
from mailplaned.vault.key import KEY_BYTES, KeyRefused, KeyRing, keeper_for
from mailplaned.vault.notary import FileNotary
from mailplaned.vault.sealed import SealedSecrets

_STUCK_US = 45 * SECOND_US
"""A loop that has not turned for this long is stuck: the watchdog is not told that all is well."""

_log = structlog.get_logger("daemon")


async def run(places: Places) -> int:
    """The whole process, from empty directories to a clean stop. Raises Refused."""
    collector.rest()
    clock, random = SystemClock(), SystemRandom()
    own_directory(places.state)
    lock = Lock(places.state)
    try:
        books = Books(places.config, places.state / "book.pending")
        settings = (await books.first()).settings
        vault = _vault(places.state, clock, desktop=settings.desktop_key)
        notary = _notary(places.state, random)
        try:
            database = await Database.open(places.state / "mailplane.db")
        except Unusable as fault:
            raise Refused(str(fault), EX_CONFIG) from fault
        signer = DkimSigner(vault)
        core = Core(
            connections=database,
            transports={"smtp": SmtpTransport(vault, clock)},
            signer=signer,
            notary=notary,
            clock=clock,
            random=random,
            restored=places.state / backup.RESTORED,
        )
        try:
            rows = await core.store.read(lambda reader: reader.secrets())
            try:
                vault.load(rows, random.bits(8 * KEY_BYTES).to_bytes(KEY_BYTES))
            except KeyRefused as fault:
                raise Refused(str(fault), EX_CONFIG) from fault
            await _Process(places, core, books, clock, random, vault, notary).serve()
        except BaseExceptionGroup as faults:
            of_disk = _first(faults, StoreFault)
            if of_disk is None:
                raise
            raise Refused(f"{places.state}: {of_disk}", EX_IOERR) from faults
        finally:
            await core.store.close()
            signer.close()
    finally:
        lock.release()
    return 0


class _Process:
    """Listeners, signals, the book and the watchdog around a core."""

    def __init__(
        self,
        places: Places,
        core: Core,
        books: Books,
        clock: Clock,
        random: Random,
        vault: SealedSecrets,
        notary: FileNotary,
    ) -> None:
        self._places = places
        self._core = core
        self._books = books
        self._clock = clock
        self._stop = asyncio.Event()
        policy = books.policy
        settings = policy.settings
        self._operator = bind_unix(places.socket, settings.socket_mode, settings.socket_group)
        try:
            self._shim = bind_tcp(settings.shim_host, settings.shim_port)
        except Refused:
            self._operator.close()
            raise
        self._context = Context(
            store=core.store,
            vault=vault,
            audit=core.audit,
            clock=clock,
            random=random,
            own_uid=os.getuid(),
            pid=os.getpid(),
            started_us=clock.wall_us(),
            policy=policy,
            book=BookView(hash=policy.hash, applied_at="", notices=[], problems=[]),
            books=books,
            probe=core.transports["smtp"].probe,
            findings=self._findings,
            back_up=self._back_up,
            examine=self._examine,
            shim_port=self._shim.getsockname()[1],
            sqlite_version=sqlite3.sqlite_version,
        )
        self._vault = vault
        self._notary = notary
        self._stream = Stream(self._context)

    async def serve(self) -> None:
        """Serve until a signal."""
        policy = self._context.policy
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        async with self._core.running(policy, self._note_start) as group:
            self._context.tokens = await self._core.store.write(self._import_tokens)
            collector.settle()
            servers = [
                Server(build(self._context, self._stream, Surface.OPERATOR)),
                Server(build(self._context, self._stream, Surface.SHIM)),
            ]
            listening = [
                group.create_task(server.serve_on(listener), name="http")
                for server, listener in zip(servers, (self._operator, self._shim), strict=True)
            ]
            group.create_task(self._stream.run(), name="stream")
            group.create_task(self._books.watch(self._context.stopping), name="book")
            group.create_task(self._note_uses(), name="vault")
            for server in servers:
                await server.listening.wait()
            notify("READY=1")
            group.create_task(self._watchdog(), name="watchdog")
            _log.info(
                "ready",
                action="start",
                socket=str(self._places.socket),
                shim=f"{policy.settings.shim_host}:{self._context.shim_port}",
                book=policy.hash,
            )
            await self._stop.wait()
            notify("STOPPING=1")
            _log.info("stopping", action="stop")
            self._context.stopping.set()
            for server in servers:
                server.should_exit = True
            await asyncio.wait(listening)
        self._places.socket.unlink(missing_ok=True)
        _log.info("stopped", action="stop")

    def _book_told(self, policy: Policy, book: BookView) -> None:
        """Another book is in force, or there are problems with a newer one, or no longer."""
        if policy is not self._context.policy:
            self._context.policy = policy
            collector.settle()
        self._context.book = book
        self._stream.note_book()

    async def _note_start(self) -> None:
        """Write down that there is a daemon, and by what book it is about to send."""
        self._core.store.on_commit(self._stream.note_commit)
        await self._core.store.write(self._add_start)
        await self._books.begin(self._core.store, self._clock, self._book_told)

    def _add_start(self, tx: Transaction) -> None:
        policy = tx.memory.policy
        tx.add_audit(
            AuditEntry(
                at_us=tx.now_us,
                actor="mailplane",
                action="start",
                workspace=None,
                target=f"book:{policy.hash}",
                detail={"pid": self._context.pid},
            )
        )

    def _import_tokens(self, tx: Transaction) -> dict[bytes, Token]:
        """Take in the tokens that `mailplane init` left as `<workspace>.token`."""
        known = tx.token_hashes()
        for path in sorted(self._places.state.glob("*.token")):
            hash_ = hashlib.sha256(path.read_text().strip().encode()).digest()
            if hash_ in known or path.stem not in tx.memory.policy.workspaces:
                continue
            token = Token(
                id=ids.make_id(tx.now_us, self._context.random.bits(ids.RANDOM_BITS)),
                name="init",
                workspace=path.stem,
                created_us=tx.now_us,
            )
            tx.add_token(token, hash_)
        return tx.token_hashes()

    async def _back_up(self, *, with_keys: bool) -> BackupView:
        return await backup.create(
            self._places,
            book=self._context.policy.hash,
            now_us=self._clock.wall_us(),
            with_keys=with_keys,
        )

    # --- the vault --------------------------------------------------------------------------------

    async def _note_uses(self) -> None:
        """Write down now and then, and before the end, when secrets and tokens were used."""
        while not self._context.stopping.is_set():
            await self._clock.wait_us(self._context.stopping, HOUR_US)
            uses = dict(self._vault.used_us), dict(self._context.token_used_us)
            try:
                await self._core.store.write(partial(_write_uses, uses=uses))
            except StoreFault as fault:  # the next hour writes it
                _log.warning("last uses not kept", action="vault", why=str(fault))

    # --- how we are -------------------------------------------------------------------------------

    def _findings(self) -> list[str]:
        found = [f"book: {problem}" for problem in self._context.book.problems]
        if self._core.store.fault is not None:
            found.append(self._core.store.fault)
        found += credentials.findings(self._context.policy, self._vault, self._clock.wall_us())
        found += self._core.audit.findings
        if self._core.audit.problem is not None:
            found.append(self._core.audit.problem)
        ahead_us = self._core.store.clock_ahead_us
        if self._clock.wall_us() < doctor.EARLIEST_US:
            found.append(f"{doctor.WALL_CLOCK} is long past; set it, then restart the daemon")
        elif ahead_us:
            found.append(
                f"{doctor.WALL_CLOCK} leapt {ahead_us // SECOND_US} s ahead of elapsed time; "
                "windows go by elapsed time until: mailplane clock accept"
            )
        return found

    async def _examine(self) -> list[CheckView]:
        seen = doctor.Seen(
            places=self._places,
            policy=self._context.policy,
            keys={"vault key": self._vault, "audit key": self._notary},
            findings=self._findings(),
            sqlite=self._context.sqlite_version,
            wall_us=self._clock.wall_us(),
            ahead_us=self._core.store.clock_ahead_us,
        )
        return await doctor.examine(seen, self._core.transports["smtp"])

    async def _watchdog(self) -> None:
        """Tell the service manager that all is well, if the loops have really turned."""
        interval_us = watchdog_interval_us()
        while interval_us and not self._stop.is_set():
            now_us = self._clock.boot_us()
            oldest_us = min(self._core.upkeep.last_run_us, self._core.dispatcher.turned_us)
            if now_us - oldest_us < _STUCK_US:
                notify("WATCHDOG=1")
            await self._clock.wait_us(self._stop, interval_us)


def _first(faults: BaseExceptionGroup[BaseException], kind: type[Exception]) -> Exception | None:
    """The first fault if all of them are of that kind."""
    if faults.split(kind)[1] is not None:
        return None
    fault: BaseException = faults
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    assert isinstance(fault, kind)
    return fault


def _write_uses(
    tx: Transaction, uses: tuple[Mapping[SecretKey, int], Mapping[ids.Id, int]]
) -> None:
    tx.note_uses(*uses)


def _vault(state: Path, clock: Clock, *, desktop: bool) -> SealedSecrets:
    """The vault, still without what is sealed in it. Raises Refused."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    credentials_dir = Path(folder) if folder else None
    keeper = keeper_for(
        state,
        key_file=os.environ.get("MAILPLANE_KEY_FILE"),
        credentials=credentials_dir,
        desktop=desktop,
    )
    try:
        ring = KeyRing(keeper)
    except KeyRefused as fault:
        raise Refused(str(fault), EX_CONFIG) from fault
    return SealedSecrets(ring, FileSecrets(state / "secrets", credentials_dir), clock)


def _notary(state: Path, random: Random) -> FileNotary:
    """The key of the audit log, made at the first start. Raises Refused."""
    try:
        return FileNotary(state, random.bits(8 * KEY_BYTES).to_bytes(KEY_BYTES))
    except KeyRefused as fault:
        raise Refused(str(fault), EX_CONFIG) from fault
