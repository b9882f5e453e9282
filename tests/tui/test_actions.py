"""The registry is whole, and what the dashboard refuses it refuses with a reason."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mailplane_tui.actions import ACTIONS, BY_ID, Danger, footer_for, for_view, refusal


def test_ids_and_keys_are_unique_within_every_view() -> None:
    assert len(BY_ID) == len(ACTIONS)
    for view in ("mailboxes", "audit", "events", "detail"):
        keys = [key for action in for_view(view) for key in action.keys]
        assert len(keys) == len(set(keys)), view


def test_nothing_dangerous_has_a_digit_or_a_movement_key() -> None:
    for action in ACTIONS:
        if action.danger is not Danger.VIEW:
            assert not set(action.keys) & set("0123456789hjklgG"), action.id


def test_the_footer_ends_with_command_and_help() -> None:
    for view in ("mailboxes", "audit", "events", "detail"):
        assert [action.id for action in footer_for(view)][-2:] == ["palette", "help"]


@pytest.mark.parametrize(
    ("role", "readonly", "offline", "workspace", "word"),
    [
        ("operator", False, False, "acme", None),
        ("owner", False, False, "acme", None),
        ("viewer", False, False, "acme", "operator"),
        ("nobody", False, False, "acme", "operator"),
        ("operator", True, False, "acme", "read-only"),
        ("operator", False, True, "acme", "reached"),
        ("operator", False, False, None, "w enters"),
    ],
)
def test_a_refused_action_says_why(
    role: str, readonly: bool, offline: bool, workspace: str | None, word: str | None
) -> None:
    why = refusal(
        BY_ID["mailbox.pause"], role=role, readonly=readonly, offline=offline, workspace=workspace
    )
    assert why is None if word is None else word in (why or "")


def test_looking_is_never_refused() -> None:
    for action in ACTIONS:
        if action.danger is Danger.VIEW:
            assert refusal(action, role="", readonly=True, offline=True, workspace=None) is None


def test_registry_and_model_load_without_textual() -> None:
    code = (
        "import sys, mailplane_tui.actions, mailplane_tui.model, mailplane_tui.formats,"
        " mailplane_tui.explain, mailplane_tui.columns, mailplane_tui.feed, mailplane_tui.calls;"
        "sys.exit('textual' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
