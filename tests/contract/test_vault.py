"""The vault's seal and its key: what opens a secret, what does not, and how a key is changed."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mailplaned.domain.records import SealedSecret
from mailplaned.ports import SecretMissing, Vault
from mailplaned.vault.files import FileSecrets
from mailplaned.vault.key import FileKeeper, KeyRefused, KeyRing, keeper_for
from mailplaned.vault.sealed import SealedSecrets
from tests.fakes.clock import ManualClock

NONCE = bytes(range(12))
FIRST_KEY, SECOND_KEY = b"1" * 32, b"2" * 32
BLANK = SealedSecret(name="relay", workspace="acme", version=1, created_us=1, changed_us=1)


def vault(state: Path, *rows: SealedSecret, new_key: bytes = FIRST_KEY) -> SealedSecrets:
    made = SealedSecrets(
        KeyRing(FileKeeper(state / "vault.key")), FileSecrets(state / "secrets"), ManualClock()
    )
    made.load(rows, new_key)
    return made


def sealed(state: Path, secret: SealedSecret = BLANK, value: str = "s3cret") -> SealedSecret:
    return vault(state).seal(secret, value, NONCE)


def test_a_sealed_secret_opens_for_its_workspace_and_for_no_other(tmp_path: Path) -> None:
    found: Vault = vault(tmp_path, sealed(tmp_path))
    assert found.get("relay", "acme") == "s3cret"
    assert found.get("relay", "beta") is None
    assert "it is not in the vault" in (found.problem("relay", "beta") or "")
    everyone = replace(BLANK, workspace=None)
    assert vault(tmp_path, sealed(tmp_path, everyone)).get("relay", "beta") == "s3cret"


def test_two_workspaces_and_all_have_secrets_of_one_name_each_its_own(tmp_path: Path) -> None:
    kept = {None: "for all", "acme": "of acme", "beta": "of beta"}
    rows = [
        sealed(tmp_path, replace(BLANK, workspace=workspace), value)
        for workspace, value in kept.items()
    ]
    found = vault(tmp_path, *rows)
    read = {workspace: found.get("relay", workspace) for workspace in ("acme", "beta", "cove")}
    assert read == {"acme": "of acme", "beta": "of beta", "cove": "for all"}
    assert found.used_us.keys() == {("relay", "acme"), ("relay", "beta"), ("relay", None)}
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "relay").write_text("of a file")
    (tmp_path / "secrets" / "relay").chmod(0o600)
    found.forget(("relay", "acme"))
    assert ("relay", "acme") not in found.used_us, "a later one of its name was not used yet"
    assert found.get("relay", "acme") == "for all"
    found.forget(("relay", None))
    assert [found.get("relay", name) for name in ("acme", "beta")] == ["of a file", "of beta"]


def test_the_seal_hides_the_value_and_its_repr_does_not_tell_it(tmp_path: Path) -> None:
    row = sealed(tmp_path, value="s3cret-v4lue")
    assert b"s3cret" not in row.content
    assert "s3cret" not in repr(row) + repr(vault(tmp_path, row).__dict__)
    assert base64.b64encode(FIRST_KEY).decode() not in repr(vault(tmp_path, row).__dict__)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"workspace": "beta"},
        {"workspace": None},
        {"version": 2},
        {"nonce": b"x" * 12},
        {"content": b"x" * 22},
    ],
)
def test_a_row_put_in_anothers_place_opens_nothing(
    tmp_path: Path, change: dict[str, object]
) -> None:
    moved = replace(sealed(tmp_path), **change)  # type: ignore[arg-type]
    found = vault(tmp_path, moved)
    with pytest.raises(SecretMissing, match="altered"):
        found.open(moved)
    assert found.get(moved.name, moved.workspace or "acme") is None
    assert "rotate" in (found.problem(moved.name, moved.workspace or "acme") or "")


def test_without_the_key_the_rows_say_nothing_and_what_to_do_is_said(tmp_path: Path) -> None:
    row = sealed(tmp_path)
    (tmp_path / "vault.key").rename(tmp_path / "lost")
    found = vault(tmp_path, row, new_key=SECOND_KEY)
    assert found.get("relay", "acme") is None
    assert "put that key back" in (found.problem("relay", "acme") or "")
    assert not (tmp_path / "vault.key").exists(), "a new key would hide the loss"
    with pytest.raises(SecretMissing, match="key is missing"):
        found.seal(BLANK, "again", NONCE)


def test_the_key_file_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    sealed(tmp_path)
    key = tmp_path / "vault.key"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    vault(tmp_path, new_key=SECOND_KEY)
    assert key.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    sealed(tmp_path)
    (tmp_path / "vault.key").chmod(mode)
    with pytest.raises(KeyRefused, match=f"vault.key: has mode {mode:04o}; make it 0600"):
        vault(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, base64.b64encode(b"1" * 31)])
def test_a_key_file_that_holds_no_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyRefused, match=r"vault\.key"):
        vault(tmp_path)
    assert path.read_bytes() == content


def change_key(found: SealedSecrets, *rows: SealedSecret) -> list[SealedSecret]:
    found.prepare_key(SECOND_KEY)
    return [found.reseal(row, NONCE[::-1]) for row in rows]


def test_after_a_change_of_key_the_old_one_opens_nothing(tmp_path: Path) -> None:
    row = sealed(tmp_path)
    old_key = (tmp_path / "vault.key").read_bytes()
    found = vault(tmp_path, row)
    (anew,) = change_key(found, row)
    found.promote_key([anew])
    assert found.get("relay", "acme") == "s3cret"
    assert vault(tmp_path, anew).get("relay", "acme") == "s3cret"
    assert [path.name for path in tmp_path.iterdir()] == ["vault.key"]
    (tmp_path / "vault.key").write_bytes(old_key)
    assert vault(tmp_path, anew).get("relay", "acme") is None


def test_a_change_of_key_cut_short_before_its_commit_did_not_happen(tmp_path: Path) -> None:
    row = sealed(tmp_path)
    change_key(vault(tmp_path, row), row)
    assert vault(tmp_path, row).get("relay", "acme") == "s3cret"


def test_a_change_of_key_cut_short_after_its_commit_is_finished_at_the_next_start(
    tmp_path: Path,
) -> None:
    row = sealed(tmp_path)
    (anew,) = change_key(vault(tmp_path, row), row)
    assert vault(tmp_path, anew).get("relay", "acme") == "s3cret"
    assert [path.name for path in tmp_path.iterdir()] == ["vault.key"]


def test_a_file_serves_where_the_vault_has_nothing_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for name in ("relay", "other"):
        (tmp_path / "secrets" / name).write_text(f"{name} by file\n")
        (tmp_path / "secrets" / name).chmod(0o600)
    found = vault(tmp_path, sealed(tmp_path))
    assert found.get("relay", "acme") == "s3cret"
    assert found.get("other", "acme") == "other by file"
    fix = "mailplane secret set third, with --workspace acme for acme alone"
    assert found.problem("third", "acme") == f"it is not in the vault; {fix}"


def test_systemds_credential_is_the_key_and_can_not_be_changed_by_us(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mailplane-key").write_bytes(base64.b64encode(FIRST_KEY))
    (credentials / "mailplane-key").chmod(0o440)
    keeper = keeper_for(tmp_path, key_file=None, credentials=credentials, desktop=False)
    found = SealedSecrets(KeyRing(keeper), FileSecrets(tmp_path), ManualClock())
    row = found.seal(BLANK, "s3cret", NONCE)
    assert vault_of(row, FIRST_KEY, tmp_path / "elsewhere").get("relay", "acme") == "s3cret"
    with pytest.raises(SecretMissing, match="MAILPLANE_KEY_FILE"):
        found.prepare_key(SECOND_KEY)


def vault_of(row: SealedSecret, key: bytes, state: Path) -> SealedSecrets:
    """A vault elsewhere, with that key in a file that the environment names."""
    state.mkdir()
    path = state / "key"
    path.write_bytes(base64.b64encode(key))
    path.chmod(0o600)
    keeper = keeper_for(state, key_file=str(path), credentials=None, desktop=False)
    made = SealedSecrets(KeyRing(keeper), FileSecrets(state), ManualClock())
    made.load([row], SECOND_KEY)
    return made


def test_the_desktops_keyring_keeps_the_key_and_changes_it(
    tmp_path: Path,
) -> None:
    import keyring
    from keyring.backend import KeyringBackend

    class Desktop(KeyringBackend):
        """The wire of a desktop's service: entries by service and user."""

        priority = 1.0

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.entries: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.entries.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.entries[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.entries[service, username]

    desktop = Desktop()
    before = keyring.get_keyring()
    keyring.set_keyring(desktop)
    try:
        keeper = keeper_for(tmp_path, key_file=None, credentials=None, desktop=True)
        found = SealedSecrets(KeyRing(keeper), FileSecrets(tmp_path), ManualClock())
        found.load([], FIRST_KEY)
        row = found.seal(BLANK, "s3cret", NONCE)
        found.load([row], SECOND_KEY)
        assert desktop.entries == {
            ("mailplane", str(tmp_path)): base64.b64encode(FIRST_KEY).decode()
        }
        (anew,) = change_key(found, row)
        found.promote_key([anew])
        assert desktop.entries == {
            ("mailplane", str(tmp_path)): base64.b64encode(SECOND_KEY).decode()
        }
        assert found.get("relay", "acme") == "s3cret"
    finally:
        keyring.set_keyring(before)
    assert os.listdir(tmp_path) == []


def test_a_host_without_a_keyring_is_told_what_to_do(tmp_path: Path) -> None:
    import keyring
    from keyring.backends.fail import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())  # type: ignore[no-untyped-call]
    try:
        keeper = keeper_for(tmp_path, key_file=None, credentials=None, desktop=True)
        with pytest.raises(KeyRefused, match="use a key file"):
            KeyRing(keeper)
    finally:
        keyring.set_keyring(before)
