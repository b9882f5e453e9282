"""Those who rule: people who pause, resume, suppress, cancel, resolve and edit the book."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mailplaned.core import Core
from mailplaned.domain.ids import MESSAGE, Id, parse_id, show_id
from mailplaned.domain.message import State
from mailplaned.domain.policy import Mailbox, Policy, Workspace
from mailplaned.domain.records import Message, Pause, ScopeKind
from mailplaned.domain.windows import HOUR_US
from mailplaned.ports import MessageFilter, Transaction
from mailplaned.services.book import Adoption, put_in_force
from mailplaned.services.messages import NotDone, cancel, resolve
from mailplaned.services.pauses import NotLifted, lift_all, pause
from mailplaned.services.suppressions import suppress
from tests.fakes.transports_scripted import Handed
from tests.simulation.books import edited
from tests.simulation.senders import DOMAINS, PEOPLE, Senders, a_while
from tests.simulation.world import Promise, World


class Operators:
    """Acts at random times; each acknowledged act becomes a promise, and one audit entry."""

    def __init__(self, world: World, senders: Senders, every_s: float) -> None:
        self._world = world
        self._senders = senders
        self._every_s = every_s
        self._edits = 0
        self._away: dict[str, Mailbox] = {}
        self._paused: set[tuple[ScopeKind, str]] = set()
        self.acknowledged: dict[str, int] = {}
        """How many acts of each kind were acknowledged; there may be more that were not."""
        self.active = True

    def start(self) -> None:
        self._again(self._act, self._every_s)
        self._again(self.settle_unknown, 3600)

    def _again(self, act: Callable[[], None], every_s: float) -> None:
        def go() -> None:
            act()
            self._again(act, every_s)

        self._world.after(self._world.rng.expovariate(1 / every_s), go)

    def _act(self) -> None:
        if not self.active:
            self._lift_something()
            return
        acts = [self._pause, self._pause, self._lift_something, self._lift_something]
        acts += [self._suppress, self._cancel, self._cancel, self._edit]
        self._world.rng.choice(acts)()

    # --- pauses -----------------------------------------------------------------------------------

    def _pause(self) -> None:
        kind, name, workspace = self._scope()
        until = self._world.rng.choice([None, HOUR_US, 5 * HOUR_US])
        self.pause(kind, name, workspace, until, a_while(self._world))

    def pause(
        self, kind: ScopeKind, name: str, workspace: str | None, until: int | None, lift_s: float
    ) -> None:
        """Pause for `until` microseconds at most, and lift it after so many seconds."""
        world = self._world

        def change(tx: Transaction) -> Pause:
            return pause(
                tx,
                kind=kind,
                name=name,
                workspace=workspace,
                reason="a test",
                actor="op",
                until_us=None if until is None else tx.now_us + until,
                random=world.random,
            )

        def answered(made: Pause | None) -> None:
            if made is None:
                return
            self._count("pause")
            world.note("pause", kind, name)
            world.promises.append(
                Promise(
                    f"pause of {kind} {name}",
                    lambda handed: self._in_scope(handed, kind, name),
                    made.created_us,
                    made.id,
                    made.until_us or 2**62,
                )
            )
            world.after(lift_s, self.resume, kind, name)

        world.write(change, answered)

    def _scope(self) -> tuple[ScopeKind, str, str | None]:
        rng = self._world.rng
        workspace: Workspace = rng.choice(list(self._world.policy.workspaces.values()))
        kind: ScopeKind = rng.choice(
            ["mailbox", "mailbox", "mailbox", "domain", "path", "workspace", "everything"]
        )
        match kind:
            case "mailbox":
                return kind, rng.choice(list(workspace.mailboxes)), workspace.name
            case "domain":
                return kind, rng.choice(list(workspace.domains)), workspace.name
            case "path":
                return kind, f"{workspace.name}/main", workspace.name
            case "workspace":
                return kind, workspace.name, workspace.name
            case _:
                return "everything", "", None

    def _in_scope(self, handed: Handed, kind: ScopeKind, name: str) -> bool:
        match kind:
            case "mailbox":
                return handed.mailbox == name
            case "domain":
                return handed.mailbox.partition("@")[2] == name
            case "workspace":
                return handed.workspace == name
            case "path":
                sent = self._senders.sent.get(handed.message)
                return sent is not None and (
                    sent.answer.path is not None
                    and f"{handed.workspace}/{sent.answer.path}" == name
                )
            case _:
                return True

    def _lift_something(self) -> None:
        found = self._world.database.execute(
            "SELECT s.kind, s.name FROM pauses p JOIN scopes s ON s.id = p.scope_id "
            "WHERE p.lifted_at IS NULL ORDER BY p.id"
        ).fetchall()
        if found and not self._world.database.in_transaction:
            self.resume(*self._world.rng.choice(found))

    def resume(self, kind: ScopeKind, name: str) -> None:
        """Lift every pause of a scope."""
        world = self._world
        asked_us = world.clock.true_us

        async def ask(core: Core) -> list[Pause] | NotLifted:
            return await core.store.write(
                lambda tx: lift_all(tx, kind, name, actor="op", reason="over", acknowledge=True)
            )

        def answered(lifted: list[Pause] | NotLifted | None) -> None:
            if isinstance(lifted, list):
                self._count("resume", len(lifted))
                world.note("resume", kind, name)

        # From the moment it is asked for, it may happen, whether or not the answer arrives.
        world.promises = [
            Promise(p.what, p.matches, p.from_us, p.key, min(p.until_us, asked_us))
            if p.what == f"pause of {kind} {name}"
            else p
            for p in world.promises
        ]
        world.call(ask, answered)

    # --- recipients and messages ------------------------------------------------------------------

    def _suppress(self) -> None:
        rng = self._world.rng
        person = f"p{rng.randrange(PEOPLE)}@{rng.choice(DOMAINS)}"
        address = person if rng.random() < 0.97 else person[person.index("@") :]
        self.suppress(address, rng.choice([None, *self._world.policy.workspaces]))

    def suppress(self, address: str, workspace: str | None) -> None:
        """Suppress a person or a domain, in a workspace or in all."""
        world = self._world

        def change(tx: Transaction) -> tuple[int, bool]:
            before = tx.memory.suppressions
            suppress(
                tx,
                address=address,
                workspace=workspace,
                origin="person",
                ground="asked",
                actor="op",
                random=world.random,
            )
            return tx.now_us, tx.memory.suppressions > before

        def answered(done: tuple[int, bool] | None) -> None:
            if done is None:
                return
            self._count("suppress", int(done[1]))
            world.note("suppress", address, workspace)
            world.promises.append(
                Promise(
                    f"suppression of {address} in {workspace}",
                    lambda handed: self._is_suppressed(handed, address, workspace),
                    done[0],
                )
            )

        world.write(change, answered)

    def _is_suppressed(self, handed: Handed, address: str, workspace: str | None) -> bool:
        return workspace in {None, handed.workspace} and any(
            recipient.endswith(address) if address[0] == "@" else recipient == address
            for recipient in handed.recipients
        )

    def _cancel(self) -> None:
        recent = list(self._senders.sent)[-200:]
        if recent:
            self.cancel(self._world.rng.choice(recent))

    def cancel(self, chosen: str) -> None:
        """Cancel a message, if it can be."""
        world = self._world
        id_ = parse_id(MESSAGE, chosen)
        assert id_ is not None

        def answered(done: Message | NotDone | None) -> None:
            if isinstance(done, Message):
                self._count("cancel")
                world.note("cancel", chosen)
                world.promises.append(
                    Promise(
                        f"canceling {chosen}",
                        lambda handed: handed.message == chosen,
                        done.updated_us,
                    )
                )

        world.write(lambda tx: cancel(tx, id_, actor="op", reason="a test"), answered)

    def settle_unknown(self) -> None:
        """Look into the provider's own records, once nothing changes there any more."""
        world = self._world
        old_us = world.clock.true_us - HOUR_US
        if world.database.in_transaction:
            return
        wanted = MessageFilter(state=State.UNKNOWN, limit=20)

        def found(messages: list[Message] | None) -> None:
            for message in messages or ():
                if message.updated_us < old_us:
                    self._resolve(message.id)

        world.call(lambda core: core.store.read(lambda reader: reader.messages(wanted)), found)

    def _resolve(self, id_: Id) -> None:
        world = self._world
        shown = show_id(MESSAGE, id_)
        unknown = {
            row[0]
            for row in world.database.execute(
                "SELECT address FROM recipients WHERE message_id = ? AND state = 'unknown'", (id_,)
            )
        }
        taken = [
            handed
            for handed in world.provider.journal
            if handed.message == shown and unknown & set(handed.taken)
        ]
        sent = bool(taken)

        def answered(done: Any) -> None:
            if isinstance(done, Message):
                self._count("resolve sent" if sent else "resolve not-sent")
                world.note("resolve", shown, sent)
                if sent:
                    world.judged.add(shown)

        world.write(lambda tx: resolve(tx, id_, sent=sent, actor="op", reason="looked"), answered)

    # --- the book ---------------------------------------------------------------------------------

    def _edit(self) -> None:
        self._edits += 1
        self.reload(edited(self._world.policy, self._world.rng, self._edits, self._away))

    def reload(self, policy: Policy) -> None:
        """Save another book."""
        world = self._world
        world.policy = policy
        world.policies.append((world.clock.true_us, policy))
        world.note("edit", policy.hash)

        async def ask(core: Core) -> bool:
            await core.store.write(partial(put_in_force, adoption=Adoption(policy=policy)))
            world.doors.context.policy = policy
            return True

        def answered(done: bool | None) -> None:
            if done:
                self._count("book applied")
            else:
                world.after(60, apply)

        def apply() -> None:
            if world.policy is policy:  # it is what the daemon finds in its folder, still
                world.call(ask, answered)

        apply()

    def _count(self, what: str, by: int = 1) -> None:
        self.acknowledged[what] = self.acknowledged.get(what, 0) + by
