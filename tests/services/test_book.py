"""The book: what loads, what is refused with which words, what is named as not acted on."""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.book.load import Loaded, load
from mailplaned.book.schema import WorkspaceFile
from mailplaned.book.shape import shaped
from mailplaned.book.source import Source
from mailplaned.domain.policy import Cap, Counts, Member, Pace, Policy, Ramp, Tls
from mailplaned.domain.windows import HOUR_US, SECOND_US, Kind, Per

EXAMPLE = Path(__file__).parent / "example-book"
ACME = "workspaces/acme.toml"

MINIMAL = """\
[workspace]
name = "beta"

[[account]]
name = "relay"
provider = "smtp"
host = "relay.example"

[[mailbox]]
address = "kim@beta.example"
account = "relay"
caps = [{ limit = 40, per = "day" }]
"""


def read(folder: Path, users: dict[str, int] | None = None, own_uid: int = 500) -> Loaded:
    return load(folder, own_uid=own_uid, uid_of=(users or {}).get)


def policy_of(folder: Path, users: dict[str, int] | None = None) -> Policy:
    loaded = read(folder, users)
    assert loaded.problems == ()
    assert loaded.policy is not None
    return loaded.policy


def book(folder: Path, **files: str) -> Path:
    (folder / "workspaces").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        place = "mailplane.toml" if name == "mailplane" else f"workspaces/{name}.toml"
        (folder / place).write_text(text)
    return folder


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "book"))


def test_the_example_book_loads_as_it_stands() -> None:
    policy = policy_of(EXAMPLE, {"ana": 1000, "bob": 1001})
    acme = policy.workspaces["acme"]
    ana = acme.mailboxes["ana@getacme.example"]
    assert policy.members == (
        Member(name="ana", uid=1000, role="owner"),
        Member(name="bob", uid=1001, role="viewer", workspaces=("acme",)),
    )
    assert acme.zone == ZoneInfo("Europe/Berlin")
    assert ana.caps == (
        Cap(limit=8, per=Per.HOUR),
        Cap(limit=50, per=Per.DAY),
        Cap(limit=250, per=Per.WEEK, kind=Kind.CALENDAR),
    )
    assert ana.shares == {"manual": 5}
    assert ana.ramp == Ramp(first_day=date(2026, 11, 2), start=10, step=5, every_days=2)
    assert ana.pace == Pace(min_gap_us=45 * SECOND_US, jitter_us=30 * SECOND_US)
    assert acme.accounts["acme-google"].caps[0].counts is Counts.RECIPIENTS
    assert not acme.accounts["acme-google"].supported
    assert acme.accounts["acme-relay"].supported
    assert acme.domains["getacme.example"].dkim_secret == "getacme-dkim"
    assert acme.paths["outreach"].tiers == (("ana@getacme.example",), ("ben@getacme.example",))
    assert not acme.paths["receipts"].next_tier
    assert acme.workloads["cold"].recipient_domain == Cap(limit=5, per=Per.HOUR)
    assert set(acme.workloads) == {"cold", "warmup", "transactional", "manual"}


@pytest.mark.parametrize(
    "part",
    [
        "mailplane.toml: [submission]",
        f'{ACME}: [[account]] acme-google: provider = "gmail"',
        f'{ACME}: [[account]] acme-ses: provider = "ses"',
        f"{ACME}: [[account]] acme-ses: feed",
        f"{ACME}: [workload.cold] consent",
        f"{ACME}: [workload.cold] content",
        f"{ACME}: [[rule]] hard-bounces",
        f"{ACME}: [[rule]] complaints",
        f"{ACME}: [[webhook]] crm",
        f"{ACME}: [[export]] warehouse",
        f"{ACME}: [retention] bodies",
        f"{ACME}: [retention] events",
    ],
)
def test_what_is_not_acted_on_is_named(part: str) -> None:
    assert f"{part} is read but not acted on by this version" in policy_of(EXAMPLE).notices


