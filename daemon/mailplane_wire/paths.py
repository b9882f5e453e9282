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


def places(
    config: str | None = None, state: str | None = None, socket: str | None = None
) -> Places:
    """The paths in force; an argument wins over `MAILPLANE_CONFIG`, `…_STATE`, `…_SOCKET`.

    Unless it is given, the socket lies in the runtime folder of this login (XDG_RUNTIME_DIR), or in
    the state folder where there is none or that folder was given: never in a shared place.
    """
    env = os.environ
    config = config or env.get("MAILPLANE_CONFIG")
    state = state or env.get("MAILPLANE_STATE")
    socket = socket or env.get("MAILPLANE_SOCKET")
    state_path = _absolute(state or platformdirs.user_state_path(_NAME))
    if socket is None and state is None and env.get("XDG_RUNTIME_DIR"):
        socket = f"{env['XDG_RUNTIME_DIR']}/{_NAME}/mailplane.sock"
    return Places(
        config=_absolute(config or platformdirs.user_config_path(_NAME)),
        state=state_path,
        socket=_absolute(socket or state_path / "mailplane.sock"),
    )


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()
