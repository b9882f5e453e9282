"""Several files of the book change as one, whatever comes in between."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mailplaned.book.saving import NotSaved, Saver
from tests.fakes.process_daemon import short_folder

ROOT = Path(__file__).parents[2]
OLD = {
    "mailplane.toml": b"# old\n",
    "workspaces/acme.toml": b"a = 1\n",
    "workspaces/bolt.toml": b"",
}
NEW = {
    "mailplane.toml": b"# new\n",
    "workspaces/acme.toml": b"a = 2\n",
    "workspaces/cove.toml": b"c",
}

SAVE = """
import os, signal, sys
from pathlib import Path
from mailplaned.book.saving import Saver
from tests.services.test_book_saving import NEW, OLD

left = int(sys.argv[2])

def counted(function):
    def step(*values, **more):
        global left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return function(*values, **more)
    return step

Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)
os.fsync = counted(os.fsync)
folder = Path(sys.argv[1])
saver = Saver(folder / "book", folder / "pending")
saver.save(OLD, NEW, "ana")
saver.done()
"""


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / "book" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "book"


def found(book: Path) -> dict[str, bytes]:
    paths = [book / "mailplane.toml", *book.glob("workspaces/[!.]*")]
    return {str(path.relative_to(book)): path.read_bytes() for path in paths}


def test_a_kill_at_any_step_leaves_the_old_files_or_the_next_start_makes_the_new_ones(
    tmp_path: Path,
) -> None:
    finished = []
    for step in range(100):
        folder = tmp_path / str(step)
        book = written(folder, OLD)
        done = subprocess.run(
            [sys.executable, "-c", SAVE, str(folder), str(step)],
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'daemon'}:{ROOT}"},
            timeout=30,
            check=False,
        )
        left = Saver(book, folder / "pending").finish()
        assert found(book) == (OLD if left is None and done.returncode else NEW)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        finished.append(left is not None)
        if left is not None:
            assert (left.actor, set(left.files)) == ("ana", {*OLD, *NEW})
    assert finished == sorted(finished), "from some step on it is finished"
    assert {True, False} == {*finished}
    print(f"killed at {len(finished)} steps, {finished.count(True)} of them finished later")


def test_a_file_that_was_changed_since_it_was_read_is_not_overwritten(tmp_path: Path) -> None:
    book = written(tmp_path, OLD | {"mailplane.toml": b"# by hand\n"})
    with pytest.raises(NotSaved, match=r"mailplane\.toml: was changed in the meantime"):
        Saver(book, tmp_path / "pending").save(OLD, NEW, "ana")
    assert found(book) == OLD | {"mailplane.toml": b"# by hand\n"}
    assert not (tmp_path / "pending").exists()


def test_a_link_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    book = written(tmp_path, OLD)
    elsewhere = tmp_path / "elsewhere.toml"
    (book / "workspaces/acme.toml").rename(elsewhere)
    (book / "workspaces/acme.toml").symlink_to(elsewhere)
    with pytest.raises(NotSaved, match="is a link; edit the file that it points to"):
        Saver(book, tmp_path / "pending").save(OLD, NEW, "ana")
    assert elsewhere.read_bytes() == OLD["workspaces/acme.toml"]
    assert found(book) == OLD


def test_a_change_by_hand_while_the_new_files_are_written_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, sync = written(tmp_path, OLD), os.fsync

    def fsync(handle: int) -> None:
        sync(handle)
        (book / "mailplane.toml").write_bytes(b"# by hand\n")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(NotSaved, match=r"mailplane\.toml: was changed in the meantime"):
        Saver(book, tmp_path / "pending").save(OLD, NEW, "ana")
    assert found(book) == OLD | {"mailplane.toml": b"# by hand\n"}
    assert [path.name for path in tmp_path.rglob("*pending*")] == []
    assert [path.name for path in tmp_path.rglob("*.part")] == []


@pytest.mark.parametrize("count", range(3))
def test_where_a_file_can_not_be_replaced_those_before_it_are_the_old_ones_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    book, move = written(tmp_path, OLD), Path.replace
    names = ["mailplane.toml", "workspaces/acme.toml", "workspaces/cove.toml"]

    def replace(part: Path, target: Path) -> Path:
        if target == book / names[count]:  # as one that chattr(1) has made immutable
            raise PermissionError(1, "Operation not permitted", str(target))
        return move(part, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(NotSaved, match=r"can't be written, Operation not permitted"):
        Saver(book, tmp_path / "pending").save(OLD, NEW, "ana")
    assert found(book) == OLD
    assert [path.name for path in tmp_path.rglob("*.part")] == []


def test_a_name_that_no_disk_takes_is_told(tmp_path: Path) -> None:
    book = written(tmp_path, OLD)
    with pytest.raises(NotSaved, match=r"can't be written, File name too long"):
        Saver(book, tmp_path / "pending").save(
            OLD, OLD | {f"workspaces/{'x' * 300}.toml": b""}, "ana"
        )


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    book = written(tmp_path, OLD)
    (book / "workspaces/acme.toml").unlink()
    os.mkfifo(book / "workspaces/acme.toml")
    with pytest.raises(NotSaved, match="was changed in the meantime"):
        Saver(book, tmp_path / "pending").save(OLD, NEW, "ana")


def test_what_can_not_be_written_changes_nothing_and_names_the_place(tmp_path: Path) -> None:
    book = written(tmp_path, OLD)
    (book / "workspaces/.cove.toml.part").mkdir()  # in the way of the last file
    with pytest.raises(NotSaved, match=r"can't be written"):
        Saver(book, tmp_path / "pending").save(OLD, NEW, "ana")
    assert found(book) == OLD
    assert not (tmp_path / "pending").exists()


def test_a_file_keeps_its_mode_and_a_new_one_is_as_open_as_its_folder(tmp_path: Path) -> None:
    book = written(tmp_path, OLD)
    (book / "workspaces").chmod(0o750)
    (book / "mailplane.toml").chmod(0o664)
    Saver(book, tmp_path / "pending").save(OLD, NEW, "ana")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in book.glob("**/*.toml")}
    assert (modes["mailplane.toml"], modes["cove.toml"]) == (0o664, 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_file_stays_its_groups_where_the_daemon_may_not_give_it_to_its_owner() -> None:
    with short_folder() as folder:
        book = written(folder, OLD)
        for path in (folder, book, book / "workspaces"):
            path.chmod(0o777)
        os.chown(book / "mailplane.toml", 0, 61077)
        (book / "mailplane.toml").chmod(0o664)
        groups = os.getgroups()
        os.setgroups([61077])
        os.seteuid(61010)
        try:
            Saver(book, folder / "pending").save(OLD, OLD | {"mailplane.toml": b"# new\n"}, "ana")
        finally:
            os.seteuid(0)
            os.setgroups(groups)
        facts = (book / "mailplane.toml").stat()
        assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (61010, 61077, 0o664)


def test_what_a_person_wrote_after_a_kill_stays_when_the_rest_is_finished(tmp_path: Path) -> None:
    book = written(tmp_path, OLD)
    Saver(book, tmp_path / "pending").save(OLD, NEW, "ana")
    written(tmp_path, {"mailplane.toml": b"# by hand\n", "workspaces/acme.toml": b"a = 1\n"})
    Saver(book, tmp_path / "pending").finish()
    assert found(book) == NEW | {"mailplane.toml": b"# by hand\n"}
