"""Checks between the files of `workspaces/`: what one workspace has, no other may have."""

from __future__ import annotations

from mailplaned.book.schema import WorkspaceFile
from mailplaned.book.source import Key, Source
from mailplaned.book.words import canonical
from mailplaned.services.addresses import domain_of


def across(files: list[tuple[Source, WorkspaceFile]]) -> None:
    """Problems, at the later file, for names, domains and mailboxes that an earlier file has."""
    workspaces: dict[str, str] = {}
    domains: dict[str, str] = {}
    boxes: dict[str, str] = {}
    for source, file in files:
        _claim(source, ("workspace", "name"), file.workspace.name, workspaces, source.name)
        for index, domain in enumerate(file.domain):
            _claim(source, ("domain", index, "name"), domain.name.lower(), domains, source.name)
    for source, file in files:
        for index, box in enumerate(file.mailbox):
            key: Key = ("mailbox", index, "address")
            address = canonical(box.address)
            if boxes.setdefault(address.lower(), source.name) != source.name:
                _claim(source, key, address.lower(), boxes, source.name)
            else:
                _claim(source, key, domain_of(address), domains, source.name)


def _claim(source: Source, key: Key, name: str, owners: dict[str, str], file: str) -> None:
    owner = owners.setdefault(name, file)
    if owner != file:
        wrong = f"belongs to {owner} already"
        source.problem(key, wrong, "keep it in one workspace", name)
