"""What providers let one mailbox send, as far as they say so: data, each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailplaned.domain.policy import Counts
from mailplaned.domain.windows import DAY_US, MINUTE_US


@dataclass(frozen=True, slots=True)
class Ceiling:
    """At most `limit` units of a mailbox in any span of that length."""

    limit: int
    counts: Counts
    span_us: int
    words: str


_GMAIL: Final = (
    # https://support.google.com/a/answer/166852
    Ceiling(2_000, Counts.MESSAGES, DAY_US, "2,000 messages in 24 hours"),
    Ceiling(10_000, Counts.RECIPIENTS, DAY_US, "10,000 recipients in 24 hours"),
)

_EXCHANGE: Final = (
    # Exchange Online limits, as https://its.sfsu.edu/guides/microsoftoffice365emaillimits has them.
    Ceiling(10_000, Counts.RECIPIENTS, DAY_US, "10,000 recipients in 24 hours"),
    # The same, as https://uwindsor.teamdynamix.com has them in article 15636.
    Ceiling(30, Counts.MESSAGES, MINUTE_US, "30 messages a minute"),
)

OF_PROVIDER: Final = {"gmail": _GMAIL, "graph": _EXCHANGE}

OF_HOST: Final = {"smtp.gmail.com": _GMAIL, "smtp.office365.com": _EXCHANGE}
"""The same providers, reached by SMTP."""
