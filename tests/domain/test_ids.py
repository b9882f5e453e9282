from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailplaned.domain.ids import MESSAGE, PAUSE, RANDOM_BITS, make_id, parse_id, show_id

moments = st.integers(0, 2**48 * 1000 - 1)
noise = st.integers(0, 2**RANDOM_BITS - 1)


@given(moments, noise)
def test_an_id_is_a_uuid_of_version_7_that_survives_being_shown(now_us: int, bits: int) -> None:
    id_ = make_id(now_us, bits)
    assert len(id_) == 16
    assert id_[6] >> 4 == 7
    assert id_[8] >> 6 == 0b10
    assert int.from_bytes(id_[:6], "big") == now_us // 1000
    assert parse_id(MESSAGE, show_id(MESSAGE, id_)) == id_
    assert parse_id(MESSAGE, show_id(MESSAGE, id_).lower().replace("msg", "msg")) == id_


@given(moments, moments, noise, noise)
def test_ids_and_what_is_shown_of_them_sort_by_time(a: int, b: int, x: int, y: int) -> None:
    if a // 1000 < b // 1000:
        assert make_id(a, x) < make_id(b, y)
        assert show_id(MESSAGE, make_id(a, x)) < show_id(MESSAGE, make_id(b, y))


@given(moments, noise, noise)
def test_other_bits_make_another_id(now_us: int, x: int, y: int) -> None:
    assert (make_id(now_us, x) == make_id(now_us, y)) == (x == y)


@given(st.text(max_size=40))
def test_what_is_not_an_id_is_none(text: str) -> None:
    parsed = parse_id(MESSAGE, text)
    assert parsed is None or show_id(MESSAGE, parsed) == "msg_" + text.partition("_")[2].upper()


def test_an_id_of_another_type_is_none() -> None:
    shown = show_id(MESSAGE, make_id(0, 0))
    assert parse_id(PAUSE, shown) is None
    assert parse_id(MESSAGE, "msg_" + "Z" * 26) is None
    assert parse_id(MESSAGE, "msg_" + "U" * 26) is None
