"""`GET /openapi.json`: OpenAPI 3.1, made from the route table and the wire types."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from mailplane_wire.problems import STATUS, Problem
from mailplaned.doors.http.context import VERSION, Surface
from mailplaned.doors.http.resources import NAMED
from mailplaned.doors.http.routes import ROUTES, Route

_REF = "#/components/schemas/{name}"
_WORDS = {
    "workspace": "Only this workspace.",
    "of": "What kind: workspaces, mailboxes, domains, accounts or paths.",
    "prefix": "Only what begins so.",
    "state": "Only messages in this state.",
    "mailbox": "Only this mailbox.",
    "recipient": "Only messages to this recipient.",
    "after": "The `next` of the page before.",
    "limit": "How many at most, 1 to 1,000.",
    "last": "Only the newest, this many of them, 1 to 1,000; with neither `after` nor `limit`.",
    "lifted": "`true` shows pauses of the past too.",
    "actor": "Only changes that this one made.",
    "action": "Only this kind of change.",
    "target": "Only changes of what has this text in its name.",
    "since": "Only from this time on, RFC 3339.",
    "until": "Only before this time, RFC 3339.",
    "about": "`identities`: only what changes a sending identity.",
}
_COUNT = "^([1-9][0-9]{0,2}|1000)$"
_PATTERNS = {
    "limit": _COUNT,
    "last": _COUNT,
    "lifted": "^(true|false)$",
    "about": "^identities$",
    "of": f"^({'|'.join(NAMED)})$",
}


def document(surface: Surface) -> dict[str, Any]:
    """The description of one surface."""
    routes = [route for route in ROUTES if surface is Surface.OPERATOR or route.shim]
    types: dict[int, Any] = {id(Problem): Problem}
    for route in routes:
        for kind in (route.answer, route.body, route.page_of):
            for one in kind if isinstance(kind, tuple) else (kind,):
                if one is not None:
                    types[id(one)] = one
    found_schemas, components = msgspec.json.schema_components(types.values(), ref_template=_REF)
    schemas = dict(zip(types, found_schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, surface)
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": f"mailplane, {surface.value}",
            "version": VERSION,
            "description": "The outbound e-mail control plane.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if surface is Surface.SHIM:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


def _operation(route: Route, schemas: dict[int, Any], surface: Surface) -> dict[str, Any]:
    summary = (route.handler.__doc__ or "").split("\n")[0]
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": summary,
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in re.findall(r"{(\w+)}", route.path)
            ),
            *(
                {
                    "name": name,
                    "in": "query",
                    "description": _WORDS[name],
                    "schema": {"type": "string", **_pattern(name)},
                }
                for name in route.query
            ),
        ],
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": not route.bodiless,
            "content": {"application/json": {"schema": _schema(route.body, schemas)}},
        }
    if route.open and surface is Surface.SHIM:
        operation["security"] = [{}, {"token": []}]
    return operation


def _schema(kind: Any, schemas: dict[int, Any]) -> dict[str, Any]:
    if isinstance(kind, tuple):
        return {"anyOf": [schemas[id(one)] for one in kind]}
    found: dict[str, Any] = schemas[id(kind)]
    return found


def _pattern(name: str) -> dict[str, str]:
    return {"pattern": _PATTERNS[name]} if name in _PATTERNS else {}


def _responses(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    if route.answer is None:
        content: dict[str, Any] = {route.media: {"schema": {"type": "string"}}}
    else:
        schema = _schema(route.answer, schemas)
        if route.page_of is not None:
            schema = {
                "type": "object",
                "required": ["items", "next"],
                "properties": {
                    "items": {"type": "array", "items": schemas[id(route.page_of)]},
                    "next": {"type": ["string", "null"]},
                },
            }
        content = {"application/json": {"schema": schema}}
    done = {"description": "Done.", "content": content}
    responses: dict[str, Any] = {str(route.status): done}
    if route.status == 202:
        responses["200"] = {**done, "description": "Answered before, under this idempotency key."}
    problem = {"application/problem+json": {"schema": _problem_schema()}}
    for status in sorted({status for status, _ in STATUS.values() if status != 500}):
        titles = [title for code, (number, title) in STATUS.items() if number == status]
        responses[str(status)] = {"description": "; ".join(titles) + ".", "content": problem}
    return responses


def _problem_schema() -> dict[str, str]:
    """The reference to the schema of a problem."""
    return {"$ref": _REF.format(name="Problem")}
