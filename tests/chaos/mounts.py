"""File systems of a run's own: small, full, read-only, or cut off as if the power had gone.

The cut is ext4's shutdown ioctl without flushing the log: what was not synced is gone, as it is
when a host loses power. It does not model torn sectors or a drive that lies about its cache.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.verdict import Skipped

EXT4_IOC_SHUTDOWN = 0x8004587D
EXT4_GOING_FLAGS_NOLOGFLUSH = 2
"""linux/fs/ext4/ext4.h."""

_BLOCK = bytes(64 * 1024)
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def need(*programs: str) -> None:
    """Raise Skipped unless we are root and have these programs."""
    if os.getuid() != 0:
        raise Skipped("needs root")
    missing = [program for program in programs if shutil.which(program, path=_PATH) is None]
    if missing:
        raise Skipped(f"not installed: {', '.join(missing)}")


def run(*command: str | Path) -> None:
    """Run a system program. Raises Skipped, with its words, when it can't do it here."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": _PATH},
    )
    if done.returncode != 0:
        raise Skipped(f"{command[0]}: {done.stderr.strip() or done.returncode}")


class Disk:
    """An ext4 file system in a file, mounted or not."""

    def __init__(self, image: Path, point: Path) -> None:
        self._image = image
        self.point = point

    def mount(self) -> None:
        """Put it in place."""
        run("mount", "-t", "ext4", "-o", "loop", self._image, self.point)

    def freeze(self) -> None:
        """Make it read-only, while nobody has a file open for writing."""
        run("mount", "-o", "remount,ro", self.point)

    def unmount(self) -> None:
        """Take it away, if it is there."""
        if os.path.ismount(self.point):
            run("umount", self.point)

    def cut(self) -> None:
        """Lose everything that is not on the disk, this instant."""
        descriptor = os.open(self.point, os.O_RDONLY)
        try:
            flags = struct.pack("I", EXT4_GOING_FLAGS_NOLOGFLUSH)
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, flags)
        except OSError as fault:
            if fault.errno in {errno.ENOTTY, errno.EOPNOTSUPP, errno.EPERM}:
                raise Skipped(f"no ext4 shutdown here: {fault.strerror}") from fault
            raise
        finally:
            os.close(descriptor)

    def abort(self) -> None:
        """Make it read-only as ext4 does by itself after an error, with files open for writing."""
        run("mount", "-o", "remount,abort", self.point)


@contextmanager
def disk(size_mib: int = 1024) -> Iterator[Disk]:
    """A mounted ext4 disk, in a sparse file; it is unmounted at the end whatever happened."""
    need("mkfs.ext4", "mount", "umount")
    folder = Path(tempfile.mkdtemp(prefix="mp-disk-"))
    image, point = folder / "image", folder / "on"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(size_mib * 2**20)
    made = Disk(image, point)
    try:
        run("mkfs.ext4", "-q", "-F", image)
        made.mount()
        yield made
    finally:
        made.unmount()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def memory_disk(size_mib: int) -> Iterator[Path]:
    """A tmpfs of that size."""
    need("mount", "umount")
    point = Path(tempfile.mkdtemp(prefix="mp-small-"))
    try:
        run("mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0700", "tmpfs", point)
        yield point
    finally:
        if os.path.ismount(point):
            run("umount", point)
        point.rmdir()


class Ballast:
    """A file that takes all the room there is but a little."""

    def __init__(self, point: Path) -> None:
        self._path = point / "ballast"

    def fill(self, leave_bytes: int) -> None:
        """Leave that much, or less: others write at the same time."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            while _write(descriptor, _BLOCK):
                pass
            size = os.fstat(descriptor).st_size
            os.ftruncate(descriptor, max(0, size - leave_bytes))
        finally:
            os.close(descriptor)

    def drop(self) -> None:
        """Give it all back."""
        self._path.unlink(missing_ok=True)


def _write(descriptor: int, block: bytes) -> bool:
    """Whether there was room."""
    try:
        return os.write(descriptor, block) > 0
    except OSError as fault:
        if fault.errno == errno.ENOSPC:
            return False
        raise
