"""The demo's traffic: a sequencer and a shop per client, which submit through the shim.

They are clients like any other: a bearer token, JSON over HTTP, and a record of each answer. They
run in a thread with a loop of its own, so that the dashboard keeps the main one.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from mailplane_tui.demo import people
from mailplane_tui.demo.book import FULL, MORNING, NEAR, PAUSED
from mailplane_tui.demo.people import People
from mailplane_tui.demo.verdict import Submitted

COLD_EVERY_S: Final = 2.5
SHOP_EVERY_S: Final = 0.6
ODD_EVERY_S: Final = 4.0
"""How often each client's senders submit, on average, at `--speed 1`."""

_FIRST_S: Final = 2.0
"""By when each of them has submitted once."""

_REPEATED: Final = 0.06
"""The share of submissions that a sequencer sends again, as after a time-out."""

_TRIES: Final = 3
_TIMEOUT_S: Final = 15.0


@dataclass(slots=True)
class Record:
    """What the senders were told."""

    submitted: dict[str, Submitted] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    faults: list[str] = field(default_factory=list)
    """Answers that no client should get, each in one line."""

    def note(self, body: dict[str, Any], status: int, answer: dict[str, Any]) -> None:
        """Write down one answer to one submission."""
        id_ = answer.get("id")
        if status not in {200, 202} or id_ is None:
            self.rejected[answer.get("type", str(status)).rpartition(":")[2]] += 1
        elif id_ in self.submitted:
            self.repeated += 1
        else:
            recipients = [*body["to"], *body.get("cc", ())]
            bare = tuple(text.rpartition("<")[2].rstrip(">") for text in recipients)
            self.submitted[id_] = Submitted(id=id_, recipients=bare, state=answer["state"])


class Traffic:
    """All senders, in a thread. `start`, then `stop`; `record` is filled meanwhile."""

    def __init__(
        self, *, shim: str, tokens: Mapping[str, str], speed: float, run: str, first_number: int
    ) -> None:
        self.record = Record()
        self.morning_done = threading.Event()
        self._shim = shim
        self._tokens = tokens
        self._speed = speed
        self._run = run
        self._random = random.Random(run)
        self._people = People(self._random, first_number)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="demo-senders", daemon=True)

    def start(self) -> None:
        """Begin to submit."""
        self._thread.start()

    def stop(self) -> None:
        """Submit nothing more; return when the last answer is in. May be called twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(timeout=2 * _TIMEOUT_S)

    def _main(self) -> None:
        try:
            self._loop.run_until_complete(self._send_all())
        except Exception as fault:  # noqa: BLE001 - told in the summary; a thread has no caller
            self.record.faults.append(f"the senders stopped: {type(fault).__name__}: {fault}")
        finally:
            self.morning_done.set()
            self._loop.close()

    async def _send_all(self) -> None:
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=20)
        async with httpx.AsyncClient(
            base_url=f"http://{self._shim}", trust_env=False, timeout=_TIMEOUT_S, limits=limits
        ) as client:
            clients = {
                name: _Client(client, token, self.record, self._random)
                for name, token in self._tokens.items()
            }
            for name, one in clients.items():
                await one.submit_many(_morning(name, self._people, self._run))
            self.morning_done.set()
            async with asyncio.TaskGroup() as group:
                for name, one in clients.items():
                    for every_s, step in self._steps(name, one):
                        group.create_task(self._repeat(every_s / self._speed, step))

    def _steps(
        self, workspace: str, one: _Client
    ) -> list[tuple[float, Callable[[], Awaitable[None]]]]:
        """What the senders of a workspace do, and how often."""

        async def sequence() -> None:
            await one.submit(people.cold(self._people, self._run, copies=workspace == "kumo"))

        async def shop() -> None:
            await one.submit(people.receipt(self._people, self._run))

        async def odd() -> None:
            body = people.cold(self._people, self._run)
            body["workload"] = "manual"
            if workspace == "acme":  # an urgent note that would rather fail than wait for a slot
                urgent = self._random.random() < 0.6
                body |= {"mailbox": FULL if urgent else NEAR}
                body |= {"on_cap": "reject"} if urgent else {}
            elif workspace == "northwind":
                body |= {"mailbox": PAUSED}
            else:
                body |= {"mailbox": "nobody@kumo.example"}
            await one.submit(body)

        return [(COLD_EVERY_S, sequence), (SHOP_EVERY_S, shop), (3 * ODD_EVERY_S, odd)]

    async def _repeat(self, every_s: float, step: Callable[[], Awaitable[None]]) -> None:
        """Take steps at random times until the end. Steps that are late are not left out."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._random.uniform(0, min(every_s, _FIRST_S))
        while not self._stopping.is_set():
            if due > loop.time():
                try:
                    await asyncio.wait_for(self._stopping.wait(), due - loop.time())
                except TimeoutError:
                    pass
                else:
                    return
            await step()
            due += self._random.uniform(0.5, 1.5) * every_s


class _Client:
    """A sender of one workspace."""

    def __init__(
        self, client: httpx.AsyncClient, token: str, record: Record, dice: random.Random
    ) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}
        self._record = record
        self._random = dice

    async def submit(self, body: dict[str, Any]) -> None:
        """Submit one message, and now and then the same one again."""
        first = await self._post(body)
        if first is None:
            return
        self._record.note(body, first.status_code, first.json())
        if first.status_code != 202 or self._random.random() >= _REPEATED:
            return
        again = await self._post(body)
        if again is None:
            return
        self._record.note(body, again.status_code, again.json())
        if again.status_code != 200 or again.json()["id"] != first.json()["id"]:
            self._record.faults.append(f"a repeated submission was answered {again.status_code}")

    async def submit_many(self, bodies: list[dict[str, Any]]) -> None:
        """Submit many messages in one call; each has its own answer."""
        if not bodies:
            return
        reply = await self._post({"messages": bodies})
        if reply is None:
            return
        results = reply.json().get("results")
        if results is None:
            self._record.faults.append(f"a batch was answered {reply.status_code}")
            return
        for body, answer in zip(bodies, results, strict=True):
            self._record.note(body, answer.get("status", 202), answer)

    async def _post(self, body: dict[str, Any]) -> httpx.Response | None:
        """The answer; after a time-out the same again, which the idempotency key makes safe."""
        why = ""
        for _ in range(_TRIES):
            try:
                reply = await self._client.post("/v1/messages", json=body, headers=self._headers)
            except httpx.TransportError as fault:
                why = type(fault).__name__
                continue
            if reply.status_code < 500:
                return reply
            why = f"{reply.status_code} {reply.text[:200]}"
        self._record.faults.append(f"no answer to a submission: {why}")
        return None


def _morning(workspace: str, row: People, run: str) -> list[dict[str, Any]]:
    """What the mailboxes of a workspace are given at once, before anything else."""
    return [
        people.cold(row, run) | {"workload": "manual", "mailbox": mailbox}
        for mailbox, count in MORNING[workspace].items()
        for _ in range(count)
    ]
