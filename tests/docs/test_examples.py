"""What the documentation shows is what happens: its examples are run, its books are loaded."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailplaned.book.load import load
from tests.docs.pages import PAGES, ROOT, Block, blocks, links, settled

MARK = "=== end of block"
PASSWORD = "not a real one\n"


def test_the_readme_works_as_it_stands() -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    shown = blocks(ROOT / "README.md")
    assert shown[0].text == "make demo\nmake test\n", "those two come first"
    with tempfile.TemporaryDirectory() as folder, provider(Path(folder)) as relay_port:
        home = Path(folder) / "home"
        home.mkdir()
        port = free_port()
        outputs = run(home, script(shown[1:], home, relay_port, port), PASSWORD)
        state = home / ".local" / "state" / "mailplane"
        assert (state / "vault.key").stat().st_mode & 0o777 == 0o600
    for index, block in enumerate(shown):
        if block.language in {"text", "json"} and index:
            assert comparable(outputs[index - 1]) == comparable(block.text)


def test_the_commands_of_the_operators_guide_work() -> None:
    shown = blocks(ROOT / "docs" / "operator.md")
    (book,) = [block.text for block in shown if "[workspace]" in block.text]
    commands = "".join(b.text for b in shown if b.language == "sh" and not b.skipped)
    assert "mailplane mailbox pause" in commands
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        (home / ".config" / "mailplane" / "workspaces").mkdir(parents=True)
        (home / ".config" / "mailplane" / "workspaces" / "acme.toml").write_text(book)
        shim = f'[shim]\nlisten = "127.0.0.1:{free_port()}"\n'
        (home / ".config" / "mailplane" / "mailplane.toml").write_text(shim)
        run(home, f"set -eu\nmailplane up --detach\n{commands}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_book_in_the_documentation_loads(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(b for b in blocks(page) if b.language == "toml"):
        table = tomllib.loads(block.text)
        name = "workspaces/x.toml" if "workspace" in table else "mailplane.toml"
        path = tmp_path / str(number) / name
        path.parent.mkdir(parents=True)
        path.write_text(block.text)
        people = {"ana": 1000, "bob": 1001}
        loaded = load(tmp_path / str(number), own_uid=os.getuid(), uid_of=people.get)
        assert not loaded.problems
        assert loaded.policy is not None
        assert not any("not acted on" in notice for notice in loaded.policy.notices)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_the_documentation_names_is_there(page: Path) -> None:
    for link in links(page):
        assert (page.parent / link).exists(), link


def script(shown: list[Block], home: Path, relay_port: int, port: int) -> str:
    """The README as one script; after each block a line by which to cut the output."""
    lines = ["set -eu"]
    for number, block in enumerate(shown, 1):
        text = block.text.replace("127.0.0.1:7525", f"127.0.0.1:{port}")
        if block.language == "sh" and not block.skipped:
            lines.append(text)
        elif block.language == "toml":
            config = home / ".config" / "mailplane"
            book = without_login(text, relay_port)
            lines.append(f"cat > {config}/workspaces/example.toml <<'BOOK'\n{book}BOOK")
            lines.append(f"echo '[shim]\nlisten = \"127.0.0.1:{port}\"' > {config}/mailplane.toml")
        lines.append(f"echo; echo '{MARK} {number}'")
    return "\n".join(lines)


def run(home: Path, text: str, typed: str = "") -> dict[int, str]:
    """What each block printed, by its place in the README."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
    }
    path = home.parent / "readme.sh"
    path.write_text(text)
    try:
        done = subprocess.run(
            ["bash", path],
            input=typed,
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        subprocess.run(
            ["mailplane", "down"], env=environment, cwd=home, capture_output=True, timeout=60
        )
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = {}
    rest = done.stdout
    for number in range(1, text.count(f"'{MARK}") + 1):
        outputs[number], _, rest = rest.partition(f"{MARK} {number}\n")
    return outputs


def without_login(text: str, port: int) -> str:
    """The README's book with the stand-in provider in place of a relay on the internet."""
    kept = [line for line in text.splitlines() if not line.startswith(("username =", "secret ="))]
    book = "\n".join(kept) + "\n"
    assert 'host = "smtp.example.net"\nport = 587\ntls = "starttls"\n' in book
    return book.replace(
        'host = "smtp.example.net"\nport = 587\ntls = "starttls"\n',
        f'host = "127.0.0.1"\nport = {port}\ntls = "none"\n',
    )


def comparable(text: str) -> str:
    """An output in one form: JSON of any layout is laid out alike."""
    if text.lstrip().startswith("{"):
        text = json.dumps(json.loads(text), indent=2)
    return settled(text)


@contextmanager
def provider(folder: Path) -> Iterator[int]:
    """The demo's stand-in provider; its port."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "mailplane_tui.demo.sink", str(folder / "ledger"), "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=10)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port
