"""Where configuration, state and socket live: flag, else environment, else the platform's place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_NAME = "mailplane"


class Places(NamedTuple):
    """The three paths of one daemon."""

    config: Path
    state: Path
    socket: Path


def places(
    config: str | None = None, state: str | None = None, socket: str | None = None
) -> Places:
    """The paths in force; an argument wins over `MAILPLANE_CONFIG`, `…_STATE`, `…_SOCKET`."""
    config = config or os.environ.get("MAILPLANE_CONFIG")
    return Places(
        config=_absolute(config) if config else _platform("user_config_path"),
        state=_state_path(state),
        socket=socket_path(state, socket),
    )


def socket_path(state: str | None = None, socket: str | None = None) -> Path:
    """The socket in force, for who needs nothing else.

    Unless it is given, it lies in the runtime folder of this login (XDG_RUNTIME_DIR), or in the
    state folder where there is none or that folder was given: never in a shared place.
    """
    env = os.environ
    if found := socket or env.get("MAILPLANE_SOCKET"):
        return _absolute(found)
    if (runtime := env.get("XDG_RUNTIME_DIR")) and not (state or env.get("MAILPLANE_STATE")):
        return _absolute(f"{runtime}/{_NAME}/mailplane.sock")
    return _state_path(state) / "mailplane.sock"


def _state_path(state: str | None) -> Path:
    found = state or os.environ.get("MAILPLANE_STATE")
    return _absolute(found) if found else _platform("user_state_path")


def _platform(name: str) -> Path:
    """A folder of platformdirs, whose import takes longer than all of the above."""
    import warnings

    import platformdirs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of its own guess at a folder
        found: Path = getattr(platformdirs, name)(_NAME)
    return found.absolute()


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()
