"""Files wider than 0600, folders wider than 0700, in what the daemon makes (G27)."""

from __future__ import annotations

import stat
from collections.abc import Sequence

from tests.chaos.host import Host, host
from tests.chaos.verdict import Measured
from tests.fakes.process_daemon import to, workspace
from tests.fakes.sink_process import sink


def wider(made: Host) -> list[str]:
    """What anyone but its owner may touch, among the state and the socket's folder."""
    found = []
    for root in (made.state, made.socket.parent):
        for path in [root, *root.rglob("*")]:
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & 0o077:
                found.append(f"{path.name} {mode:o}")
    return found


def made_by(made: Host) -> int:
    """How many files and folders there are."""
    return sum(1 for root in (made.state, made.socket.parent) for _ in [root, *root.rglob("*")])


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Look at all the files of a running daemon, of a killed one, and of one that was stopped."""
    del cases
    found: list[str] = []
    seen = 0
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        made.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
        for end in (made.kill, made.stop, made.kill):
            made.start()
            made.token()
            for n in range(20):
                made.door.send(to(f"kim+{n}@there.example"))
            found += wider(made)
            seen += made_by(made)
            end()
            found += wider(made)
            seen += made_by(made)
    return Measured(number=len(found), cases=seen, details=", ".join(sorted(set(found))) or "none")
