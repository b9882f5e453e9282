"""The book of a running daemon: what is in force, and under whose name it came."""

from __future__ import annotations

import getpass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailplane_wire.book import BookEdit, BookEdits
from mailplane_wire.resources import BookView
from mailplaned.books import Books
from mailplaned.domain.policy import Policy
from mailplaned.ports import StoreFault
from mailplaned.services.book import Adoption, BookRefused
from tests.fakes.clock import ManualClock
from tests.fakes.process_daemon import workspace

ACME, BOLT = "workspaces/acme.toml", "workspaces/bolt.toml"
EDIT = BookEdits(
    workspace="acme",
    edits=[BookEdit(op="set", table="workspace", name="acme", values={"title": "Acme GmbH"})],
)


class Shelf:
    """A store that keeps books and nothing else, unless its disk is full."""

    def __init__(self) -> None:
        self.full = False
        self.adoptions: list[Adoption] = []

    async def write(self, change: partial[None]) -> None:
        if self.full:
            raise StoreFault("the disk is full")
        self.adoptions.append(change.keywords["adoption"])

    async def read(self, query: Any) -> tuple[str, bytes] | None:
        if not self.adoptions:
            return None
        return self.adoptions[-1].policy.hash, self.adoptions[-1].content


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def books(tmp_path: Path, shelf: Shelf) -> Books:
    by_hand(tmp_path, ACME, workspace(9, "ana@acme.example"))
    by_hand(tmp_path, BOLT, workspace(9, "bea@bolt.example", name="bolt"))
    return await started(tmp_path, shelf)


async def started(folder: Path, shelf: Shelf) -> Books:
    def told(policy: Policy, view: BookView) -> None:
        assert policy.hash == view.hash

    made = Books(folder / "book", folder / "pending")
    await made.first()
    await made.begin(shelf, ManualClock(), told)  # type: ignore[arg-type]
    return made


def by_hand(folder: Path, name: str, text: str) -> None:
    path = folder / "book" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def text_of(folder: Path, name: str) -> str:
    return (folder / "book" / name).read_text()


async def test_a_change_that_the_disk_refused_is_its_authors_when_it_comes_into_force(
    tmp_path: Path, shelf: Shelf, books: Books
) -> None:
    shelf.full = True
    (problem,) = await books.put(await books.plan_edits(EDIT), "anna")
    assert "could not be written down" in problem
    by_hand(tmp_path, BOLT, text_of(tmp_path, BOLT) + "# by hand\n")
    shelf.full = False
    assert await books.catch_up() == []
    newest = shelf.adoptions[-1]
    assert newest.authors == {ACME: "anna", BOLT: getpass.getuser()}
    assert newest.commanded == {ACME}
    assert not (tmp_path / "pending").exists()


@pytest.mark.parametrize("again", [False, True])
async def test_what_was_changed_by_hand_after_a_kill_is_not_told_as_the_commands(
    tmp_path: Path, shelf: Shelf, books: Books, again: bool
) -> None:
    shelf.full = True
    await books.put(await books.plan_edits(EDIT), "anna")  # and a kill
    shelf.full = False
    by_hand(tmp_path, BOLT, text_of(tmp_path, BOLT) + "# by hand\n")
    if again:
        by_hand(tmp_path, ACME, text_of(tmp_path, ACME) + "# by hand too\n")
    await started(tmp_path, shelf)
    newest = shelf.adoptions[-1]
    assert newest.authors == {
        ACME: getpass.getuser() if again else "anna",
        BOLT: getpass.getuser(),
    }
    assert newest.commanded == (set() if again else {ACME})
    assert newest.by == (getpass.getuser() if again else "book")


async def test_nothing_is_edited_while_a_change_by_hand_is_not_written_down(
    tmp_path: Path, shelf: Shelf, books: Books
) -> None:
    shelf.full = True
    by_hand(tmp_path, BOLT, text_of(tmp_path, BOLT) + "# by hand\n")
    with pytest.raises(BookRefused, match="could not be written down"):
        await books.plan_edits(EDIT)


async def test_a_plan_does_not_outlive_a_change_of_any_file(tmp_path: Path, books: Books) -> None:
    plan = await books.plan_edits(EDIT)
    by_hand(tmp_path, BOLT, text_of(tmp_path, BOLT) + "# by hand\n")
    with pytest.raises(BookRefused, match="was changed in the meantime"):
        await books.put(plan, "anna")
    assert "GmbH" not in text_of(tmp_path, ACME)


async def test_a_folder_that_is_gone_is_no_empty_book_for_commands_either(
    tmp_path: Path, books: Books
) -> None:
    texts = {ACME: text_of(tmp_path, ACME)}
    (tmp_path / "book").rename(tmp_path / "elsewhere")
    with pytest.raises(BookRefused, match="the folder is gone"):
        await books.plan_edits(EDIT)
    for plan in (await books.plan(None), await books.plan(texts)):
        assert plan.policy is None
    assert set(books.policy.workspaces) == {"acme", "bolt"}


async def test_no_book_is_put_beside_a_file_that_can_not_be_read(
    tmp_path: Path, books: Books
) -> None:
    (tmp_path / "book/workspaces/cove.toml").mkdir()
    plan = await books.plan({ACME: text_of(tmp_path, ACME)})
    assert plan.policy is None
    assert [problem.partition(":")[0] for problem in plan.problems] == ["workspaces/cove.toml"]
