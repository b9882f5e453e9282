"""What can be said of a book without a daemon: its problems, and the form of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from mailplane_wire.book import BookCheck
from mailplaned.book.daemon_schema import DaemonFile
from mailplaned.book.load import load_here
from mailplaned.book.meanings import about, meanings, tables
from mailplaned.book.schema import Table, WorkspaceFile

_FILES: Final[dict[str, type[Table]]] = {"mailplane": DaemonFile, "workspace": WorkspaceFile}


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
    for table in tables(_FILES[name]):
        part = made["$defs"][table.__name__]
        part["description"] = about(table)
        said = meanings(table)
        part["properties"] = {
            key: _described(value, said[key]) for key, value in part["properties"].items()
        }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _described(value: dict[str, Any], meaning: str) -> dict[str, Any]:
    """The schema of a key with what it means, and without null, which TOML does not have."""
    choices = [choice for choice in value.get("anyOf", []) if choice != {"type": "null"}]
    if choices:
        (value,) = choices
    if isinstance(value.get("default"), dict):  # a table; its keys have defaults of their own
        del value["default"]
    form = value.get("description")
    return {**value, "description": f"{meaning}; must be {form}" if form else meaning}
