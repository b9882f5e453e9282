"""Where configuration, state and socket live: flag, else environment, else the platform's place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

_NAME = "mailplane"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The three paths of one daemon."""

    config: Path
    state: Path
    socket: Path

    @property
    def key_file(self) -> Path:
        """The vault's key: `MAILPLANE_KEY_FILE`, else `key` in the state folder."""
        return Path(os.environ.get("MAILPLANE_KEY_FILE") or self.state / "key")


def places(
    config: str | None = None, state: str | None = None, socket: str | None = None
) -> Places:
    """The paths in force; an argument wins over `MAILPLANE_CONFIG`, `…_STATE`, `…_SOCKET`.

    With a state folder but no socket given, the socket lies in that folder, so that two daemons on
    two state folders don't meet.
    """
    env = os.environ
    config = config or env.get("MAILPLANE_CONFIG")
    state = state or env.get("MAILPLANE_STATE")
    socket = socket or env.get("MAILPLANE_SOCKET")
    if socket is None:
        socket = f"{state}/mailplane.sock" if state else _runtime_socket()
    return Places(
        config=Path(config or platformdirs.user_config_path(_NAME)).expanduser().absolute(),
        state=Path(state or platformdirs.user_state_path(_NAME)).expanduser().absolute(),
        socket=Path(socket).expanduser().absolute(),
    )


def _runtime_socket() -> str:
    return str(platformdirs.user_runtime_path(_NAME) / "mailplane.sock")