def test_a_mailbox_without_a_cap_of_its_own_is_named(tmp_path: Path) -> None:
    text = MINIMAL.replace('caps = [{ limit = 40, per = "day" }]\n', "")
    notices = policy_of(book(tmp_path, beta=text)).notices
    assert notices == ("workspaces/beta.toml: [[mailbox]] kim@beta.example has no cap of its own",)


@pytest.mark.parametrize(
    ("users", "members"),
    [
        ({"ana": 7, "bob": 8}, [("ana", 7), ("bob", 8)]),
        ({"ana": 7}, [("ana", 7)]),
        ({}, []),
        ({"bob": 8}, [("bob", 8), ("owner", 500)]),  # somebody has to be owner
    ],
)
def test_members_that_this_host_lacks_are_left_out_and_named(
    users: dict[str, int], members: list[tuple[str, int]]
) -> None:
    policy = policy_of(EXAMPLE, users)
    assert [(member.name, member.uid) for member in policy.members] == members
    absent = {"ana", "bob"} - set(users)
    said = [notice for notice in policy.notices if "no user of this host" in notice]
    assert len(said) == len(absent)


def test_resolvers_are_addresses_with_the_port_of_dns_unless_they_say_another(
    tmp_path: Path,
) -> None:
    given = ["9.9.9.9", "127.0.0.1:5353", "[::1]:53", "::1", "2620:fe::fe", "9.9.9.9:53"]
    found = policy_of(book(tmp_path, mailplane=f"[dns]\nresolvers = {given}")).settings.resolvers
    assert found == (("9.9.9.9", 53), ("127.0.0.1", 5353), ("::1", 53), ("2620:fe::fe", 53))


@pytest.mark.parametrize("make", ["nothing", "empty", "no workspaces"])
def test_a_missing_or_empty_folder_is_an_empty_book(tmp_path: Path, make: str) -> None:
    folder = tmp_path / "book"
    if make != "nothing":
        folder.mkdir()
    if make == "no workspaces":
        (folder / "mailplane.toml").write_text("")
    policy = policy_of(folder)
    assert (policy.members, policy.workspaces, policy.notices) == ((), {}, ())
    assert len(policy.hash) == 16


def test_the_hash_names_the_bytes_of_every_file(example: Path) -> None:
    first = policy_of(example).hash
    assert policy_of(EXAMPLE).hash == first
    (example / "workspaces" / ".#acme.toml").symlink_to("nowhere")  # an editor's lock
    assert policy_of(example).hash == first
    (example / ACME).write_text((example / ACME).read_text() + "\n")
    assert policy_of(example).hash != first


