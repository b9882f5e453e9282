"""Who the demo writes to, and what about. Every address is at a name that no one can register."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

from mailplane_tui.demo.sink import DROPPED, REFUSED

FIRST: Final = (
    *("ada", "ali", "bea", "carl", "dina", "emma", "finn", "gina", "hugo", "ines"),
    *("jana", "kim", "lena", "max", "nora", "omar", "pia", "rui", "sara", "tom"),
)
LAST: Final = (
    *("adler", "bauer", "costa", "diaz", "engel", "frank", "garcia", "hansen", "ito"),
    *("jansen", "khan", "lopez", "mori", "novak", "okafor", "park", "rossi", "sato"),
)
COMPANIES: Final = (
    *("fennel", "tarragon", "marjoram", "sorrel", "chervil", "lovage", "caraway"),
    *("juniper", "saffron", "sumac", "nigella", "mace", "anise", "borage"),
)

OPTED_OUT: Final = "@optout.example"
"""A domain that is suppressed in every workspace."""

_REFUSED_EACH: Final = 37
_DROPPED_EACH: Final = 73
_OPTED_OUT_EACH: Final = 61
"""One recipient in so many …"""

_COLD = ("A question about {company}", "Idea for {company}", "{name}, two minutes?",
         "Re: your {company} opening")  # fmt: skip
_RECEIPT = ("Your receipt {number}", "Order {number} has shipped", "Reset your password",
            "Invoice {number}")  # fmt: skip


@dataclass(slots=True)
class People:
    """An endless row of recipients, no two of them alike."""

    random: random.Random
    number: int

    def next(self) -> tuple[str, str, str]:
        """A recipient, and the first name and company. Few don't exist; fewer are not answered."""
        self.number += 1
        name, company = self.random.choice(FIRST), self.random.choice(COMPANIES)
        kind = ""
        if self.number % _REFUSED_EACH == 0:
            kind = REFUSED
        elif self.number % _DROPPED_EACH == 0:
            kind = DROPPED
        domain = f"@{company}.example" if self.number % _OPTED_OUT_EACH else OPTED_OUT
        address = f"{kind}{name}.{self.random.choice(LAST)}.{self.number}{domain}"
        return address, name.title(), company.title()


def cold(people: People, run: str, *, copies: bool = False) -> dict[str, Any]:
    """A first letter of a sequence; now and then with a second reader."""
    address, name, company = people.next()
    body: dict[str, Any] = {
        "workload": "cold",
        "to": [f"{name} <{address}>"],
        "subject": people.random.choice(_COLD).format(name=name, company=company),
        "text": f"Hello {name},\n\nhow does {company} keep its sending limits?\n",
        "idempotency_key": f"{run}-{people.number}",
        "metadata": {"campaign": "autumn"},
    }
    if copies and people.random.random() < 0.2:
        body["cc"] = [people.next()[0]]
    return body


def receipt(people: People, run: str) -> dict[str, Any]:
    """What a shop sends."""
    address, name, _ = people.next()
    number = f"{people.random.randrange(10_000, 99_999)}"
    return {
        "workload": "transactional",
        "to": [f"{name} <{address}>"],
        "subject": people.random.choice(_RECEIPT).format(number=number),
        "text": f"Hello {name},\n\nthank you. This is about {number}.\n",
        "html": f"<p>Hello {name},</p><p>thank you. This is about <b>{number}</b>.</p>",
        "idempotency_key": f"{run}-{people.number}",
    }
