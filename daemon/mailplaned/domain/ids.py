"""Ids: UUIDv7 (RFC 9562 §5.7), shown as a type prefix and 26 characters of Crockford base 32."""

from __future__ import annotations

from typing import NewType

Id = NewType("Id", bytes)
"""16 bytes, ordered by the time they were made."""

MESSAGE = "msg"
PAUSE = "pse"
SUPPRESSION = "sup"
TOKEN = "tok"  # noqa: S105 - a prefix

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {char: index for index, char in enumerate(_ALPHABET)}
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_LENGTH = 26

RANDOM_BITS = 74
"""How many random bits an id takes."""


def make_id(now_us: int, random_bits: int) -> Id:
    """An id for a moment and `RANDOM_BITS` random bits."""
    value = (now_us // 1000) << 80 | 0x7 << 76 | (random_bits >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | (random_bits & (1 << 62) - 1)
    return Id(value.to_bytes(16, "big"))


def show_id(prefix: str, id_: bytes) -> str:
    """The id as people and the API see it: `msg_01J…`."""
    value = int.from_bytes(id_, "big")
    pairs = [_PAIRS[value >> shift & 0x3FF] for shift in range(120, -1, -10)]
    return f"{prefix}_{''.join(pairs)}"


def parse_id(prefix: str, text: str) -> Id | None:
    """The id that `show_id` printed, None for anything else."""
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != _LENGTH:
        return None
    value = 0
    for char in tail.upper():
        digit = _VALUE.get(char)
        if digit is None:
            return None
        value = value << 5 | digit
    return Id(value.to_bytes(16, "big")) if value < 1 << 128 else None