PROBLEMS = [
    # what is changed in the example, and the problem that it makes
    ('name = "acme"\n', 'nme = "acme"\n', "workspace.nme: unknown key; did you mean"),
    (
        '"Europe/Berlin"',
        '"Europe/Berln"',
        'line 6, column 12: workspace.timezone: no such time zone, "Eur',
    ),
    (
        '"Europe/Berlin"',
        '"../etc/passwd"',
        "line 6, column 12: workspace.timezone: no such time zone",
    ),
    ('on_cap = "schedule"', 'on_cap = "scedule"', 'did you mean "schedule"?'),
    (
        'expires_in = "3d"',
        'expires_in = "0s"',
        "line 10, column 14: workspace.expires_in: must be more",
    ),
    ('expires_in = "3d"', "expires_in = 3", "workspace.expires_in: must be a duration"),
    ("limit = 2_000", "limit = -1", "workspace.caps[0].limit: must be a whole number, 0 or more"),
    ("limit = 2_000", "limit = 1.5", "workspace.caps[0].limit: must be a whole number"),
    ("limit = 2_000", "limit = true", "workspace.caps[0].limit: must be a whole number"),
    ("limit = 2_000, ", "", 'workspace.caps[0]: "limit" is missing'),
    ('provider = "smtp"', 'provider = "smpt"', "account[acme-relay].provider: not one of its val"),
    ('host = "smtp.example.net"\n', "", 'account[acme-relay]: "host" is missing'),
    ("port = 587", "port = 70_000", "line 25, column 8: account[acme-relay].port: must be a port"),
    (
        'tls = "starttls"',
        'tls = "none"',
        "line 26, column 7: account[acme-relay].tls: mail and password",
    ),
    ('username = "acme"\n', "", "account[acme-relay]: username and secret go together"),
    ('"acme-relay-password"', '"hunter 2"', "secret: must be the name of a secret"),
    ('username = "acme"\n', "connections = 51\n", "must be a number of connections, 1 to 50"),
    ('name = "acme.example"', 'name = "getacme.example"', "domain[getacme.example].name: named t"),
    ('name = "acme.example"', 'name = "acme .example"', "must be a domain"),
    ('"receipts@acme.example"\nacc', '"ANA@getacme.example"\nacc', "address: named twice"),
    ('address = "ben@getacme.example"', 'address = "ben"', "mailbox[ben].address: has no @"),
    ('address = "ben@getacme.example"', 'address = "b@a@c.example"', "must be one plain address"),
    ('account = "acme-relay"', 'account = "acme-rely"', 'did you mean "acme-relay"?'),
    ('per = "hour" },', 'per = "houre" },', 'caps[0].per: not one of its values, "houre"; did y'),
    ('per = "hour" },', 'per = "day" },', "caps[1]: a second cap on the same window (day, rolli"),
    ("manual = 5 }", "manual = 51 }", "share: the shares exceed the day's cap of 50, 51"),
    ("manual = 5 }", "manul = 5 }", 'share.manul: unknown workload; did you mean "manual"?'),
    ("start = 10, step = 5", "table = [5, 4]", "ramp: both a table and steps"),
    (
        'start = 10, step = 5, every = "2d"',
        "table = [5, 4]",
        "line 59, column 37: mailbox[ana@getacme.example].ramp.table: a ramp never falls",
    ),
    ('start = 10, step = 5, every = "2d"', "table = []", "ramp.table: an empty table"),
    ("start = 10, step = 5", "start = 10", "ramp: start or step is missing"),
    ('every = "2d"', 'every = "36h"', "ramp.every: must be whole days"),
    ('every = "2d"', "until = 9", "ramp.until: lower than start"),
    ("from = 2026-11-02", 'from = "soon"', "ramp.from: must be a date"),
    (
        'min_gap = "45s"',
        'min_gap = "-45s"',
        "line 60, column 20: mailbox[ana@getacme.example].pace.min_gap",
    ),
    (
        '["ben@getacme.example"]]',
        '["bem@getacme.example"]]',
        "line 76, column 36: path[outreach].tiers: unkn",
    ),
    ('["ben@getacme.example"]]', '["ana@getacme.example"]]', "tiers: twice in this path"),
    ('["ben@getacme.example"]]', "[]]", "path[outreach].tiers: an empty tier"),
    ('paths = ["outreach"]', 'paths = ["outreech"]', 'unknown path, "outreech"; did you mean "ou'),
    ('consent = "required"', 'delivery = "at_least_once"', "cold mail is never sent at least on"),
    ("ratio = 0.05", "ration = 0.05", 'rule[hard-bounces].ration: unknown key; did you mean "ra'),
    ("[retention]", "[retention", "line 130, column 11: file: not TOML"),
    ("[retention]", "[workspace]", "file: not TOML, Cannot declare"),
    ("[retention]", "[retentoin]", 'retentoin: unknown key; did you mean "retention"?'),
]


