"""Those who submit: sequencers and scripts that retry with the same key until they are answered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mailplaned.domain.policy import OnCap, Workspace
from mailplaned.domain.roles import Caller, Role
from mailplaned.domain.windows import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from mailplaned.doors.http.context import Surface
from mailplaned.doors.http.times import parse_time, show_time
from mailplaned.ports import Transaction
from mailplaned.services.admission import preflight, submit
from mailplaned.services.answers import Admitted, Decision, Refused, Submission
from mailplaned.services.compose import Composed, Draft, Recipient, compose
from tests.simulation.doors import Reply
from tests.simulation.world import World, seconds

DOMAINS = ("dest-a.example", "dest-b.example", "dest-c.example")
PEOPLE = 40

_composed = compose(
    Draft(to=("kim@example.org",), subject="Hello", text="Hello.\n"),
    token="0123456789abcdef",
    limit_bytes=100_000,
)
assert isinstance(_composed, Composed)
TEMPLATE: Composed = _composed


@dataclass(slots=True)
class Sent:
    """A submission that was acknowledged."""

    id: str
    submission: Submission
    answer: Admitted
    acknowledged_us: int


class Senders:
    """Submits to every workspace at random times; remembers every acknowledgement."""

    def __init__(self, world: World, per_day: float) -> None:
        self._world = world
        self._per_day = per_day
        self._keys = 0
        self.sent: dict[str, Sent] = {}
        self.active = True

    def start(self) -> None:
        for name in self._world.policy.workspaces:
            self._later(name)

    def _later(self, workspace: str) -> None:
        pause_s = self._world.rng.expovariate(self._per_day / 86_400)
        self._world.after(pause_s, self._submit_some, workspace)

    def _submit_some(self, workspace: str) -> None:
        if not self.active:
            return
        rng = self._world.rng
        some = [self._submission(workspace) for _ in range(rng.choice([1, 1, 1, 5, 12]))]
        door = rng.choice([None, None, Surface.OPERATOR, Surface.SHIM])
        if door is not None and rng.random() < 0.5:
            self.hand_in(some, door)  # in one request
        else:
            for submission in some:
                self.hand_in([submission], door)
        self._later(workspace)

    def _submission(self, name: str) -> Submission:
        rng = self._world.rng
        workspace = self._world.policy.workspaces[name]
        self._keys += 1
        count = rng.choice([1, 1, 1, 1, 2, 3])
        numbers = rng.sample(range(PEOPLE * len(DOMAINS)), count)
        people = [f"p{n % PEOPLE}@{DOMAINS[n // PEOPLE]}" for n in numbers]
        key = f"{name}-{self._keys}" if rng.random() < 0.9 else None
        return Submission(
            composed=replace(
                TEMPLATE, recipients=tuple(Recipient(address=a, kind="to") for a in people)
            ),
            workspace=name,
            **self._way(workspace),
            workload=rng.choice(["cold", "cold", "cold", "transactional", "manual"]),
            idempotency_key=key,
            fingerprint=hashlib.sha256(f"{name}{self._keys}".encode()).digest(),
            not_before_us=self._world.clock.true_us + rng.randrange(DAY_US)
            if rng.random() < 0.15
            else None,
            expires_in_us=rng.choice([None, 6 * HOUR_US, 2 * DAY_US]),
            on_cap=rng.choice([None, None, None, OnCap.REJECT]),
            metadata="{}",
        )

    def _way(self, workspace: Workspace) -> dict[str, str | None]:
        if self._world.rng.random() < 0.3:
            return {"mailbox": None, "path": "main"}
        return {"mailbox": self._world.rng.choice(list(workspace.mailboxes)), "path": None}

    def hand_in(
        self, submissions: Sequence[Submission], door: Surface | None, tries: int = 0
    ) -> None:
        """Submit together, by a door or straight to admission; and once more if unanswered."""

        def answered(answers: Sequence[Admitted | Refused] | None) -> None:
            world = self._world
            again = [one for one in submissions if one.idempotency_key is not None]
            if answers is None:
                if again and tries < 50:
                    world.after(world.rng.uniform(1, 600), self.hand_in, again, door, tries + 1)
                return
            for submission, answer in zip(submissions, answers, strict=True):
                self._note(submission, answer)
            if again and world.rng.random() < 0.05:
                world.after(world.rng.uniform(0, 7200), self.hand_in, again, door, tries + 1)

        if door is None:
            (submission,) = submissions
            self._admit(submission, lambda answer: answered(None if answer is None else [answer]))
            return
        bodies = [_as_json(submission) for submission in submissions]
        self._world.request(
            door,
            "POST",
            "/v1/messages",
            bodies[0] if len(bodies) == 1 else {"messages": bodies},
            lambda reply: answered(None if reply is None else _answers(reply)),
            workspace=submissions[0].workspace or "",
        )

    def _admit(
        self, submission: Submission, answered: Callable[[Admitted | Refused | None], None]
    ) -> None:
        world = self._world
        caller = Caller(
            name="sequencer", role=Role.SENDER, workspaces=frozenset([submission.workspace or ""])
        )

        def change(tx: Transaction) -> Admitted | Refused:
            if world.rng.random() > 0.05:
                return submit(tx, caller, submission, world.random)
            expected = preflight(tx, caller, submission)
            answer = submit(tx, caller, submission, world.random)
            if not _same(expected, answer):
                world.wrong(f"preflight said {expected}, submission {answer}")
            return answer

        world.write(change, answered)

    def _note(self, submission: Submission, answer: Admitted | Refused) -> None:
        world = self._world
        if isinstance(answer, Refused):
            world.note("refused", answer.code)
            usual = {"cap-reached", "paused", "suppressed", "invalid", "unknown-mailbox"}
            if answer.code not in usual:
                world.wrong(f"refused: {answer}")
            if answer.code == "invalid" and answer.field != "not_before":
                world.wrong(f"refused: {answer}")
            return
        assert answer.id is not None
        world.note("acknowledged", answer.id, answer.state, answer.slot_us)
        known = self.sent.get(answer.id)
        if known is None:
            key = submission.idempotency_key
            if key is not None and any(s.submission is submission for s in self.sent.values()):
                world.wrong(f"key {key} made two messages")
            self.sent[answer.id] = Sent(answer.id, submission, answer, world.clock.true_us)
        elif not answer.replayed and known.submission is not submission:
            world.wrong(f"{answer.id} was given to two submissions")


def _as_json(submission: Submission) -> dict[str, Any]:
    """What a sequencer would post."""
    return {
        "workspace": submission.workspace,
        "mailbox": submission.mailbox,
        "path": submission.path,
        "workload": submission.workload,
        "to": [recipient.address for recipient in submission.composed.recipients],
        "subject": "Hello",
        "text": "Hello.\n",
        "idempotency_key": submission.idempotency_key,
        "not_before": show_time(submission.not_before_us),
        "expires_in": submission.expires_in_us and f"{submission.expires_in_us // SECOND_US}s",
        "on_cap": submission.on_cap,
    }


def _answers(reply: Reply) -> list[Admitted | Refused]:
    """The answers to each message of a request."""
    found = reply.json.get("results", [reply.json])
    return [_answer(one, replayed="idempotent-replayed" in reply.headers) for one in found]


def _answer(shown: dict[str, Any], *, replayed: bool) -> Admitted | Refused:
    if "id" not in shown:
        field = shown["errors"][0]["field"] if "errors" in shown else None
        return Refused(code=shown["type"].rpartition(":")[2], detail=shown["detail"], field=field)
    return Admitted(
        **{name: shown[name] for name in ("id", "state", "mailbox", "workload", "path")},
        message_id=shown["message_id"],
        slot_us=None if shown["slot_at"] is None else parse_time(shown["slot_at"]),
        decision=Decision(verdict=shown["decision"]["verdict"], policy=shown["decision"]["policy"]),
        replayed=replayed,
    )


def _same(expected: Admitted | Refused, answer: Admitted | Refused) -> bool:
    if isinstance(answer, Admitted) and answer.replayed:
        return True  # the answer of then; a preflight looks at now
    if isinstance(expected, Refused) or isinstance(answer, Refused):
        return expected == answer
    return answer._replace(id=None, message_id=None) == expected


def a_while(world: World) -> float:
    """How long an operator takes to come back, in seconds."""
    return seconds(world.rng.choice([MINUTE_US, 10 * MINUTE_US, HOUR_US, 5 * HOUR_US]))
