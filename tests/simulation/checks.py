"""What must be true of a run, judged from the provider's journal and the world's own notes."""

from __future__ import annotations

from collections import Counter

from mailplaned.domain import ids
from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.message import FINAL
from mailplaned.domain.policy import Delivery
from mailplaned.services.recovery import rebuild
from mailplaned.store.rows import Scopes
from mailplaned.store.transaction import SqlTransaction
from tests.simulation.check_caps import check_caps
from tests.simulation.check_slots import check_slots
from tests.simulation.operators import Operators
from tests.simulation.senders import Senders
from tests.simulation.world import World


def check_all(world: World, senders: Senders, operators: Operators) -> None:
    """Every promise at the end of a run; what is broken is added to the world's problems."""
    check_caps(world)
    check_promises(world)
    check_ends(world, senders)
    check_copies(world)
    check_logs(world)
    check_audit(world, operators)
    check_slots(world, senders)
    check_ledger(world)


def check_promises(world: World) -> None:
    """Nothing begins after an acknowledged pause, suppression or cancel of it."""
    for handed in world.provider.journal:
        for promise in world.promises:
            if promise.from_us < handed.begun_us < promise.until_us and promise.matches(handed):
                world.wrong(
                    f"{handed.message} from {handed.mailbox} to {handed.recipients} began at "
                    f"{handed.begun_us}, after the {promise.what} at {promise.from_us}"
                )


def check_ends(world: World, senders: Senders) -> None:
    """Every acknowledged message is there and has one final state, as have its recipients."""
    states = dict(world.database.execute("SELECT id, state FROM messages").fetchall())
    final = {state.value for state in FINAL}
    for shown in senders.sent:
        state = states.get(ids.parse_id(ids.MESSAGE, shown))
        if state not in final:
            world.wrong(f"{shown} was acknowledged and is {state} at the end")
    for message, address, state in world.database.execute(
        "SELECT message_id, address, state FROM recipients"
    ):
        if state not in final:
            shown = ids.show_id(ids.MESSAGE, message)
            world.wrong(f"{address} of {shown} is {state} at the end")


def check_copies(world: World) -> None:
    """Nobody gets two copies unless the workload asked for that; what is accepted was taken."""
    copies: Counter[tuple[str, str]] = Counter()
    for handed in world.provider.journal:
        copies.update((handed.message, address) for address in handed.taken)
    for message, workload, workspace, address, state in world.database.execute(
        "SELECT m.id, m.workload, w.name, r.address, r.state FROM recipients r "
        "JOIN messages m ON m.id = r.message_id JOIN scopes w ON w.id = m.workspace_id"
    ):
        shown = ids.show_id(ids.MESSAGE, message)
        rules = world.policy.workspaces[workspace].workloads.get(workload)
        got = copies[shown, address]
        if state == "accepted" and not got and shown not in world.judged:
            world.wrong(f"{address} of {shown} is accepted, but the provider never took it")
        if rules is not None and rules.delivery is Delivery.AT_LEAST_ONCE:
            continue
        if got > 1:
            world.wrong(f"{address} got {got} copies of {shown}")
        if got and state != "accepted":
            world.wrong(f"{address} got {shown}, which says it is {state}")


def check_logs(world: World) -> None:
    """Events are gapless in each workspace, and every attempt has its charge accounted."""
    for name, count, first, last in world.database.execute(
        "SELECT s.name, count(*), min(seq), max(seq) FROM events e "
        "JOIN scopes s ON s.id = e.workspace_id GROUP BY s.name"
    ):
        if (first, last) != (1, count):
            world.wrong(f"events of {name} have gaps: {count} rows, {first} to {last}")
    (under_way,) = world.database.execute(
        "SELECT count(*) FROM attempts WHERE ended_at IS NULL"
    ).fetchone()
    if under_way:
        world.wrong(f"{under_way} attempts never ended")


def check_audit(world: World, operators: Operators) -> None:
    """Every acknowledged act has its audit entry, and what the tables show was audited once."""
    rows = dict(world.database.execute("SELECT action, count(*) FROM audit GROUP BY action"))
    for action, acknowledged in operators.acknowledged.items():
        if rows.get(action, 0) < acknowledged:
            world.wrong(f"{acknowledged} times {action}, {rows.get(action, 0)} audit entries")
    for action, query in (
        ("pause", "SELECT count(*) FROM pauses"),
        ("resume", "SELECT count(*) FROM pauses WHERE lifted_at IS NOT NULL"),
        ("suppress", "SELECT count(*) FROM suppressions"),
    ):
        (done,) = world.database.execute(query).fetchone()
        if rows.get(action, 0) != done:
            world.wrong(f"{done} times {action} in the tables, {rows.get(action, 0)} audit entries")
    targets = world.database.execute(
        "SELECT target, count(*) FROM audit WHERE action = 'cancel' GROUP BY target"
    )
    for target, count in targets:
        if count != 1:
            world.wrong(f"{target} has {count} audit entries for one cancel")


def check_ledger(world: World) -> None:
    """The ledger in memory is what the tables say."""
    life = world.life
    if life is None or not life.ready:
        return
    memory = life.core.store._memory
    assert memory is not None
    tx = SqlTransaction(world.database, Scopes(world.database), memory, 0, world.random)
    time = GovernedTime(tx.anchor(), wall_us=0, boot_us=world.clock.boot_us(), boot_id="none")
    truth = rebuild(tx, memory.policy, time)
    for difference in memory.governor.differences(truth.governor, world.clock.true_us):
        world.wrong(f"ledger: {difference}")
    for name, left, right in (
        ("waiting", memory.waiting, truth.waiting),
        ("held", +memory.held, +truth.held),
        ("in flight", memory.in_flight, truth.in_flight),
        ("event numbers", memory.event_seq, truth.event_seq),
        ("suppressions", memory.suppressions, truth.suppressions),
    ):
        if left != right:
            world.wrong(f"memory: {name} {left}, tables {right}")