@pytest.mark.parametrize(("old", "new", "expected"), PROBLEMS)
def test_a_mistake_is_told_by_file_key_and_reason(
    example: Path, old: str, new: str, expected: str
) -> None:
    text = (example / ACME).read_text()
    assert old in text
    (example / ACME).write_text(text.replace(old, new, 1))
    loaded = read(example)
    assert loaded.policy is None
    assert any(
        problem.startswith(f"{ACME}: ") and expected in problem for problem in loaded.problems
    ), loaded.problems


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'socket_mode = "0600"',
            'socket_mode = "0666"',
            "line 5, column 15: operator.socket_mode: not one",
        ),
        (
            'listen = "127.0.0.1:7525"',
            'listen = "7525"',
            "line 8, column 10: shim.listen: must be host:port",
        ),
        ('listen = "127.0.0.1:7525"', 'listen = "[::1]:70000"', "shim.listen: no such port"),
        (
            "resolvers = []",
            'resolvers = ["9.9.9.9", "dns.acme.example"]',
            "line 22, column 25: dns.resolvers[1]: must be an IP address",
        ),
        (
            "resolvers = []",
            'resolvers = ["9.9.9.999"]',
            "line 22, column 14: dns.resolvers: no IP address, or no such port",
        ),
        ("resolvers = []", 'resolvers = ["[::1]:0"]', "dns.resolvers: no IP address, or no such"),
        ("message_bytes = 26_214_400", "message_bytes = 9" + "9" * 5000, "too many digits"),
        ('unix_user = "ana"\n', "", "member[ana]: needs either unix_user or uid"),
        ('unix_user = "ana"\n', "uid = 8\n", 'member[bob]: the same Unix user as member "ana"'),
        ('role = "owner"', 'role = "root"', "member[ana].role: not one of its values"),
        (
            'workspaces = ["acme"]',
            'workspaces = ["acne"]',
            "line 37, column 15: member[bob].workspaces: ",
        ),
    ],
)
def test_a_mistake_in_the_daemons_file_is_told(
    example: Path, old: str, new: str, expected: str
) -> None:
    text = (example / "mailplane.toml").read_text()
    assert old in text
    (example / "mailplane.toml").write_text(text.replace(old, new, 1))
    problems = read(example, {"bob": 8}).problems
    assert any(expected in problem for problem in problems), problems


def test_every_problem_of_every_file_is_told_at_once(example: Path) -> None:
    text = (example / ACME).read_text()
    for old, new in (
        ('per = "hour" },', 'per = "houre" },'),
        ('account = "acme-relay"', 'account = "acme-rely"'),
        ('paths = ["receipts"]', 'paths = ["receits"]'),
    ):
        text = text.replace(old, new)
    (example / ACME).write_text(text)
    (example / "workspaces" / "b.toml").write_text("x = [")
    (example / "workspaces" / "c.toml").write_bytes(b"# \xff")
    (example / "mailplane.toml").write_text("[shimm]\n")
    problems = read(example).problems
    assert [problem.split(": ")[0] for problem in problems] == [
        "mailplane.toml", ACME, ACME, ACME, "workspaces/b.toml", "workspaces/c.toml",
    ]  # fmt: skip


def test_one_fault_is_told_once(example: Path) -> None:
    text = (example / ACME).read_text().replace('account = "acme-relay"\n', "")
    (example / ACME).write_text(text)
    (problem,) = read(example).problems
    assert problem == (
        f'{ACME}: line 62, column 3: mailbox[ben@getacme.example]: "account" is missing; '
        "add account = …"
    )


