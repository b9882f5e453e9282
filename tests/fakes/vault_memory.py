"""A vault whose key lies in memory."""

from __future__ import annotations

from pathlib import Path

from mailplaned.ports import Clock
from mailplaned.vault.files import FileSecrets
from mailplaned.vault.key import Key, KeyRing
from mailplaned.vault.sealed import SealedSecrets


class MemoryKeeper:
    """Implements vault.key.Keeper."""

    def __init__(self) -> None:
        self._keys: dict[bool, Key] = {}

    def __str__(self) -> str:
        return "memory"

    def read(self, *, next_one: bool = False) -> Key | None:
        """See Keeper."""
        return self._keys.get(next_one)

    def write_next(self, key: Key) -> None:
        """See Keeper."""
        self._keys[True] = key

    def promote_next(self) -> None:
        """See Keeper."""
        self._keys = {False: self._keys[True]}


def memory_vault(clock: Clock) -> SealedSecrets:
    """An empty vault with a key."""
    vault = SealedSecrets(KeyRing(MemoryKeeper()), FileSecrets(Path("/nonexistent")), clock)
    vault.load([], bytes(32))
    return vault
