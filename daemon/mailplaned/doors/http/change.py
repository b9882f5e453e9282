"""What every changing route does: read its body, ask leave, commit, or refuse without effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.requests import Request

from mailplane_wire.problems import problem
from mailplaned.domain.roles import Action, Caller
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.replies import Refusal, invalid
from mailplaned.doors.http.submissions import read_json, told
from mailplaned.ports import Transaction

T = TypeVar("T")

REASON_LENGTH = 500


async def commit(context: Context, change: Callable[[Transaction], T]) -> T:
    """Run a change that may refuse, by raising Refusal before it has had any effect.

    A refusal is an ordinary answer and not a fault: it must not undo what shares its commit.
    """

    def guarded(tx: Transaction) -> T | Refusal:
        try:
            return change(tx)
        except Refusal as refusal:
            return refusal

    done = await context.store.write(guarded)
    if isinstance(done, Refusal):
        raise done
    return done


async def body_of(request: Request, type_: type[T], default: T | None = None) -> T:
    """The body as a wire type; `default` where there is none. Raises Refusal naming the field."""
    if default is not None and not await request.body():
        return default
    content = await read_json(request)
    try:
        return msgspec.json.decode(content, type=type_)
    except msgspec.ValidationError as fault:
        raise invalid(told("", str(fault))) from fault
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise invalid(("body", f"is not valid JSON: {fault}")) from fault


def permit(caller: Caller, action: Action, workspace: str | None) -> None:
    """Raise Refusal unless the caller may do it there; without a workspace: daemon-wide."""
    if not caller.may(action, workspace):
        where = f"in {workspace}" if workspace else "for the whole daemon"
        role = caller.role_in(workspace) or caller.role
        words = f"{caller.name} ({role}) may not {action} {where}"
        raise Refusal(problem("not-permitted", words), workspace)


def clean_reason(text: str) -> str:
    """A reason as it is kept: one line. Raises Refusal for an empty or a hostile one."""
    return clean_line("reason", text, REASON_LENGTH)


def clean_line(field: str, text: str, length: int) -> str:
    """A person's words as they are kept: one printable line. Raises Refusal naming the field."""
    line = " ".join(text.split())
    if not 0 < len(line) <= length or not line.isprintable():
        raise invalid((field, f"has to be 1 to {length} printable characters"))
    return line
