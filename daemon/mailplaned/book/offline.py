"""What can be said of a book without a daemon: its problems, and the form of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from mailplane_wire.book import BookCheck
from mailplaned.book.load import load_here
from mailplaned.book.schema import DaemonFile, WorkspaceFile

_FILES: Final = {"mailplane": DaemonFile, "workspace": WorkspaceFile}


def check(folder: Path) -> BookCheck:
    """Whether the files of a folder are a book, with every problem that they have."""
    if not folder.is_dir():
        problem = f"{folder}: file: there is no such folder; name the one with mailplane.toml"
        return BookCheck(hash=None, problems=[problem], notices=[])
    loaded = load_here(folder)
    policy = loaded.policy
    return BookCheck(
        hash=policy.hash if policy else None,
        problems=list(loaded.problems),
        notices=list(policy.notices) if policy else [],
    )


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of `mailplane.toml` (`mailplane`) or of a file of `workspaces/`."""
    made = msgspec.json.schema(_FILES[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
