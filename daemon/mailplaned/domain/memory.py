"""The image of the tables that decisions are made on. One thread owns it; the tables rebuild it."""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable

from mailplaned.domain.bindings import Demand
from mailplaned.domain.chain import Chain
from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.governor import Governor
from mailplaned.domain.loading import Charge, Queue
from mailplaned.domain.policy import Mailbox, Policy, Workspace
from mailplaned.domain.records import Message, Pause, ScopeKind
from mailplaned.domain.windows import WEEK_US


class Memory:
    """Policy, governor, active pauses and counters of one daemon."""

    def __init__(self, policy: Policy, time: GovernedTime) -> None:
        self.policy = policy
        self.time = time
        self.governor = Governor(policy, time.frame)
        self._mailboxes = {
            mailbox.address: mailbox
            for workspace in policy.workspaces.values()
            for mailbox in workspace.mailboxes.values()
        }
        self.pauses: dict[tuple[ScopeKind, str], list[Pause]] = defaultdict(list)
        self.held: Counter[str] = Counter()
        """Messages in state `held`, by mailbox; they have no slot."""
        self.bounced: dict[str, array[int]] = defaultdict(lambda: array("q"))
        """When recipients bounced in the last week, by mailbox."""
        self.last_sent_us: dict[str, int] = {}
        self.last_reply: dict[str, str] = {}
        self.suppressions = 0
        """How many there are; none lets the hot path skip the look-up."""
        self.claiming = False
        """Whether attempts may begin: from when dispatch runs until it is told to stop."""
        self.stalled: tuple[int, str] = (0, "")
        """Until when no attempt could begin, and why: no daemon ran, say, or it could not write."""
        self.in_flight = 0
        """Attempts under way, everywhere."""
        self.rests: dict[str, tuple[int, int]] = {}
        """Until when a mailbox rests whose relay could not be reached, and for how long."""
        self.event_seq: Counter[str] = Counter()
        """The last event number of each workspace."""
        self.chain = Chain()
        """The end of the audit log."""
        self.orphans: set[str] = set()
        """Mailboxes that the policy does not have and messages still wait for."""
        self.waiting = 0
        """Messages that wait for a slot or are held, everywhere."""

    def mailbox(self, address: str) -> Mailbox | None:
        """The mailbox of that address, None when the book has none."""
        return self._mailboxes.get(address)

    def active_pauses(self, mailbox: Mailbox, path: str | None = None) -> list[Pause]:
        """Every pause that stops this mailbox, on this path if one is given; the widest first."""
        if not self.pauses:
            return []
        keys: list[tuple[ScopeKind, str]] = [
            ("everything", ""),
            ("workspace", mailbox.workspace),
            ("domain", mailbox.domain),
            ("mailbox", mailbox.address),
        ]
        if path is not None:
            keys.append(("path", f"{mailbox.workspace}/{path}"))
        return [pause for key in keys for pause in self.pauses.get(key, ())]

    def add_pause(self, pause: Pause) -> None:
        """A pause begins."""
        self.pauses[pause.kind, pause.name].append(pause)

    def drop_pause(self, pause: Pause) -> None:
        """A pause has been lifted."""
        key = (pause.kind, pause.name)
        left = [other for other in self.pauses[key] if other.id != pause.id]
        if left:
            self.pauses[key] = left
        else:
            del self.pauses[key]

    def mailboxes_in(self, kind: ScopeKind, name: str) -> list[Mailbox]:
        """The mailboxes that a pause of this scope stops; for a path those on any of its tiers."""
        return [
            mailbox
            for workspace in self.policy.workspaces.values()
            for mailbox in workspace.mailboxes.values()
            if kind == "everything"
            or (kind == "workspace" and workspace.name == name)
            or (kind == "domain" and mailbox.domain == name)
            or (kind == "mailbox" and mailbox.address == name)
            or (kind == "path" and _on_path(workspace, mailbox.address, name))
        ]

    def carry_on(self, before: Memory) -> None:
        """Take over from the memory before this one what no table tells."""
        self.claiming, self.stalled = before.claiming, before.stalled

    def load(self, charges: Iterable[Charge], queues: Iterable[Queue]) -> None:
        """Fill an empty ledger: what is charged, in the order of its end, and what waits."""
        now_us = self.time.anchor.governed_us
        self.in_flight, self.last_sent_us = self.governor.load_charges(charges, now_us)
        self.waiting, self.orphans = self.governor.load_waiting(queues)

    def wait(self, message: Message) -> None:
        """A message waits for its slot."""
        assert message.slot_us is not None
        if self.governor.knows(message.mailbox):
            self.governor.wait(message.demand, message.slot_us)
        self.waiting += 1

    def forget(self, message: Message) -> None:
        """A message no longer waits: it is sent, or has ended."""
        if message.slot_us is None:
            self.held[message.mailbox] -= 1
        elif self.governor.knows(message.mailbox):
            self.governor.forget(message.demand, message.slot_us)
        self.waiting -= 1

    def hold(self, message: Message) -> None:
        """A message is held."""
        self.held[message.mailbox] += 1
        self.waiting += 1

    def begin(self, demand: Demand, now_us: int) -> None:
        """An attempt begins: it is charged until `end` says otherwise."""
        self.governor.begin(demand, now_us)
        self.in_flight += 1

    def end(
        self, demand: Demand, now_us: int, *, account: str, charged: bool, unknown: bool
    ) -> None:
        """An attempt through that account has ended; its charge stays or is given back."""
        self.governor.end(demand, now_us, account=account, charged=charged, unknown=unknown)
        self.in_flight -= 1

    def note_bounce(self, mailbox: str, at_us: int) -> None:
        """A recipient bounced."""
        times = self.bounced[mailbox]
        insort(times, at_us)
        if times[0] < at_us - WEEK_US:
            del times[: bisect_right(times, at_us - WEEK_US)]


def _on_path(workspace: Workspace, address: str, name: str) -> bool:
    """Whether an address is on the path that is kept under `<workspace>/<path>`."""
    path = workspace.paths.get(name.removeprefix(f"{workspace.name}/"))
    return (
        path is not None
        and name == f"{workspace.name}/{path.name}"
        and any(address in tier for tier in path.tiers)
    )
