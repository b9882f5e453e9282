"""The vault: named secrets, each sealed with AES-256-GCM under the vault's key.

The sealed rows lie in the database; without the key they say nothing. A row's workspace, name and
version are authenticated with it, so that a row can't be put in another's place. Systemd's
credentials and 0600 files of the state folder serve beside it, where the vault has neither the
workspace's own secret of a name nor one for all.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailplaned.domain.records import SealedSecret, SecretKey
from mailplaned.ports import Clock, SecretMissing
from mailplaned.services.credentials import rotation
from mailplaned.vault.files import FileSecrets
from mailplaned.vault.key import Key, KeyRefused, KeyRing

NONCE_BYTES = 12


class SealedSecrets:
    """Implements ports.Vault. `load` has to be told the rows before the first question."""

    def __init__(self, ring: KeyRing, files: FileSecrets, clock: Clock) -> None:
        self._ring = ring
        self._files = files
        self._clock = clock
        self._rows: dict[SecretKey, SealedSecret] = {}
        self._faults: dict[SecretKey, str] = {}
        self._next: Key | None = None
        self.used_us: dict[SecretKey, int] = {}

    @property
    def place(self) -> str:
        """Where the key lies, in words."""
        return str(self._ring.keeper)

    def check_key(self) -> None:
        """Raises KeyRefused when the next start would not find the key that is in force."""
        self._ring.check()

    def load(self, rows: Iterable[SealedSecret], new_key: bytes) -> None:
        """Take in what is sealed; end a change of key that a crash cut short.

        `new_key` is used when there is neither a key nor anything sealed. Raises KeyRefused.
        """
        self._rows = {row.key: row for row in rows}
        self._faults = {}
        needed = {row.key_id for row in self._rows.values()}
        present = self._ring.present
        if present is None and not needed:
            self._ring.prepare(new_key)
            self._ring.promote()
        elif needed and needed != {present and present.id} and needed <= self._ring.ids:
            self._ring.promote()
        for row in self._rows.values():
            try:
                self.open(row)
            except SecretMissing as fault:
                self._faults[row.key] = str(fault)

    def rows(self) -> Iterable[SealedSecret]:
        """See ports.Vault."""
        return self._rows.values()

    def get(self, name: str, workspace: str) -> str | None:
        """See ports.Secrets."""
        row = self._find(name, workspace)
        if row is None:
            return self._files.get(name, workspace)
        try:
            value = self.open(row)
        except SecretMissing:
            return None
        self.used_us[row.key] = self._clock.wall_us()
        return value

    def problem(self, name: str, workspace: str) -> str | None:
        """See ports.Vault."""
        row = self._find(name, workspace)
        if row is None:
            missing = self._files.problem(name)
            absent = missing is not None and missing.startswith("no file")
            fix = f"mailplane secret set {name}, with --workspace {workspace} for {workspace} alone"
            return f"it is not in the vault; {fix}" if absent else missing
        return self._faults.get(row.key)

    def _find(self, name: str, workspace: str) -> SealedSecret | None:
        """The workspace's own secret of that name, else the one for all."""
        return self._rows.get((name, workspace)) or self._rows.get((name, None))

    def seal(self, secret: SealedSecret, value: str, nonce: bytes) -> SealedSecret:
        """See ports.Vault."""
        key = self._ring.present
        if key is None:
            raise SecretMissing(f"the vault's key is missing: {self._ring.keeper}")
        return _sealed(key, secret, value, nonce)

    def open(self, secret: SealedSecret) -> str:
        """The value. Raises SecretMissing when the key is not there or the row is not its own."""
        key = self._ring.find(secret.key_id)
        if key is None:
            raise SecretMissing(
                f"it is sealed under a key that is not at {self._ring.keeper}; put that key back, "
                f"or: {rotation(secret)}"
            )
        try:
            content = AESGCM(key.value).decrypt(secret.nonce, secret.content, _bound_to(secret))
        except InvalidTag:
            words = f"its row was altered or belongs to another name; {rotation(secret)}"
            raise SecretMissing(words) from None
        return content.decode()

    def prepare_key(self, value: bytes) -> None:
        """See ports.Vault."""
        try:
            self._next = self._ring.prepare(value)
        except KeyRefused as fault:
            raise SecretMissing(str(fault)) from fault

    def reseal(self, secret: SealedSecret, nonce: bytes) -> SealedSecret:
        """See ports.Vault."""
        assert self._next is not None, "no key is prepared"
        return _sealed(self._next, secret, self.open(secret), nonce)

    def promote_key(self, rows: Iterable[SealedSecret]) -> None:
        """See ports.Vault."""
        self._rows = {row.key: row for row in rows}
        self._ring.promote()

    def note(self, secret: SealedSecret) -> None:
        """See ports.Vault."""
        self._rows[secret.key] = secret
        self._faults.pop(secret.key, None)

    def forget(self, key: SecretKey) -> None:
        """See ports.Vault."""
        self._rows.pop(key, None)
        self._faults.pop(key, None)
        self.used_us.pop(key, None)


def _sealed(key: Key, secret: SealedSecret, value: str, nonce: bytes) -> SealedSecret:
    content = AESGCM(key.value).encrypt(nonce, value.encode(), _bound_to(secret))
    return secret.with_content(key_id=key.id, nonce=nonce, content=content)


def _bound_to(secret: SealedSecret) -> bytes:
    """What is authenticated with a value: a name has no NUL, so no two secrets share it."""
    owner = secret.workspace or ""
    return b"mailplane secret 1\0" + f"{owner}\0{secret.name}\0{secret.version}".encode()
