"""Our side: a book with every kind of cap, and the daemon on it, as durable as it ships."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailplaned.book.load import load
from mailplaned.domain.policy import Policy
from mailplaned.store.database import prepare
from tests.bench.load import Order
from tests.bench.processes import Unfit, tree_cpu_s
from tests.fakes.process_daemon import SHIM, Daemon, daemon

_FULL = 2
"""PRAGMA synchronous, https://www.sqlite.org/pragma.html#pragma_synchronous."""

_KEY = "bench-dkim"
_SIGNED = "signed"
_SUPPRESSED = 20
_START_S = 600.0


def caps(limit: int) -> str:
    """Three windows as an operator mixes them: rolling hour and day, the week of the calendar."""
    return (
        f"{{ limit = {limit}, per = 'hour' }}, {{ limit = {2 * limit}, per = 'day' }}, "
        f"{{ limit = {4 * limit}, per = 'week', window = 'calendar' }}"
    )


class Book:
    """Workspaces with mailboxes on them; every cap is wide enough for what the bench sends.

    Caps bind five scopes: mailbox, sending domain, account and workspace in three windows each and
    the account in recipients twice more; the recipient domain has the one window that the book
    allows it. Fifteen rules are asked for every message.
    """

    LIMIT = 100_000_000

    def __init__(self, *, workspaces: int = 1, each: int = 100, dkim: bool = False) -> None:
        """`dkim` adds a workspace as large as the others whose domains sign with RSA-2048."""
        self._names = [f"client-{number:02}" for number in range(workspaces)]
        self._each = each
        self._dkim = dkim

    @property
    def mailboxes(self) -> list[str]:
        """Every address, the workspaces in turn."""
        return [self._address(name, n) for n in range(self._each) for name in self._names]

    @property
    def signed(self) -> list[str]:
        """The addresses whose domains sign."""
        return [self._address(_SIGNED, n) for n in range(self._each)] if self._dkim else []

    def write(self, daemon: Daemon, port: int) -> None:
        """Put the book in a daemon's folder; its mail goes to a port of this host."""
        daemon.write("mailplane.toml", SHIM + "[limits]\nwaiting_messages = 10_000_000\n")
        for name in self._names:
            daemon.write(f"workspaces/{name}.toml", self._workspace(name, port))
        if self._dkim:
            signed = self._workspace(
                _SIGNED, port, f'dkim = {{ selector = "mp1", secret = "{_KEY}" }}'
            )
            daemon.write(f"workspaces/{_SIGNED}.toml", signed)
            folder = daemon.state / "secrets"
            folder.mkdir(parents=True, mode=0o700)
            daemon.state.chmod(0o700)
            key = generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (folder / _KEY).write_bytes(pem)
            (folder / _KEY).chmod(0o600)

    def _workspace(self, name: str, port: int, dkim: str = "") -> str:
        three = caps(self.LIMIT)
        people = "".join(f"{{ limit = {self.LIMIT}, per = '{per}', counts = 'recipients' }}, "
                         for per in ("day", "week"))  # fmt: skip
        text = [
            f'[workspace]\nname = "{name}"\ntimezone = "Europe/Berlin"\nexpires_in = "20d"',
            f"caps = [{three}]\n",
            '[[account]]\nname = "relay"\nprovider = "smtp"\nhost = "127.0.0.1"\ntls = "none"',
            f"port = {port}\ncaps = [{people}{three}]\n",
            f"[workload.cold]\npace_recipient_domain = {{ limit = {self.LIMIT}, per = 'day' }}\n",
        ]
        addresses = [self._address(name, number) for number in range(self._each)]
        domains = dict.fromkeys(address.partition("@")[2] for address in addresses)
        text += [f'[[domain]]\nname = "{domain}"\ncaps = [{three}]\n{dkim}\n' for domain in domains]
        text += [
            f'[[mailbox]]\naddress = "{address}"\naccount = "relay"\ncaps = [{three}]\n'
            for address in addresses
        ]
        return "\n".join(text)

    def _address(self, name: str, number: int) -> str:
        return f"box{number:03}@{number % 10}.{name}.example"


def in_hours(hours: float) -> str:
    """A time for `not_before`."""
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def start(daemon: Daemon) -> float:
    """Seconds from the process to its first answer on /v1/health. Raises Unfit."""
    started_s = time.monotonic()
    daemon.process = daemon.spawn()
    while not _healthy(daemon):
        if daemon.process.poll() is not None or time.monotonic() > started_s + _START_S:
            raise Unfit(f"the daemon does not start: {daemon.log_path.read_text()[-2000:]}")
        time.sleep(0.01)
    return time.monotonic() - started_s


def _healthy(daemon: Daemon) -> bool:
    try:
        return daemon.door.call("GET", "/v1/health").status == 200
    except OSError:
        return False


def policy_of(daemon: Daemon) -> Policy:
    """The book in a daemon's folder, as the daemon reads it."""
    loaded = load(daemon.config, own_uid=0, uid_of=lambda _: None)
    if loaded.policy is None:
        raise Unfit("the bench's own book is broken: " + "; ".join(loaded.problems))
    return loaded.policy


def check_durable(folder: Path) -> None:
    """Refuse a build that syncs less than FULL, as told by the connection it sets up itself."""
    path = folder / "durable.db"
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        prepare(connection, path=path)
        found = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "journal_mode")
        }
    finally:
        connection.close()
    if found["synchronous"] < _FULL or found["journal_mode"] != "wal":
        raise Unfit(f"the store is less durable than what ships: {found}; nothing is measured")


class Ours:
    """A running daemon with its book."""

    def __init__(self, daemon: Daemon, mailboxes: list[str], signed: Sequence[str] = ()) -> None:
        self.daemon = daemon
        self._mailboxes = mailboxes
        self._signed = list(signed)
        self._first = 0

    @property
    def pid(self) -> int:
        """The one process."""
        return self.daemon.pid

    def order(self, count: int, connections: int, *, batch: int = 1, rate: float = 0.0,
              later: str | None = None, signed: bool = False) -> Order:  # fmt: skip
        """An order of messages that were never sent before."""
        first, self._first = self._first, self._first + count
        return Order(
            socket=str(self.daemon.socket),
            mailboxes=self._signed if signed else self._mailboxes,
            count=count,
            connections=connections,
            first=first,
            batch=batch,
            rate=rate,
            later=later,
        )

    def cpu_s(self) -> float:
        """Its time so far."""
        return tree_cpu_s(self.pid)

    def suppress(self) -> None:
        """Suppress a few addresses, so that the look-up is paid for as it is in real life."""
        for number in range(_SUPPRESSED):
            body = {"address": f"gone{number}@dest0.example"}
            reply = self.daemon.door.post("/v1/suppressions", body)
            if reply.status != 201:
                raise Unfit(f"no suppression: {reply.content!r}")


@contextmanager
def ours(folder: Path, book: Book, port: int) -> Iterator[Ours]:
    """A started daemon; killed at the end, since its folder goes too."""
    folder.mkdir(exist_ok=True)
    with daemon(folder) as made:
        book.write(made, port)
        start(made)
        running = Ours(made, book.mailboxes, book.signed)
        running.suppress()
        yield running
