"""The routes of the book: what files would change, edits of them, what was in force, and people."""

from __future__ import annotations

import asyncio
import pwd
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import book as wire
from mailplane_wire.resources import Page
from mailplaned.domain.differences import Difference
from mailplaned.domain.outcomes import Outcome
from mailplaned.domain.policy import Account, Policy
from mailplaned.domain.roles import Action, Caller, Role, rank
from mailplaned.doors.http.change import body_of, permit
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of, peer, person
from mailplaned.doors.http.replies import invalid, refuse, reply
from mailplaned.doors.http.resources import span_of
from mailplaned.doors.http.times import show_time
from mailplaned.services.book import BookPlan, BookRefused

_FILE = re.compile(r"workspaces/.*?\.toml|mailplane\.toml")

_TOLD = 1_000
"""Differences of one answer; the audit log has all of them."""

_PROBES = 10
"""Accounts that are logged in to at the same time."""

_PROBE_S = 20
"""The command line waits 30 s for an answer, and has to hear that nothing was changed."""


async def diff(request: Request, context: Context) -> Response:
    """What files, or those on disk, would change if they were the book."""
    permit(caller_of(request), Action.READ, None)
    body = await body_of(request, wire.BookFiles, wire.BookFiles())
    async with context.books.lock:
        plan = await context.books.plan(body.files)
    return reply(_view(plan, plan.problems, plan.notices, applied=False))


async def apply(request: Request, context: Context) -> Response:
    """Have files, or those on disk, be the book: all of it, or nothing where there are problems."""
    caller = caller_of(request)
    permit(caller, Action.BOOK, None)
    body = await body_of(request, wire.BookFiles, wire.BookFiles())
    async with context.books.lock:
        if body.files is not None:
            await (
                context.books.catch_up()
            )  # what is replaced was in force, and who wrote it is told
        return await _put(await context.books.plan(body.files), request, context)


async def edit(request: Request, context: Context) -> Response:
    """Edit one file, and have it in force; nothing is written where the book has problems then."""
    caller = caller_of(request)
    body = await body_of(request, wire.BookEdits)
    if body.workspace is None:
        permit(caller, Action.PEOPLE, None)
    else:
        known = body.workspace in context.policy.workspaces and caller.sees(body.workspace)
        permit(caller, Action.BOOK, body.workspace if known else None)
    if not body.edits:
        raise invalid(("edits", "has to hold at least one"))
    async with context.books.lock:
        try:
            plan = await context.books.plan_edits(body)
        except BookRefused as fault:
            words = str(fault)
            raise refuse("conflict", _discreet(words, caller, words.partition(":")[0])) from fault
        new = plan.policy if body.probe else None
        unproven = [] if new is None else list(_unproven(context.policy, new))
        if not unproven:
            return await _put(plan, request, context)
    await _probe(unproven, context)
    async with context.books.lock:
        return await _put(plan, request, context)


async def history(request: Request, context: Context) -> Response:
    """The books that were in force, the newest first; `after` is where the last page ended."""
    permit(caller_of(request), Action.READ, None)
    before, limit = span_of(request)
    found = await context.store.read(lambda reader: reader.books(before or None, limit))
    items = [
        wire.BookVersion(
            hash=version.hash,
            applied_at=show_time(version.applied_us),
            actor=version.actor,
            changes=version.changes,
        )
        for _, version in found
    ]
    return reply(Page(items=items, next=str(found[-1][0]) if len(found) == limit else None))


async def list_people(request: Request, context: Context) -> Response:
    """The people of the book whom this host knows, and what they are where."""
    seen = caller_of(request).seen
    members = context.policy.members
    users = await asyncio.to_thread(lambda: [_user(member.uid) for member in members])
    items = [
        wire.MemberView(
            name=member.name,
            unix_user=user,
            uid=member.uid,
            role=member.role,
            workspaces=[name for name in member.workspaces if seen is None or name in seen],
        )
        for member, user in zip(members, users, strict=True)
        if seen is None or not member.workspaces or seen & {*member.workspaces}
    ]
    return reply(Page(items=items, next=None))


