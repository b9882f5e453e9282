"""What a book may not say although each part of it is well formed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailplaned.book.load import Loaded, load

BOOK = """\
[workspace]
name = "beta"
[[account]]
name = "relay"
provider = "smtp"
host = "{host}"
[[account]]
name = "other"
provider = "{provider}"
host = "other.example"
[[mailbox]]
address = "kim@beta.example"
account = "relay"
caps = [{cap}]
{ramp}
[[mailbox]]
address = "lee@beta.example"
account = "other"
caps = [{{ limit = 5, per = "day" }}]
[[mailbox]]
address = "receipts@{domain}"
account = "{account}"
caps = [{{ limit = 5, per = "day" }}]
[[path]]
name = "outreach"
tiers = [["kim@beta.example"{more}]]
[[path]]
name = "receipts"
tiers = [["receipts@{domain}"]]
[workload.cold]
paths = ["outreach"]
[workload.transactional]
paths = {paths}
isolated = true
"""

GOOD = {
    "host": "relay.example", "provider": "smtp", "cap": '{ limit = 40, per = "day" }', "ramp": "",
    "domain": "gamma.example", "account": "other", "more": "", "paths": '["receipts"]',
}  # fmt: skip


def read(folder: Path, text: str, daemon: str = "") -> Loaded:
    (folder / "workspaces").mkdir()
    (folder / "workspaces" / "beta.toml").write_text(text)
    (folder / "mailplane.toml").write_text(daemon)
    return load(folder, own_uid=500, uid_of=lambda _: None)


def test_a_book_without_these_faults_loads_and_names_who_may_still_use_the_isolated_mailbox(
    tmp_path: Path,
) -> None:
    loaded = read(tmp_path, BOOK.format(**GOOD))
    assert loaded.problems == ()
    assert loaded.policy is not None
    (notice,) = loaded.policy.notices
    assert "workloads without paths (manual, warmup) may leave by its mailboxes" in notice


SHARED = 'workload.cold.paths: shares {} with the isolated workload "transactional"'


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"domain": "beta.example"}, SHARED.format("domain beta.example")),
        ({"account": "relay"}, SHARED.format("account relay")),
        ({"more": ', "receipts@gamma.example"'}, SHARED.format("account other")),
        ({"more": ', "lee@beta.example"'}, SHARED.format("account other")),
        ({"paths": "[]"}, "isolated without paths of its own"),
        ({"paths": '["outreach"]'}, SHARED.format("account relay")),
    ],
)
def test_what_an_isolated_workload_sends_by_is_on_no_other_path(
    tmp_path: Path, change: dict[str, str], expected: str
) -> None:
    (problem,) = read(tmp_path, BOOK.format(**GOOD | change)).problems
    assert expected in problem


CEILINGS = [
    ("smtp.gmail.com", 'limit = 2_000, per = "day"', None),
    ("smtp.gmail.com", 'limit = 2_001, per = "day"', "2,000 messages in 24 hours, 2001; lower"),
    ("smtp.gmail.com", 'limit = 2_001, per = "hour"', "2,000 messages in 24 hours"),
    ("smtp.gmail.com", 'limit = 14_000, per = "week"', None),
    ("smtp.gmail.com", 'limit = 14_001, per = "week"', "2,000 messages in 24 hours"),
    ("smtp.gmail.com", 'limit = 10_000, per = "day", counts = "recipients"', None),
    ("smtp.gmail.com", 'limit = 10_001, per = "day", counts = "recipients"', "10,000 recipients"),
    ("smtp.office365.com", 'limit = 1_800, per = "hour"', None),
    ("SMTP.office365.com", 'limit = 1_801, per = "hour"', "30 messages a minute"),
    ("smtp.office365.com", 'limit = 10_001, per = "day"', "10,000 recipients in 24 hours"),
    ("relay.example", 'limit = 1_000_000, per = "day"', None),
]


@pytest.mark.parametrize(("host", "cap", "expected"), CEILINGS)
def test_a_cap_is_not_above_its_providers_ceiling(
    tmp_path: Path, host: str, cap: str, expected: str | None
) -> None:
    text = BOOK.format(**GOOD | {"host": host, "cap": f"{{ {cap} }}"})
    problems = read(tmp_path, text).problems
    if expected is None:
        assert problems == ()
    else:
        (problem,) = problems
        assert "mailbox[kim@beta.example].caps[0].limit: above what the provider lets" in problem
        assert expected in problem


def test_a_cap_above_the_ceiling_on_purpose_is_a_notice_with_its_reason(tmp_path: Path) -> None:
    cap = '{ limit = 3_000, per = "day", override = "raised by contract" }'
    loaded = read(tmp_path, BOOK.format(**GOOD | {"host": "smtp.gmail.com", "cap": cap}))
    assert loaded.policy is not None
    assert any('override: "raised by contract"' in notice for notice in loaded.policy.notices)


@pytest.mark.parametrize(
    ("ramp", "ends"),
    [
        ("start = 10, step = 5", None),
        ("start = 10, step = 5, until = 40", None),
        ("start = 10, step = 5, until = 39", 39),
        ("start = 39, step = 0", 39),
        ("table = [10, 20, 30]", 30),
    ],
)
def test_a_ramp_that_never_reaches_its_cap_is_named(
    tmp_path: Path, ramp: str, ends: int | None
) -> None:
    text = BOOK.format(**GOOD | {"ramp": f"ramp = {{ from = 2026-11-02, {ramp} }}"})
    policy = read(tmp_path, text).policy
    assert policy is not None
    said = [notice for notice in policy.notices if "ramp" in notice]
    assert len(said) == (ends is not None)
    assert all(f"ends at {ends} and never reaches its cap of 40 a day" in one for one in said)


@pytest.mark.parametrize(
    "line",
    [
        "# -----BEGIN RSA PRIVATE KEY-----",
        'secret = "key-0123456789abcdef0123456789abcdef"',
        'username = "AKIAABCDEFGHIJKLMNOP"',
        'password = "hunter2 AKIAABCDEFGHIJKLMNOP"',
        "# relay: smtp://kim:hunter2@relay.example",
        "# mp_0123456789012345678901234567890123456789012",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["workspace", "daemon"])
def test_a_secret_in_clear_is_told_and_never_repeated(
    tmp_path: Path, line: str, where: str
) -> None:
    text = BOOK.format(**GOOD)
    if where == "workspace":
        text = text.replace('host = "relay.example"\n', f'host = "relay.example"\n{line}\n')
    problems = read(tmp_path, text, "" if where == "workspace" else line).problems
    assert any("file: what looks like a" in problem for problem in problems)
    for part in ("hunter2", "AKIA", "0123456789", "BEGIN"):
        assert not any(part in problem for problem in problems)


def test_a_password_key_is_refused_with_where_it_belongs(tmp_path: Path) -> None:
    text = BOOK.format(**GOOD).replace(
        'host = "relay.', 'smtp_password = "hunter2"\nhost = "relay.'
    )
    (problem,) = read(tmp_path, text).problems
    assert "account[relay].smtp_password: unknown key; a secret has no place here" in problem
    assert "hunter2" not in problem
