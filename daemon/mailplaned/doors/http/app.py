"""The ASGI application of one surface: guard, routes, stream, and problems for whatever fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from mailplaned.doors.http import openapi
from mailplaned.doors.http.context import Context, Surface
from mailplaned.doors.http.guard import Guard
from mailplaned.doors.http.replies import Refusal, refuse, reply, reply_problem
from mailplaned.doors.http.routes import ROUTES, Handler
from mailplaned.doors.http.stream import Stream
from mailplaned.ports import StoreFault, StoreFull

_log = structlog.get_logger("http")
Endpoint = Callable[[Request], Awaitable[Response]]

_CODES = {404: "not-found", 405: "method-not-allowed"}


def build(context: Context, stream: Stream, surface: Surface) -> ASGIApp:
    """The application behind one listener."""
    endpoints = {
        (route.method, route.path): _endpoint(route.handler, context)
        for route in ROUTES
        if surface is Surface.OPERATOR or route.shim
    }
    description = openapi.document(surface)

    async def describe(request: Request, context: Context) -> Response:
        del request, context
        return reply(description)

    endpoints["GET", "/openapi.json"] = _endpoint(describe, context)
    if surface is Surface.OPERATOR:

        async def follow(request: Request, context: Context) -> Response:
            del context
            return await stream.serve(request)

        async def show(request: Request, context: Context) -> Response:
            del context
            return await stream.show(request)

        endpoints["GET", "/v1/stream"] = _endpoint(follow, context)
        endpoints["POST", "/v1/stream/{id}/shown"] = _endpoint(show, context)
    app = Starlette(
        routes=[
            StarletteRoute(path, endpoint, methods=[method])
            for (method, path), endpoint in endpoints.items()
        ],
        exception_handlers={HTTPException: _no_route},
    )
    app.router.redirect_slashes = False
    return Guard(_Direct(endpoints, app), context, surface)


class _Direct:
    """Answers a path without parameters at once; Starlette's router takes the others.

    Submissions are such a path, and the router with its middleware is a twentieth of their cost.
    """

    def __init__(self, endpoints: dict[tuple[str, str], Endpoint], router: ASGIApp) -> None:
        self._endpoints = endpoints
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        endpoint = self._endpoints.get((scope.get("method", ""), scope.get("path", "")))
        if endpoint is None:
            await self._router(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def _endpoint(handler: Handler, context: Context) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request, context)
        except Refusal as refusal:
            caller = request.state.caller
            what = f"{request.method} {request.url.path}"
            await context.denials.note(context.store, caller.name if caller else "-", what, refusal)
            return reply_problem(refusal.problem)
        except StoreFull as fault:
            return reply_problem(refuse("store-full", str(fault)).problem)
        except ClientDisconnect:
            return Response(status_code=408)  # nobody is there to read it
        except StoreFault as fault:
            _log.error("store fault", action="request", path=request.url.path, why=str(fault))
        except Exception:  # noqa: BLE001 - the caller gets a problem, the log gets the rest
            _log.exception("fault", action="request", path=request.url.path)
        words = "nothing has been changed; the daemon's log says more"
        return reply_problem(refuse("fault", words).problem)

    return endpoint


async def _no_route(request: Request, fault: Any) -> Response:
    code = _CODES.get(fault.status_code, "invalid")
    response = reply_problem(
        refuse(code, f"{request.method} {request.url.path}: {fault.detail}").problem
    )
    response.headers.update(fault.headers or {})
    return response
