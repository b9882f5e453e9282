"""Postfix, smtp-source and smtp-sink from Debian: private folders, loopback, ephemeral ports."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.processes import Unfit, end, family, free_port, gone, listens, tool, tree_cpu_s
from tests.fakes.process_wait import until

CONTENT_BYTES = 5120
"""Size of a message, headers included, on both sides."""

_SCRIPTS = Path("/usr/share/postfix")
_POLL_S = 0.002

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{sink}
disable_dns_lookups = yes
smtp_host_lookup = native
alias_maps =
local_transport = error:no
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
in_flow_delay = 0
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
"""
# The last eight lines are kinder to Postfix than its defaults: no lookups, no brakes on input.


class Sink:
    """A running smtp-sink, and how many messages it has taken."""

    def __init__(self, port: int, counters: Path) -> None:
        self.port = port
        self._counters = counters

    def count(self) -> int:
        """Messages that were answered with 250 after the final dot."""
        with self._counters.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 200))
            tail = file.read().rpartition(b"mesg=")[2].split()
        return int(tail[0]) if tail else 0

    def reached(self, count: int, within_s: float) -> float:
        """When it has taken that many, on the monotonic clock. Raises Unfit if it never does."""
        limit_s = time.monotonic() + within_s
        while self.count() < count:
            if time.monotonic() > limit_s:
                raise Unfit(f"the sink has {self.count()} of {count} messages after {within_s} s")
            time.sleep(_POLL_S)
        return time.monotonic()


@contextmanager
def sink(folder: Path) -> Iterator[Sink]:
    """A sink that counts, with its counters in a folder."""
    folder.mkdir()
    port = free_port()
    user = ("-u", "nobody") if os.getuid() == 0 else ()
    with (folder / "counters").open("wb") as counters:
        process = subprocess.Popen(
            [tool("smtp-sink"), *user, "-c", "-m", "4096", f"127.0.0.1:{port}", "1024"],
            stdout=counters,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: listens(port), "smtp-sink listens")
        yield Sink(port, folder / "counters")
    finally:
        end(process)


class Postfix:
    """A running Postfix."""

    def __init__(self, port: int, pid: int, folder: Path) -> None:
        self.port = port
        self.pid = pid
        self._folder = folder

    def source(self, count: int, sessions: int) -> subprocess.Popen[bytes]:
        """Start to feed it: kept connections (-d), which is the kinder way for Postfix."""
        command = [tool("smtp-source"), "-d", "-m", str(count), "-s", str(sessions)]
        command += ["-l", str(CONTENT_BYTES), "-f", "a@bench.example", "-t", "b@dest.example"]
        return subprocess.Popen([*command, f"127.0.0.1:{self.port}"])

    def cpu_s(self) -> float:
        """Time of all its processes so far."""
        return tree_cpu_s(self.pid)

    def processes(self) -> list[int]:
        """All its processes."""
        return family(self.pid)

    def deliver(self, *, deliver: bool) -> None:
        """Let it deliver, or only accept: then whatever comes in is deferred."""
        etc = str(self._folder / "etc")
        setting = "defer_transports=" + ("" if deliver else "smtp")
        subprocess.run([tool("postconf"), "-c", etc, "-e", setting], check=True)
        _command(etc, "reload")

    def drop_queue(self) -> None:
        """Delete whatever waits in this private queue."""
        command = [tool("postsuper"), "-c", str(self._folder / "etc"), "-d", "ALL"]
        subprocess.run(command, check=True, capture_output=True)


@contextmanager
def postfix(folder: Path, sink_port: int) -> Iterator[Postfix]:
    """A Postfix that relays everything to the sink. Needs root, as Postfix does."""
    if os.getuid() != 0:
        raise Unfit("Postfix has to be started by root")
    port = free_port()
    _configure(folder, port, sink_port)
    etc = folder / "etc"
    pid = 0
    try:
        _command(str(etc), "start")
        pid_file = folder / "spool/pid/master.pid"
        pid = until(lambda: _pid_in(pid_file), "Postfix runs")
        until(lambda: listens(port), "Postfix listens")
        yield Postfix(port, pid, folder)
    finally:
        if pid:
            os.kill(pid, signal.SIGTERM)
            until(lambda: gone(pid), "Postfix has stopped", 20)


def _configure(folder: Path, port: int, sink_port: int) -> None:
    folder.mkdir()
    for name in ("etc", "spool", "data"):
        (folder / name).mkdir()
    owner = pwd.getpwnam("postfix")
    os.chown(folder / "data", owner.pw_uid, owner.pw_gid)
    (folder / "etc/main.cf").write_text(_MAIN.format(folder=folder, sink=sink_port))
    lines = []
    for line in (_SCRIPTS / "master.cf.dist").read_text().splitlines():
        words = line.split()
        if len(words) >= 8 and not line.startswith(("#", " ", "\t")):
            words[4] = "n"  # no chroot: nothing has to be copied into the queue
            if words[:2] == ["smtp", "inet"]:
                words[0] = f"127.0.0.1:{port}"
            line = " ".join(words)
        lines.append(line)
    (folder / "etc/master.cf").write_text("\n".join(lines) + "\n")


def _pid_in(path: Path) -> int:
    """The pid in a file, 0 as long as there is none."""
    return int(path.read_text().strip() or 0) if path.exists() else 0


def _command(etc: str, verb: str) -> None:
    ran = subprocess.run([tool("postfix"), "-c", etc, verb], capture_output=True, text=True)
    if ran.returncode:
        raise Unfit(f"postfix {verb} failed: {ran.stderr.strip()}")
