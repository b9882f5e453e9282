"""Answers: JSON of wire types, and problems as problem details."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from mailplane_wire.problems import FieldError, Problem, problem

ERRORS_TOLD = 100
"""Faults that one answer names; a body can hold millions."""

_encode = msgspec.json.Encoder().encode


class Refusal(Exception):
    """Ends a request with a problem; `workspace` is where a permission was wanting."""

    def __init__(self, problem: Problem, workspace: str | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.workspace = workspace


def refuse(code: str, detail: str, **about: Any) -> Refusal:
    """A refusal with a code of `mailplane_wire.problems.STATUS`."""
    return Refusal(problem(code, detail, **about))


def invalid(*errors: tuple[str, str]) -> Refusal:
    """A refusal that names fields and what is wrong with each."""
    told = errors[:ERRORS_TOLD]
    words = "; ".join(f"{name}: {reason}" for name, reason in told)
    if len(errors) > len(told):
        words += f"; and {len(errors) - len(told)} more"
    return Refusal(
        problem(
            "invalid",
            words,
            errors=[FieldError(field=name, reason=reason) for name, reason in told],
        )
    )


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(_encode(value), status, headers=headers, media_type="application/json")


def reply_problem(value: Problem) -> Response:
    """A problem as an answer, with `Retry-After` where there is a time."""
    headers = {}
    if value.retry_after_s is not None:
        headers["Retry-After"] = str(value.retry_after_s)
    if value.code == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        _encode(value), value.status, headers=headers, media_type="application/problem+json"
    )
