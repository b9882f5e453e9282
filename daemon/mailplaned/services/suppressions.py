"""Recipients that may not be mailed. What is acknowledged here stops every later attempt."""

from __future__ import annotations

from mailplaned.domain.ids import RANDOM_BITS, SUPPRESSION, Id, make_id, show_id
from mailplaned.domain.records import AuditEntry, Suppression
from mailplaned.ports import Random, Transaction
from mailplaned.services.addresses import suppression_key


def suppress(
    tx: Transaction,
    *,
    address: str,
    workspace: str | None,
    origin: str,
    ground: str,
    actor: str,
    random: Random,
) -> tuple[Suppression, list[Id]]:
    """The suppression, and the messages to that recipient that are on the wire already.

    `address` is a canonical address or `@domain`. Suppressing twice changes nothing.
    """
    key = suppression_key(address)
    made = Suppression(
        id=make_id(tx.now_us, random.bits(RANDOM_BITS)),
        address=key,
        workspace=workspace,
        origin=origin,
        ground=ground,
        actor=actor,
        created_us=tx.now_us,
    )
    if not tx.add_suppression(made):
        made = next(
            (s for s in tx.suppressed(workspace or "", [key]) if s.workspace == workspace), made
        )
        return made, tx.sending_to(workspace, key)
    tx.memory.suppressions += 1
    tx.add_audit(
        AuditEntry(
            at_us=tx.now_us,
            actor=actor,
            action="suppress",
            workspace=workspace,
            target=show_id(SUPPRESSION, made.id),
            detail={"origin": origin, "ground": ground},
        )
    )
    return made, tx.sending_to(workspace, key)


def unsuppress(tx: Transaction, found: Suppression, *, actor: str, reason: str) -> None:
    """Lift a suppression."""
    tx.remove_suppression(found.id)
    tx.memory.suppressions -= 1
    tx.add_audit(
        AuditEntry(
            at_us=tx.now_us,
            actor=actor,
            action="unsuppress",
            workspace=found.workspace,
            target=show_id(SUPPRESSION, found.id),
            detail={"reason": reason},
        )
    )
