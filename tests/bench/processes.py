"""What the kernel says of processes: time, memory, descendants; and whether a folder is durable."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.process_wait import until

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_VOLATILE = frozenset({"tmpfs", "ramfs", "devtmpfs"})


class Unfit(Exception):
    """This machine or this build can't be measured; the text says why."""


def tool(name: str) -> str:
    """The path of a program, also where only root looks. Raises Unfit."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if found is None:
        raise Unfit(f"{name} is not installed; as root: tools/system-packages")
    return found


def free_port() -> int:
    """A port of the loopback that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- processor time ------------------------------------------------------------------------------


def family(pid: int) -> list[int]:
    """A process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def tree_cpu_s(pid: int) -> float:
    """User and system time of a process, its living descendants, and those they have buried."""
    ticks = 0
    for member in family(pid):
        if fields := _stat(member):
            ticks += sum(map(int, fields[11:15]))  # utime stime cutime cstime, proc(5)
    return ticks / _TICKS


def own_cpu_s(pid: int) -> float:
    """Time of a process by itself, in nanosecond steps (proc(5), schedstat of every thread)."""
    threads = (_PROC / str(pid) / "task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty when the process is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


# --- memory --------------------------------------------------------------------------------------


def rss_mib(pid: int) -> float:
    """Resident memory (VmRSS)."""
    return _kib(_PROC / str(pid) / "status", "VmRSS:") / 1024


def pss_mib(pid: int) -> float:
    """Resident memory with shared pages divided among those who share them."""
    return _kib(_PROC / str(pid) / "smaps_rollup", "Pss:") / 1024


def peak_mib(pid: int) -> float:
    """The most that was ever resident (VmHWM)."""
    return _kib(_PROC / str(pid) / "status", "VmHWM:") / 1024


def _kib(path: Path, name: str) -> int:
    return int(path.read_text().partition(name)[2].split()[0])


# --- durability ----------------------------------------------------------------------------------


def check_disk(folder: Path) -> None:
    """Refuse a folder in memory and a preloaded library that swallows fsync. Raises Unfit."""
    if "eatmydata" in os.environ.get("LD_PRELOAD", ""):
        raise Unfit("LD_PRELOAD holds eatmydata, which makes every fsync a lie; unset it")
    best = ("", "")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    if best[1] in _VOLATILE:
        raise Unfit(f"{folder} is on {best[1]}; give a folder on a disk with --folder")


@contextmanager
def counting_syncs(pids: list[int], folder: Path) -> Iterator[Callable[[], int]]:
    """Count fsync and fdatasync of processes and of what they fork; slows them down."""
    trace = folder / "trace"
    command = [tool("strace"), "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace)]
    command += [word for pid in pids for word in ("-p", str(pid))]
    with (folder / "strace.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        told = folder / "strace.log"
        until(lambda: told.read_text().count("attached") >= len(pids), "strace attached")
        yield lambda: sum(trace.read_bytes().count(call) for call in (b" fsync(", b" fdatasync("))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def end(process: subprocess.Popen[bytes], within_s: float = 10) -> None:
    """SIGTERM to a process that we started, SIGKILL if that is not enough."""
    process.terminate()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def gone(pid: int) -> bool:
    """Whether a process that is not our child has ended."""
    return not _stat(pid)


def settle() -> None:
    """Let both sides finish what comes after the last delivery, before times are read."""
    time.sleep(0.3)
