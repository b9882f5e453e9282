"""A notary whose file is a list."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mailplaned.audit_ports import Notary
from mailplaned.domain.chain import Checkpoint


class MemoryNotary(Notary):
    """`audit_ports.Notary`; it outlives the daemons that use it, as a file does."""

    def __init__(self, seed: bytes = bytes(32)) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = self._key.public_key().public_bytes_raw().hex()
        self.checkpoints: list[Checkpoint] = []
        self.kept = 0

    def sign(self, content: bytes) -> bytes:
        return self._key.sign(content)

    def newest(self, origin: str) -> Checkpoint | None:
        own = [found for found in self.checkpoints if found.origin == origin]
        return own[-1] if own else None

    async def keep(self, checkpoints: Sequence[Checkpoint]) -> None:
        self.checkpoints += checkpoints
        self.kept = checkpoints[-1].size

    async def lines(self) -> list[str]:
        return [json.dumps(found.facts()) for found in self.checkpoints]
