"""The judge judged: a message that expired has ended, unless it had room left."""

from __future__ import annotations

from tests.chaos.host import host
from tests.chaos.tally import ENDS, expired_early
from tests.fakes.process_daemon import to, workspace
from tests.fakes.process_wait import until
from tests.fakes.sink_process import sink

ANA, BEN = "ana@acme.example", "ben@acme.example"


def test_a_message_that_expired_is_lost_only_if_it_still_had_room() -> None:
    with host() as made, sink(made.log_path.parent / "sink") as the_sink:

        def book(per: str) -> str:
            caps = f"caps = [{{ limit = 2, per = '{per}' }}]"
            return workspace(the_sink.port, f"{ANA}; {caps}", BEN)

        made.write("workspaces/acme.toml", book("hour"))
        made.start()
        ids = [made.door.send(to("kim@there.example", expires_in="90m"))["id"] for _ in range(3)]
        made.write("workspaces/acme.toml", book("day"))  # the third would go tomorrow now
        until(lambda: made.door.message(ids[2])["state"] == "expired", "its end", 20)
        ended = made.door.message(ids[2])
        assert ended["state"] in ENDS
        assert expired_early(made, [ended]) == []
        assert expired_early(made, [ended, {**ended, "mailbox": BEN}]) == [ids[2]]
