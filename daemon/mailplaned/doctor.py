"""Looks the whole set-up over and says what to do about each thing that is not as it should be."""

from __future__ import annotations

import asyncio
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from mailplane_wire.doctor import CheckView
from mailplane_wire.paths import Places
from mailplaned.backup import DATABASE
from mailplaned.domain.outcomes import Outcome, Report, Stage
from mailplaned.domain.policy import Account, Policy
from mailplaned.domain.windows import DAY_US
from mailplaned.ports import Transport
from mailplaned.vault.key import KeyRefused

LEAST_FREE_BYTES: Final = 1024**3
"""Below this a day's mail may not fit."""

LARGEST_WAL_BYTES: Final = 256 * 1024**2
"""A log that grows beyond this is not checkpointed: something reads without an end."""

EARLIEST_US: Final = 1_767_225_600_000_000
"""2026-01-01: an earlier wall clock is wrong."""

WALL_CLOCK: Final = "the wall clock"
"""How a finding about it begins; here it has a check of its own."""

_FIXED_SQLITE: Final = (3, 51, 3)
_CERTIFICATE_DAYS: Final = 21
_BEFORE_CONNECTION: Final = (Stage.CONFIGURE, Stage.CONNECT)
_PROBES: Final = 8
"""Accounts that are tried at the same time."""


class KeyInPlace(Protocol):
    """A key that the daemon read at its start, from `place`."""

    @property
    def place(self) -> str:
        """Where it lies, in words."""
        ...

    def check_key(self) -> None:
        """Raises KeyRefused when the next start would not find the same key there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the running daemon knows of itself; its keys by the names of their checks."""

    places: Places
    policy: Policy
    keys: Mapping[str, KeyInPlace]
    findings: Sequence[str]
    sqlite: str
    wall_us: int
    ahead_us: int


async def examine(seen: Seen, transport: Transport) -> list[CheckView]:
    """Every check, in the order in which to mend things."""
    from mailplaned.names import look_up  # 40 ms and 3 MiB for dnspython, once they are needed

    here = await asyncio.to_thread(lambda: [*_folders(seen), *_keys(seen.keys), *_disk(seen)])
    accounts = await _accounts(seen, transport)
    reached = {
        account.host for account, report in accounts if report.stage not in _BEFORE_CONNECTION
    }
    return [
        *here,
        *_clock(seen),
        _sqlite(seen.sqlite),
        *_findings(seen),
        *await look_up(seen.policy, reached),
        *(
            check
            for account, report in accounts
            for check in _account(account, report, seen.wall_us)
        ),
    ]


def _folders(seen: Seen) -> Iterator[CheckView]:
    places, keys = seen.places, {key.place for key in seen.keys.values()}
    loose = [
        f"{path.name} ({stat.S_IMODE(path.lstat().st_mode):04o})"
        for path in sorted(places.state.iterdir())
        if not stat.S_ISSOCK(path.lstat().st_mode)
        and path.lstat().st_mode & 0o077
        and str(path) not in keys
    ]
    if places.state.stat().st_mode & 0o077:
        loose.insert(0, f"the folder itself ({stat.S_IMODE(places.state.stat().st_mode):04o})")
    yield CheckView.of(
        "state folder",
        str(places.state) if not loose else f"others can use {', '.join(loose)}",
        f"chmod -R go= {places.state}" if loose else None,
    )
    yield _book_folder(places.config)
    mode = stat.S_IMODE(places.socket.stat().st_mode) if places.socket.exists() else None
    yield CheckView.of(
        "operator socket",
        f"{places.socket}, {mode:04o}" if mode is not None else f"{places.socket} is gone",
        None if mode is not None and not mode & 0o007 else "restart the daemon",
    )


def _book_folder(config: Path) -> CheckView:
    """Where the book lies. Whoever can write to it can make themselves the owner."""
    files = [config / "mailplane.toml", *config.glob("workspaces/*")]
    there = [path for path in files if path.exists()]
    if not there:
        fix = "mailplane init, or give --config"
        return CheckView.of("book folder", f"{config} holds no book", fix, grave=False)
    for path in (config, config / "workspaces", *there):
        if path.exists() and path.stat().st_mode & stat.S_IWOTH:
            return CheckView.of("book folder", f"all can write {path}", f"chmod -R o-w {config}")
    return CheckView.of("book folder", str(config))


