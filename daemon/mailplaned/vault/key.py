"""The key that seals the vault: where it lies, who may read it, and how another takes its place.

It is the first of: the file that MAILPLANE_KEY_FILE names, systemd's credential `mailplane-key`,
the desktop's keyring where the book says so, the file `vault.key` in the state folder.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from mailplaned.vault.files import UnfitError, read_private

KEY_BYTES: Final = 32
CREDENTIAL: Final = "mailplane-key"
_SERVICE: Final = "mailplane"


class KeyRefused(Exception):
    """There is a key that may not be used; the text says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """256 bits, and the name by which a sealed value says which key it needs."""

    value: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """Eight bytes that tell nothing of the key."""
        return hashlib.sha256(b"mailplane vault key\0" + self.value).digest()[:8]


class Keeper(Protocol):
    """A place that holds a key, and the next one while it is being changed."""

    def read(self, *, next_one: bool = False) -> Key | None:
        """The key, None when there is none. Raises KeyRefused for one that may not serve."""
        ...

    def write_next(self, key: Key) -> None:
        """Put the next key beside the present one. Raises KeyRefused where that can't be."""
        ...

    def promote_next(self) -> None:
        """Let the next key take the present one's place."""
        ...

    def __str__(self) -> str: ...


class FileKeeper:
    """A file of ours alone, in which the key stands as one line of base64."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = path.with_name(path.name + ".next")

    def __str__(self) -> str:
        return str(self._path)

    def read(self, *, next_one: bool = False) -> Key | None:
        """See Keeper."""
        path = self._next if next_one else self._path
        try:
            return _parsed(str(path), read_private(path))
        except FileNotFoundError:
            return None
        except (OSError, UnfitError) as fault:
            words = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
            raise KeyRefused(f"vault key {path}: {words}") from fault

    def write_next(self, key: Key) -> None:
        """See Keeper."""
        try:
            self._next.unlink(missing_ok=True)
            with open(os.open(self._next, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
                f.write(base64.b64encode(key.value) + b"\n")
                f.flush()
                os.fsync(f.fileno())
            sync_folder(self._path.parent)
        except OSError as fault:
            raise KeyRefused(f"vault key {self._next}: {fault.strerror}") from fault

    def promote_next(self) -> None:
        """See Keeper."""
        self._next.replace(self._path)
        sync_folder(self._path.parent)


class CredentialKeeper:
    """A credential that systemd gives us; only the unit's author can change it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CREDENTIAL

    def __str__(self) -> str:
        return f"systemd credential {CREDENTIAL}"

    def read(self, *, next_one: bool = False) -> Key | None:
        """See Keeper."""
        if next_one:
            return None
        try:
            return _parsed(str(self), read_private(self._path, by_systemd=True))
        except FileNotFoundError:
            return None
        except (OSError, UnfitError) as fault:
            raise KeyRefused(f"{self}: {fault}") from fault

    def write_next(self, key: Key) -> None:
        """See Keeper."""
        del key
        raise KeyRefused(
            f"the vault's key is a {self} and only the unit's author can change it; start the "
            "daemon with MAILPLANE_KEY_FILE naming a copy, re-key, and load that as the credential"
        )

    def promote_next(self) -> None:
        """Never reached: there is no next key."""
        raise AssertionError


class DesktopKeeper:
    """The desktop's keyring (Secret Service, Keychain), one entry for each state folder."""

    def __init__(self, state: Path) -> None:
        self._user = str(state)

    def __str__(self) -> str:
        return "the desktop's keyring"

    def read(self, *, next_one: bool = False) -> Key | None:
        """See Keeper."""
        text = self._ask("get_password", self._entry(next_one=next_one))
        return None if text is None else _parsed(str(self), text)

    def write_next(self, key: Key) -> None:
        """See Keeper."""
        self._ask("set_password", self._entry(next_one=True), base64.b64encode(key.value).decode())

    def promote_next(self) -> None:
        """See Keeper."""
        entry = self._entry(next_one=True)
        self._ask("set_password", self._entry(), self._ask("get_password", entry) or "")
        self._ask("delete_password", entry)

    def _entry(self, *, next_one: bool = False) -> str:
        return self._user + (" (next)" if next_one else "")

    def _ask(self, call: str, *values: str) -> str | None:
        try:
            import keyring
        except ImportError as fault:
            raise KeyRefused(
                'the book has [vault] key = "keyring", which needs: pip install mailplane[keyring]'
            ) from fault
        try:
            found: str | None = getattr(keyring, call)(_SERVICE, *values)
        except keyring.errors.KeyringError as fault:
            raise KeyRefused(
                f"{self} does not answer ({type(fault).__name__}); unlock it, or use a key file"
            ) from fault
        return found


class KeyRing:
    """The key in force and, between the two steps of a change, the next one."""

    def __init__(self, keeper: Keeper) -> None:
        """Raises KeyRefused."""
        self.keeper = keeper
        self._present = keeper.read()
        self._next = keeper.read(next_one=True)

    @property
    def present(self) -> Key | None:
        """The key that seals; None when it is not there."""
        return self._present

    @property
    def ids(self) -> set[bytes]:
        """The names of the keys that are there."""
        return {key.id for key in (self._present, self._next) if key is not None}

    def find(self, id_: bytes) -> Key | None:
        """The key of that name."""
        known = (key for key in (self._present, self._next) if key is not None)
        return next((key for key in known if key.id == id_), None)

    def check(self) -> None:
        """Raises KeyRefused when the next start would not find the key that is in force."""
        found = self.keeper.read()
        if self._present is None:
            raise KeyRefused(f"{self.keeper} was not there; put it back, then restart the daemon")
        if found is None or found.id not in self.ids:
            wrong = "is gone, and only the daemon has it" if found is None else "is another now"
            raise KeyRefused(
                f"{self.keeper} {wrong}; before the daemon stops put the right one back, or: "
                "mailplane secret rekey"
            )

    def prepare(self, value: bytes) -> Key:
        """Put the next key in its place beside the present one, durably. Raises KeyRefused."""
        key = Key(value)
        self.keeper.write_next(key)
        self._next = key
        return key

    def promote(self) -> None:
        """The next key is the one in force from now on."""
        assert self._next is not None, "there is no next key"
        self.keeper.promote_next()
        self._present, self._next = self._next, None


def keeper_for(
    state: Path, *, key_file: str | None, credentials: Path | None, desktop: bool
) -> Keeper:
    """The place of the key in force, by the order above."""
    if key_file:
        return FileKeeper(Path(key_file).expanduser().absolute())
    if credentials is not None and (credentials / CREDENTIAL).exists():
        return CredentialKeeper(credentials)
    return DesktopKeeper(state) if desktop else FileKeeper(state / "vault.key")


def _parsed(place: str, text: str) -> Key:
    try:
        value = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        value = b""
    if len(value) != KEY_BYTES:
        raise KeyRefused(
            f"vault key {place}: not {KEY_BYTES} bytes in base64; put the right file back, or make "
            "one with: head -c 32 /dev/urandom | base64"
        )
    return Key(value)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
