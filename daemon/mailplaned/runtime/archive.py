"""A backup: one tar file with a manifest in front that names every other file and its hash."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

MANIFEST: Final = "manifest.json"
_MANIFEST_BYTES: Final = 16 * 1024 * 1024
_CHUNK: Final = 1024 * 1024


class BadArchive(Exception):
    """A file that is no backup, or not a whole one; the text says what is wrong with it."""


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the archive."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds. `left_out` are files that a restored daemon may need from elsewhere."""

    format: int
    made_at: str
    version: str
    book: str
    counts: dict[str, int]
    left_out: list[str]
    files: dict[str, Member]


def write_archive(target: Path, files: Mapping[str, Path], about: Manifest) -> None:
    """Write the files under their names; all of it or nothing is at `target`. Raises OSError."""
    members = {
        name: Member(size=path.stat().st_size, sha256=_sha256(_chunks(path)))
        for name, path in files.items()
    }
    manifest = msgspec.json.encode(msgspec.structs.replace(about, files=members))
    part = target.with_name(target.name + ".part")
    try:
        with (
            open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw,
            tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.addfile(_entry(MANIFEST, len(manifest)), io.BytesIO(manifest))
            for name, path in files.items():
                with path.open("rb") as file:
                    archive.addfile(_entry(name, members[name].size), file)
            archive.close()
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def unpack(path: Path, folder: Path, read: Callable[[int], None]) -> Manifest:
    """Write the files of an archive into an empty folder, each checked by its hash.

    `read` hears how many bytes more were read. Raises BadArchive, OSError. Nothing is written
    outside the folder: names come from a closed form, and whatever is no plain file is refused.
    """
    with _opened(path) as archive:
        members = iter(archive)
        manifest = _manifest(archive, next(members, None))
        missing = dict(manifest.files)
        for member in members:
            wanted = missing.pop(member.name, None)
            source = archive.extractfile(member) if member.isreg() else None
            if wanted is None or source is None or member.size != wanted.size:
                raise BadArchive(f"{member.name!r} is not what the manifest says")
            target = folder / member.name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                found = _sha256(_copied(source, file, read))
                file.flush()
                os.fsync(file.fileno())
            if found != wanted.sha256:
                raise BadArchive(f"{member.name} was altered: its hash is not the manifest's")
        if missing:
            raise BadArchive(f"{', '.join(sorted(missing))} is missing; the file was cut short")
        return manifest


def _manifest(archive: tarfile.TarFile, first: tarfile.TarInfo | None) -> Manifest:
    file = archive.extractfile(first) if first is not None and first.isreg() else None
    if first is None or file is None or first.name != MANIFEST or first.size > _MANIFEST_BYTES:
        raise BadArchive("it has no manifest; it is no backup of mailplane")
    try:
        manifest = msgspec.json.decode(file.read(), type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise BadArchive(f"its manifest can't be read: {fault}") from fault
    if manifest.format != 1:
        raise BadArchive(f"it has format {manifest.format}; this mailplane reads format 1")
    for name in manifest.files:
        parts = name.split("/")
        if not name or name == MANIFEST or any(part in {"", ".", ".."} for part in parts):
            raise BadArchive(f"{name!r} is no name of a file in a backup")
    return manifest


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, mode="r:") as archive:
            yield archive
    except tarfile.TarError as fault:
        raise BadArchive(f"it is no tar file, or not a whole one: {fault}") from fault


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _copied(source: IO[bytes], target: IO[bytes], read: Callable[[int], None]) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        target.write(chunk)
        read(len(chunk))
        yield chunk


def _sha256(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