async def _put(plan: BookPlan, request: Request, context: Context) -> Response:
    """Have a plan in force, if the caller may do all that it changes. Raises Refusal.

    What the caller may do is asked anew: another book may have come while this one waited.
    """
    caller = peer(request.state.peer_uid, context)
    problems = list(plan.problems)
    if plan.policy is not None:
        for found in plan.differences:
            _permit(found, caller, context.policy)
        _keep_roles(caller, context.policy, plan.policy)
        try:
            problems = await context.books.put(plan, caller.name)
        except BookRefused as fault:
            raise refuse("conflict", str(fault)) from fault
    edited = [name for name, text in plan.files.items() if plan.base.get(name) != text]
    told = dict.fromkeys(_discreet(problem, caller, *edited) for problem in problems)
    notices = [words for words in plan.notices if _discreet(words, caller, *edited) == words]
    return reply(_view(plan, told, notices, applied=not problems))


def _user(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _permit(found: Difference, caller: Caller, policy: Policy) -> None:
    """Raise Refusal unless the caller may change it; a new name of a workspace concerns both."""
    if found.workspace is None:
        permit(caller, Action.PEOPLE, None)
        return
    for name in [found.workspace, *([found.old] if found.key == "workspace.name" else [])]:
        permit(caller, Action.BOOK, name if name in policy.workspaces else None)


def _keep_roles(caller: Caller, old: Policy, new: Policy) -> None:
    """Nobody raises their own role, whatever they call themselves then, and an owner remains.

    Raises Refusal.
    """
    if _owned(new) < _owned(old):
        raise refuse("conflict", "the last owner can't be removed; make another one first")
    for uid in {member.uid for member in old.members if member.name == caller.name}:
        mine = [member for member in new.members if member.uid == uid]
        if not mine:
            continue
        now, then = person([member for member in old.members if member.uid == uid]), person(mine)
        for workspace in (None, *new.workspaces):
            before, after = now.role_in(workspace), then.role_in(workspace)
            if after is not None and (before is None or rank(after) > rank(before)):
                where = f"in {workspace}" if workspace else "for the whole daemon"
                words = f"{caller.name} may not raise their own role to {after} {where}"
                raise refuse("not-permitted", words)


def _owned(policy: Policy) -> int:
    """How surely the whole daemon has an owner: by name, by who runs it, or not at all."""
    owners = [
        member for member in policy.members if member.role == Role.OWNER and not member.workspaces
    ]
    if any(not owner.implied for owner in owners):
        return 2
    return 1 if owners or not policy.members else 0


async def _probe(accounts: Sequence[Account], context: Context) -> None:
    """Log in to each account. Raises Refusal with what one says that does not let us in."""
    gate = asyncio.Semaphore(_PROBES)

    async def refusal(account: Account) -> str | None:
        try:
            async with asyncio.timeout(_PROBE_S), gate:
                report = await context.probe(account)
        except TimeoutError:
            return f"{account.host} has not let us in for {_PROBE_S} s"
        if report.outcome is Outcome.ACCEPTED:
            return None
        return f"{report.peer or account.host}, {report.stage}: {report.reply.text}"

    found = await asyncio.gather(*map(refusal, accounts))
    for account, words in zip(accounts, found, strict=True):
        if words is not None:
            advice = "nothing was changed; without this check: --no-probe, or probe: false"
            raise refuse("conflict", f"account {account.name}: {words}; {advice}")


def _unproven(old: Policy, new: Policy) -> Iterator[Account]:
    """Each account that is new or another one, or at which a mailbox is new."""
    for workspace in new.workspaces.values():
        before = old.workspaces.get(workspace.name)
        known: Mapping[str, Account] = before.accounts if before else {}
        boxes = before.mailboxes if before else {}
        joined = {
            box.account
            for box in workspace.mailboxes.values()
            if box.address not in boxes or boxes[box.address].account != box.account
        }
        for account in workspace.accounts.values():
            if account.supported and (account.name in joined or known.get(account.name) != account):
                yield account


def _discreet(words: str, caller: Caller, *files: str) -> str:
    """The words, unless they speak of other files and the caller does not see all workspaces."""
    spoken_of = {*_FILE.findall(words)}
    if caller.seen is None or spoken_of <= {*files}:
        return words
    return "the book can't be so: a name is taken elsewhere, or another file has problems"


def _view(
    plan: BookPlan, problems: Iterable[str], notices: Iterable[str], *, applied: bool
) -> wire.BookChange:
    return wire.BookChange(
        hash=plan.policy.hash if plan.policy else None,
        applied=applied,
        differences=[
            wire.DifferenceView(
                file=found.file,
                workspace=found.workspace,
                key=found.key,
                old=found.old,
                new=found.new,
                text=found.text,
            )
            for found in plan.differences[:_TOLD]
        ],
        problems=list(problems),
        notices=list(notices),
    )
