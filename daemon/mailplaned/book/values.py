"""The values that the book's tables hold.

A constrained value carries its own words: the `description` of its `Meta` completes the sentence
"must be …" in a problem. What a key means stands in the docstring of its table.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*"
_END = r"$(?!\n)"  # `$` alone also matches in front of a final line feed

Name = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z0-9][a-z0-9_-]{{0,62}}{_END}",
        description="a name of small letters, digits, - and _",
    ),
]
SecretName = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z0-9][a-z0-9._-]{{0,99}}{_END}",
        description="the name of a secret (small letters, digits, . - _), never its value",
    ),
]
Duration = Annotated[
    str,
    Meta(
        pattern=rf"^[0-9]{{1,5}}[smhdw]{_END}",
        description='a duration such as "45s", "30m", "12h", "3d", "2w"',
    ),
]
Keeping = Annotated[
    str,
    Meta(
        pattern=rf"^[1-9][0-9]{{0,3}}[dwy]{_END}",
        description='how long to keep it, such as "30d", "8w", "7y"',
    ),
]
Address = Annotated[str, Meta(max_length=320, description="a mail address")]
"""Its form is judged by `mailplaned.services.addresses`, as that of every other address."""
DomainName = Annotated[
    str,
    Meta(
        pattern=rf"^{_DOMAIN}{_END}", description="a domain such as acme.example, or its xn-- form"
    ),
]
Host = Annotated[
    str,
    Meta(pattern=rf"^[A-Za-z0-9._:-]{{1,253}}{_END}", description="a host name or an IP address"),
]
Listen = Annotated[
    str,
    Meta(
        pattern=rf"^(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{{1,5}}{_END}",
        description='host:port, such as "127.0.0.1:7525"',
    ),
]
Resolver = Annotated[
    str,
    Meta(
        pattern=rf"^(?:(?:\[[0-9A-Fa-f:.]+\]|[0-9.]+)(?::[0-9]{{1,5}})?|[0-9A-Fa-f:.]+){_END}",
        description='an IP address, such as "9.9.9.9", "127.0.0.1:5353", "[::1]:53"',
    ),
]
Reason = Annotated[str, Meta(min_length=1, max_length=500, description="a reason in words")]
Selector = Annotated[
    str, Meta(pattern=rf"^{_LABEL}(?:\.{_LABEL})*{_END}", description="a DKIM selector such as mp1")
]
Colour = Annotated[
    str, Meta(pattern=rf"^#[0-9a-fA-F]{{6}}{_END}", description='a colour such as "#3b82f6"')
]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000, description="a whole number, 0 or more")]
Positive = Annotated[int, Meta(ge=1, le=1_000_000_000, description="a whole number, 1 or more")]
Port = Annotated[int, Meta(ge=1, le=65535, description="a port, 1 to 65535")]
Connections = Annotated[int, Meta(ge=1, le=50, description="a number of connections, 1 to 50")]
Uid = Annotated[int, Meta(ge=0, le=2**32 - 2, description="the number of a Unix user")]
Bytes = Annotated[int, Meta(ge=1024, le=2**30, description="a number of bytes, from 1024 to 1 GiB")]

Provider = Literal["smtp", "gmail", "graph", "ses", "mailgun"]
Role = Literal["owner", "admin", "operator", "auditor", "viewer"]