def test_a_value_that_may_be_a_secret_is_never_repeated(example: Path) -> None:
    text = (example / ACME).read_text().replace("acme-relay-password", "Tr0ub4dor & 3")
    (example / ACME).write_text(text.replace("port = 587", 'password = "correct horse"'))
    problems = read(example).problems
    assert len(problems) == 2
    assert not any("Tr0ub4dor" in problem or "horse" in problem for problem in problems)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("beta", "acme"), "workspaces/beta.toml: line 2, column 8: workspace.name: belongs to"),
        (("kim@beta.example", "ana@getacme.example"), "address: belongs to workspaces/acme.toml"),
        (("kim@beta.example", "new@ACME.example"), "address: belongs to workspaces/acme.toml"),
    ],
)
def test_what_one_workspace_has_no_other_may_have(
    example: Path, change: tuple[str, str], expected: str
) -> None:
    book(example, beta=MINIMAL.replace(*change))
    problems = read(example).problems
    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize(
    "name", ["a\\nBcc: x@y.example", "=?utf-8?q?=0ABcc:?=", "\\u001b", "x" * 256]
)
def test_a_mailbox_name_has_to_fit_its_from_header(tmp_path: Path, name: str) -> None:
    (problem,) = read(book(tmp_path, beta=f'{MINIMAL}name = "{name}"\n')).problems
    assert "mailbox[kim@beta.example].name: can't stand in From, since it" in problem


def test_a_domain_that_is_not_declared_is_added_without_caps(tmp_path: Path) -> None:
    text = MINIMAL.replace("kim@beta.example", "Kim@BETA.example")
    beta = policy_of(book(tmp_path, beta=text)).workspaces["beta"]
    assert list(beta.mailboxes) == ["Kim@beta.example"]
    assert beta.domains["beta.example"].caps == ()
    assert beta.title == "beta"


@pytest.mark.parametrize(
    ("pace", "gap_s"),
    [
        ("{ per_minute = 4 }", 15),
        ('{ min_gap = "45s", per_minute = 4 }', 45),
        ('{ min_gap = "5s", per_minute = 4 }', 15),
        ('{ min_gap = "2m" }', 120),
        ('{ jitter = "1h" }', 0),
    ],
)
def test_the_larger_gap_wins(tmp_path: Path, pace: str, gap_s: int) -> None:
    policy = policy_of(book(tmp_path, beta=f"{MINIMAL}pace = {pace}\n"))
    box = policy.mailbox("kim@beta.example")
    assert box is not None
    assert box.pace.min_gap_us == gap_s * SECOND_US
    assert box.pace.jitter_us == (HOUR_US if "jitter" in pace else 0)


@pytest.mark.parametrize(
    ("lines", "tls", "port"),
    [
        ("", Tls.STARTTLS, 587),
        ('tls = "implicit"', Tls.IMPLICIT, 465),
        ('tls = "none"\nport = 2525', Tls.NONE, 2525),
    ],
)
def test_a_relay_has_the_usual_port_of_its_encryption(
    tmp_path: Path, lines: str, tls: Tls, port: int
) -> None:
    text = MINIMAL.replace('host = "relay.example"', f'host = "127.0.0.1"\n{lines}')
    account = policy_of(book(tmp_path, beta=text)).workspaces["beta"].accounts["relay"]
    assert (account.tls, account.port) == (tls, port)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("big", "larger than"),
        ("deep", "nested too deeply"),
        ("folder", "no regular file"),
        ("gone", "can't be read"),
        ("pipe", "no regular file"),
        ("zeros", "a link out of the folder"),
        ("elsewhere", "a link out of the folder"),
        ("itself", "can't be read, Too many levels of symbolic links"),
        ("noise", "larger than"),
    ],
)
def test_a_hostile_file_is_a_problem_not_a_fault(tmp_path: Path, name: str, reason: str) -> None:
    folder = book(tmp_path / "book", deep="a = " + "[" * 5000, big="# " + "x" * 5_000_000)
    (folder / "workspaces" / "folder.toml").mkdir()
    (folder / "workspaces" / "gone.toml").symlink_to("nowhere")
    os.mkfifo(folder / "workspaces" / "pipe.toml")
    (folder / "workspaces" / "zeros.toml").symlink_to("/dev/zero")
    (folder / "workspaces" / "itself.toml").symlink_to("itself.toml")
    (tmp_path / "private.toml").write_text(MINIMAL)
    (folder / "workspaces" / "elsewhere.toml").symlink_to(tmp_path / "private.toml")
    with (folder / "workspaces" / "noise.toml").open("wb") as endless:
        endless.truncate(2**40)
    before = len(os.listdir("/proc/self/fd"))
    (found,) = [text for text in read(folder).problems if text.startswith(f"workspaces/{name}")]
    assert reason in found
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_within_the_folder_is_the_file_that_it_leads_to(tmp_path: Path) -> None:
    folder = book(tmp_path, acme=MINIMAL)
    path = folder / "workspaces/acme.toml"
    path.rename(folder / "acme-2026.toml")
    path.symlink_to("../acme-2026.toml")
    assert read(folder).problems == ()