def _keys(keys: Mapping[str, KeyInPlace]) -> Iterator[CheckView]:
    for name, key in keys.items():
        try:
            key.check_key()
        except KeyRefused as fault:
            what, fix = _parted(str(fault).removeprefix(f"{name} "))
            yield CheckView.of(name, what, fix)
        else:
            yield CheckView.of(name, key.place)


def _disk(seen: Seen) -> Iterator[CheckView]:
    state = seen.places.state
    free = shutil.disk_usage(state).free
    yield CheckView.of(
        "disk space",
        f"{free // 1024**2} MiB free beside the database",
        None if free >= LEAST_FREE_BYTES else "free some, or move the state folder",
        grave=free < LEAST_FREE_BYTES // 8,
    )
    wal = state / f"{DATABASE}-wal"
    size = wal.stat().st_size if wal.exists() else 0
    yield CheckView.of(
        "write-ahead log",
        f"{size // 1024} KiB",
        None if size <= LARGEST_WAL_BYTES else "close what reads the database; restart the daemon",
        grave=False,
    )


def _clock(seen: Seen) -> Iterator[CheckView]:
    wrong = None
    if seen.wall_us < EARLIEST_US:
        wrong = "set the clock (chronyc makestep), then restart the daemon"
    elif seen.ahead_us:
        wrong = "if the wall clock is right: mailplane clock accept"
    detail = f"{seen.ahead_us // 1_000_000} s ahead of elapsed time" if seen.ahead_us else "steady"
    yield CheckView.of("clock", detail if seen.wall_us >= EARLIEST_US else "long past", wrong)


def _sqlite(version: str) -> CheckView:
    found = tuple(int(part) for part in version.split("."))
    if found >= _FIXED_SQLITE:
        return CheckView.of("SQLite", version, None)
    detail = f"{version}, older than 3.51.3: two writers could lose a commit; mailplane has one"
    return CheckView.of(
        "SQLite", detail, "never open the database with another program", grave=False
    )


def _findings(seen: Seen) -> Iterator[CheckView]:
    book = [words for words in seen.findings if words.startswith("book: ")]
    yield CheckView.of(
        "book",
        f"{seen.policy.hash} is in force" if not book else book[0].removeprefix("book: "),
        "mailplane book check" if book else None,
    )
    idle = len(seen.policy.notices)
    yield CheckView.of(
        "book notices",
        f"{idle}" if idle else "none",
        "mailplane book status" if idle else None,
        grave=False,
    )
    for words in seen.findings:
        if words not in book and not words.startswith(WALL_CLOCK):
            what, fix = _parted(words)
            yield CheckView.of("finding", what, fix)


def _parted(words: str) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    what, _, fix = words.rpartition("; ")
    return what or words, fix if what else "see docs/operator.md"


async def _accounts(seen: Seen, transport: Transport) -> list[tuple[Account, Report]]:
    accounts = [
        account
        for workspace in seen.policy.workspaces.values()
        for account in workspace.accounts.values()
        if account.supported
    ]
    gate = asyncio.Semaphore(_PROBES)

    async def probe(account: Account) -> Report:
        async with gate:
            return await transport.probe(account)

    reports = await asyncio.gather(*map(probe, accounts))
    return list(zip(accounts, reports, strict=True))


def _account(account: Account, report: Report, wall_us: int) -> Iterable[CheckView]:
    name = f"account {account.key}"
    if report.outcome is not Outcome.ACCEPTED:
        yield CheckView.of(
            name,
            f"{report.peer or account.host}, {report.stage}: {report.reply.text}",
            f"mend host, port, tls or log-in of [[account]] {account.name}, then run this again",
        )
        return
    yield CheckView.of(name, f"{report.peer} answers and lets us in", None)
    if report.certificate_ends_us is not None:
        days = (report.certificate_ends_us - wall_us) // DAY_US
        yield CheckView.of(
            f"certificate of {account.host}",
            f"valid for {days} days",
            None if days >= _CERTIFICATE_DAYS else "tell whoever runs the relay to renew it",
            grave=False,
        )
