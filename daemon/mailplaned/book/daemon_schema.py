"""The types of `mailplane.toml`, one struct per table, made as those of `schema`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from mailplaned.book.schema import Table
from mailplaned.book.values import Bytes, Duration, Listen, Name, Positive, Resolver, Role, Uid


class OperatorTable(Table, frozen=True, kw_only=True):
    """The Unix socket of the people on this host; read at start only.

    socket_mode: its mode; `"0660"` lets the members of `group` in
    group: the Unix group that the socket belongs to, for `"0660"`
    """

    socket_mode: Literal["0600", "0660"] = "0600"
    group: str | None = None


class ShimTable(Table, frozen=True, kw_only=True):
    """HTTP for senders, meant for loopback.

    listen: where it listens; read at start only
    allowed_hosts: more values of the Host header, as a tunnel or a reverse proxy sends them
    """

    listen: Listen = "127.0.0.1:7525"
    allowed_hosts: list[str] = field(default_factory=list)


class VaultTable(Table, frozen=True, kw_only=True):
    """Where the key lies that seals the secrets.

    key: `"file"` for a file or a systemd credential, `"keyring"` for the desktop's keyring
    """

    key: Literal["file", "keyring"] = "file"


class SubmissionTable(Table, frozen=True, kw_only=True):
    """SMTP for senders; not acted on by this version.

    starttls: where it listens for connections that begin in clear and turn to TLS
    implicit_tls: where it listens for connections that are TLS from the start
    certificate: the file with the certificate chain, in PEM
    key: the file with the certificate's private key, in PEM
    """

    starttls: Listen | None = None
    implicit_tls: Listen | None = None
    certificate: str | None = None
    key: str | None = None


class EdgeTable(Table, frozen=True, kw_only=True):
    """Unsubscribe pages and inbound webhooks; not acted on by this version.

    listen: where they are served; nowhere without it
    public_url: the address at which the internet finds them
    """

    listen: Listen | None = None
    public_url: str | None = None


class DnsTable(Table, frozen=True, kw_only=True):
    """Whom `mailplane doctor` asks what DNS says of hosts and domains; mail goes by the host's DNS.

    resolvers: name servers that answer for all of DNS; those of the host when none is given
    """

    resolvers: list[Resolver] = field(default_factory=list)


class LimitsTable(Table, frozen=True, kw_only=True):
    """What the daemon takes in.

    message_bytes: the largest message
    waiting_messages: how many messages may wait before submissions are refused with 507
    """

    message_bytes: Bytes = 26_214_400
    waiting_messages: Positive = 2_000_000


class DispatchTable(Table, frozen=True, kw_only=True):
    """How long a message waits after a temporary refusal.

    retry: the wait after the first try, the second and so on; the last one repeats
    """

    retry: Annotated[
        list[Duration], Meta(min_length=1, max_length=50, description="one to fifty durations")
    ] = field(default_factory=lambda: ["1m", "5m", "15m", "30m", "1h", "2h", "4h"])


class MemberTable(Table, frozen=True, kw_only=True):
    """A person on this host. Without any, the user that runs the daemon is the owner.

    name: how the audit log names the person
    role: what the person may do
    unix_user: the person's Unix user by name; either this or `uid`
    uid: the person's Unix user by number
    workspaces: where the role holds; everywhere when none is given
    """

    name: Name
    role: Role
    unix_user: str | None = None
    uid: Uid | None = None
    workspaces: list[Name] = field(default_factory=list)


class DaemonFile(Table, frozen=True, kw_only=True):
    """The daemon's own settings and the people. All of it may be left out."""

    operator: OperatorTable = OperatorTable()
    shim: ShimTable = ShimTable()
    vault: VaultTable = VaultTable()
    submission: SubmissionTable | None = None
    edge: EdgeTable | None = None
    dns: DnsTable = DnsTable()
    limits: LimitsTable = LimitsTable()
    dispatch: DispatchTable = DispatchTable()
    member: list[MemberTable] = field(default_factory=list)