@pytest.mark.parametrize(
    ("text", "told", "words"),
    [
        ("".join(f"k{n} = 1\n" for n in range(20_000)), 51, "more than 50 problems"),
        (MINIMAL + "[[mailbox]]\naddress = 1\n" * 20_000, 51, "more than 50 problems"),
        ("x" * 1_000_000 + " = 1\n" + MINIMAL, 1, "x…x: unknown key"),
        ("workspace.name" + ".a" * 500_000 + " = 1\n", 1, "a key of too many parts"),
        ("[a" + " . 'a'" * 500_000 + "]\n", 1, "a key of too many parts"),
        ("a = " + "9" * 3_000_000, 1, "a number of too many digits"),
        ("a = [0x" + "f" * 3_000_000 + "]", 1, "a number of too many digits"),
    ],
    ids=["keys", "mailboxes", "a long key", "dots", "dots in a header", "digits", "hex digits"],
)
def test_a_file_full_of_problems_is_answered_with_a_few(
    tmp_path: Path, text: str, told: int, words: str
) -> None:
    problems = read(book(tmp_path, beta=text)).problems
    assert len(problems) == told
    assert any(words in problem for problem in problems), problems[:3]
    assert all(len(problem) < 500 for problem in problems)


@pytest.mark.parametrize(
    "name", [b"\xff.toml", b"\x1b[2J.toml", b"a\nb.toml", b"\xe2\x80\xae.toml"]
)
def test_a_file_name_that_cannot_be_shown_is_a_problem(tmp_path: Path, name: bytes) -> None:
    folder = book(tmp_path)
    (folder / "workspaces" / os.fsdecode(name)).write_text(MINIMAL)
    (problem,) = read(folder).problems
    assert problem.isprintable()
    assert "rename it" in problem


def test_control_characters_are_not_repeated(tmp_path: Path) -> None:
    text = MINIMAL.replace('"relay"\np', '"re\\u001b]0;\\u202elay"\np')
    (problem, *_) = read(book(tmp_path, beta=text)).problems
    assert problem.isprintable()
    tail = '[[path]]\nname = "p"\ntiers = [["zoe.zoe@there.example"]]\n'
    other = '[[mailbox]]\naddress = "zoe\\u001bzoe@there.example"\naccount = "relay"\n'
    for problem in read(book(tmp_path, beta=MINIMAL + other + tail)).problems:
        assert problem.isprintable()
    member = '[[member]]\nname = "a"\nrole = "owner"\nunix_user = "a\\u001b[2J\\n"\n'
    (notice,) = policy_of(book(tmp_path / "other", mailplane=member)).notices
    assert notice.isprintable()


_values = st.recursive(
    st.none().map(lambda _: date(2026, 1, 1)) | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
_keys = st.sampled_from(["workspace", "name", "account", "mailbox", "caps", "share", "path", "x"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_keys, _values | st.dictionaries(_keys, _values), max_size=5))
def test_any_tree_is_either_typed_or_has_problems(tree: dict[str, object]) -> None:
    source = Source("x.toml", "", tree)
    assert shaped(source, WorkspaceFile) is not None or source.problems
