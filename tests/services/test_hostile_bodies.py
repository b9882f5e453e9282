"""Small bodies that would cost much: each is refused before it does."""

from __future__ import annotations

import base64
import json
import tracemalloc
from typing import Any

import pytest

from mailplane_wire.problems import Problem
from mailplane_wire.submissions import Submission
from mailplaned.doors.http.replies import Refusal, invalid
from mailplaned.doors.http.submissions import ANSWERED_DEPTH, _bodies, metadata_fault
from mailplaned.doors.http.times import parse_time, show_time
from mailplaned.services import raw_messages
from mailplaned.services.addresses import parse_address
from mailplaned.services.compose import Draft, compose


def test_a_batch_that_is_too_long_is_refused_before_its_messages_are_made() -> None:
    content = b'{"messages":[' + b"{}," * 50_000 + b"{}]}"
    tracemalloc.start()
    try:
        with pytest.raises(Refusal, match="1 to 1000 messages"):
            _bodies(content)
        assert tracemalloc.get_traced_memory()[1] < 100 * len(content)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("number", ["1e400", "1" * 5_000])
def test_a_number_out_of_range_is_a_problem_of_its_message(number: str) -> None:
    bad = f'{{"to":["k@b.example"],"text":"x","metadata":{{"a":{number}}}}}'
    (alone,), _ = _bodies(bad.encode())
    assert isinstance(alone, Problem)
    good = '{"to":["k@b.example"],"text":"x"}'
    bodies, batch = _bodies(f'{{"messages":[{good},{bad}]}}'.encode())
    assert batch
    assert [type(body) for body in bodies] == [Submission, Problem]


def test_an_answer_names_the_first_faults_and_counts_the_others() -> None:
    refused = invalid(*((f"f{number}", "is not a field") for number in range(10_000))).problem
    assert len(refused.errors) == 100
    assert refused.detail.endswith("and 9900 more")


def test_addresses_of_a_raw_message_are_counted_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = 0

    def counting(text: str) -> Any:
        nonlocal read
        read += 1
        return parse(text)

    parse = parse_address
    monkeypatch.setattr(raw_messages, "parse_address", counting)
    to = ",\r\n ".join(f"k@b{number}.example" for number in range(5_000))
    message = f"From: ana@acme.example\r\nTo: {to}\r\nSubject: x\r\n\r\nhi\r\n"
    encoded = base64.b64encode(message.encode()).decode()
    (fault,) = compose(Draft(raw=encoded), token="abc", limit_bytes=1_000_000)  # type: ignore[misc]
    assert (fault.field, "more than 500" in fault.reason) == ("raw", True)
    assert read <= 500


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_metadata_is_no_deeper_than_can_be_shown(opening: str) -> None:
    closing = "]" if opening == "[" else "}"

    def nested(depth: int) -> dict[str, Any]:
        inner = opening * (depth - 1) + "1" + closing * (depth - 1)
        return {"campaign": json.loads(inner)}

    assert metadata_fault(nested(ANSWERED_DEPTH)) is None
    assert metadata_fault(nested(ANSWERED_DEPTH + 1)) is not None
    assert metadata_fault(nested(900)) is not None


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_cannot_be_shown_is_not_taken(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        parse_time(text)
    assert show_time(parse_time("9999-12-31T23:59:59Z"))
