from __future__ import annotations

import pytest

from mailplaned.domain.roles import PERMISSIONS, Action, Caller, Role

TABLE = """
                               owner admin operator auditor viewer sender
submit                           x     x      x       .       .      x
read                             x     x      x       x       x      x
read the audit log               x     x      x       x       .      .
cancel                           x     x      x       .       .      x
resolve                          x     x      x       .       .      .
pause                            x     x      x       .       .      .
resume                           x     x      x       .       .      .
suppress                         x     x      x       .       .      .
lift a suppression               x     x      .       .       .      .
manage tokens                    x     x      .       .       .      .
manage secrets                   x     x      .       .       .      .
change the book                  x     x      .       .       .      .
make a backup                    x     .      .       .       .      .
confirm the clock                x     .      .       .       .      .
redact the audit log             x     .      .       .       .      .
change people and settings       x     .      .       .       .      .
"""

_HEAD, *_ROWS = TABLE.strip("\n").splitlines()
CELLS = [
    (role, row[:30].strip(), mark == "x")
    for row in _ROWS
    for role, mark in zip(_HEAD.split(), row[30:].split(), strict=True)
]


@pytest.mark.parametrize(("role", "action", "allowed"), CELLS)
def test_each_cell_of_the_permission_table(role: str, action: str, allowed: bool) -> None:
    caller = Caller(name="x", role=Role(role), workspaces=frozenset(["acme"]))
    assert caller.may(Action(action), "acme") is allowed


def test_the_table_has_every_role_and_action() -> None:
    assert {(Role(role), Action(action)) for role, action, _ in CELLS} == {
        (role, action) for role in Role for action in Action
    }
    assert set(PERMISSIONS) == set(Role)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_outside_ones_workspaces_nothing_is_allowed(role: Role, action: Action) -> None:
    caller = Caller(name="x", role=role, workspaces=frozenset(["acme"]))
    assert not caller.may(action, "bolt")
    assert not caller.may(action)
    assert not caller.sees("bolt")


@pytest.mark.parametrize("role", Role)
def test_no_workspaces_named_means_all_of_them(role: Role) -> None:
    caller = Caller(name="x", role=role)
    assert caller.sees("bolt")
    assert {a for a in Action if caller.may(a, "bolt")} == PERMISSIONS[role]
