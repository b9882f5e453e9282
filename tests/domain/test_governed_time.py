from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailplaned.domain.governed_time import TOLERANCE_US, Anchor, GovernedTime
from mailplaned.domain.windows import DAY_US, HOUR_US, SECOND_US

START_US = 1_772_323_200_000_000

readings = st.lists(
    st.tuples(st.integers(0, HOUR_US), st.integers(-3 * DAY_US, 3 * DAY_US)), max_size=40
)


@given(readings)
def test_governor_time_is_elapsed_time_whatever_the_wall_clock_is_set_to(
    readings: list[tuple[int, int]],
) -> None:
    time = GovernedTime(None, wall_us=START_US, boot_us=0, boot_id="one")
    boot_us, last_us = 0, START_US
    for passed_us, off_us in readings:
        boot_us += passed_us
        now_us = time.read(wall_us=START_US + boot_us + off_us, boot_us=boot_us)
        assert now_us == last_us + passed_us
        last_us = now_us


@given(readings, st.integers(0, DAY_US))
def test_a_restart_of_the_daemon_neither_repeats_nor_skips_time(
    readings: list[tuple[int, int]], down_us: int
) -> None:
    time = GovernedTime(None, wall_us=START_US, boot_us=0, boot_id="one")
    boot_us = 0
    for passed_us, off_us in readings:
        boot_us += passed_us
        time.read(wall_us=START_US + boot_us + off_us, boot_us=boot_us)
    last_us = time.anchor.governed_us
    later = GovernedTime(
        time.anchor, wall_us=START_US - DAY_US, boot_us=boot_us + down_us, boot_id="one"
    )
    assert later.anchor.governed_us == last_us + down_us


def test_a_leap_forward_is_disbelieved_and_told() -> None:
    time = GovernedTime(None, wall_us=START_US, boot_us=0, boot_id="one")
    now_us = time.read(wall_us=START_US + 3 * DAY_US, boot_us=SECOND_US)
    assert now_us == START_US + SECOND_US
    assert time.ahead_us == 3 * DAY_US - SECOND_US
    time.believe(START_US + 3 * DAY_US)
    assert time.ahead_us == 0
    assert time.read(wall_us=START_US + 3 * DAY_US, boot_us=SECOND_US) == START_US + 3 * DAY_US


def test_a_small_step_is_not_followed_and_told_to_nobody() -> None:
    time = GovernedTime(None, wall_us=START_US, boot_us=0, boot_id="one")
    assert time.read(wall_us=START_US + TOLERANCE_US, boot_us=SECOND_US) == START_US + SECOND_US
    assert time.ahead_us == 0


def test_the_frame_tells_how_far_the_wall_clock_is_apart() -> None:
    time = GovernedTime(None, wall_us=START_US, boot_us=0, boot_id="one")
    time.read(wall_us=START_US - HOUR_US, boot_us=0)
    assert time.frame.shift_us == -HOUR_US
    time.read(wall_us=START_US + SECOND_US // 2, boot_us=0)
    assert time.frame.shift_us == 0


def test_believing_a_clock_that_was_set_back_changes_nothing() -> None:
    time = GovernedTime(None, wall_us=START_US, boot_us=0, boot_id="one")
    time.believe(START_US - HOUR_US)
    assert time.anchor.governed_us == START_US


def test_after_a_restart_of_the_host_the_wall_clock_counts_but_never_backwards() -> None:
    anchor = Anchor(governed_us=START_US, boot_us=500 * DAY_US, boot_id="one")
    later = GovernedTime(anchor, wall_us=START_US + HOUR_US, boot_us=0, boot_id="two")
    assert later.anchor.governed_us == START_US + HOUR_US
    earlier = GovernedTime(anchor, wall_us=START_US - HOUR_US, boot_us=0, boot_id="two")
    assert earlier.anchor.governed_us == START_US
