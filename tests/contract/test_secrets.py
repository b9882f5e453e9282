"""The Secrets port over files: who may own them, which modes serve, what is told of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailplaned.ports import Secrets
from mailplaned.vault.files import SECRET_BYTES, FileSecrets

VALUE = "s3cret-v4lue"


def put(folder: Path, name: str, content: bytes, mode: int = 0o600) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"s3cret", "s3cret"),
        (b" two words \n\n", " two words \n"),
        ("pässword\n".encode(), "pässword"),
    ],
)
def test_a_secret_is_the_file_without_its_last_line_end(
    tmp_path: Path, content: bytes, value: str
) -> None:
    put(tmp_path, "relay-password", content)
    found: Secrets = FileSecrets(tmp_path)
    assert found.get("relay-password", "acme") == value
    assert FileSecrets(tmp_path).problem("relay-password") is None


@pytest.mark.parametrize(
    ("mode", "serves"),
    [(0o600, True), (0o400, True), (0o640, False), (0o644, False), (0o666, False), (0o700, False)],
)
def test_only_a_file_that_is_ours_alone_serves(tmp_path: Path, mode: int, serves: bool) -> None:
    put(tmp_path, "relay", VALUE.encode(), mode)
    vault = FileSecrets(tmp_path)
    assert (vault.get("relay", "acme") == VALUE) is serves
    reason = vault.problem("relay")
    assert (reason is None) is serves
    assert reason is None or (f"mode {mode:04o}" in reason and VALUE not in reason)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_does_not_serve(tmp_path: Path) -> None:
    os.chown(put(tmp_path, "relay", b"x"), 12345, 12345)
    vault = FileSecrets(tmp_path)
    assert vault.get("relay", "acme") is None
    assert "uid 12345" in (vault.problem("relay") or "")


@pytest.mark.parametrize(
    "name",
    ["../relay", "a/b", "", ".hidden", "-x", "UP", "relay\n", "relay\0", "ä", "/etc/passwd"],
)
def test_a_name_can_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    put(tmp_path, "relay", b"x")
    vault = FileSecrets(tmp_path / "inner")
    assert vault.get(name, "acme") is None
    assert "no name of a secret" in (vault.problem(name) or "")


def test_what_is_no_plain_file_does_not_serve(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o600)
    os.mkfifo(tmp_path / "pipe", 0o600)
    put(tmp_path, "binary", b"\xff\xfe")
    put(tmp_path, "large", b"x" * (SECRET_BYTES + 1))
    vault = FileSecrets(tmp_path)
    for name in ("folder", "pipe", "binary", "large", "absent"):
        assert vault.get(name, "acme") is None
        assert vault.problem(name)


def test_systemds_credentials_come_first(tmp_path: Path) -> None:
    put(tmp_path / "ours", "relay", b"ours")
    put(tmp_path / "ours", "other", b"other")
    put(tmp_path / "systemd", "relay", b"systemd", 0o440)
    vault = FileSecrets(tmp_path / "ours", credentials_dir=tmp_path / "systemd")
    assert vault.get("relay", "acme") == "systemd"
    assert vault.get("other", "acme") == "other"


def test_a_secret_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    path = put(tmp_path, "relay", b"first")
    vault = FileSecrets(tmp_path)
    assert vault.get("relay", "acme") == "first"
    put(tmp_path, "draft", b"later").replace(path)
    assert vault.get("relay", "acme") == "later"
    path.chmod(0o644)
    assert vault.get("relay", "acme") is None
    path.unlink()
    assert vault.get("relay", "acme") is None
