"""What every verb shares: the common flags, the way to the daemon, and how a refusal ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from mailplane_wire.client import Client
    from mailplane_wire.paths import Places
    from mailplane_wire.problems import Problem

REFUSED: Final = 1
UNREACHABLE: Final = 3
NOT_PERMITTED: Final = 4

_PAGE: Final = 500
"""Rows asked for at once when a verb wants all of them."""

_CALL_S: Final = 30.0
_LONG_S: Final = 3600.0
"""How long the daemon may take over what grows with its database."""


class Failure(click.ClickException):
    """The end of a verb that did not do what it was asked: one line, and the exit code.

    `problem` is what the daemon said of it, if it was the daemon.
    """

    def __init__(
        self, message: str, code: int = REFUSED, problem: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.problem = problem


class Session:
    """One call of the command line: its common flags, and the daemon they lead to."""

    def __init__(self) -> None:
        self.as_json = False
        self.yes = False
        self.workspace: str | None = None
        self.socket: str | None = None
        self.config: str | None = None
        self.state: str | None = None

    def places(self) -> Places:
        """The folders and the socket in force."""
        from mailplane_wire.paths import places

        return places(self.config, self.state, self.socket)

    def client(self, timeout_s: float = _CALL_S) -> Client:
        """The client of the daemon's socket."""
        from mailplane_wire.client import Client
        from mailplane_wire.paths import socket_path

        return Client(socket_path(self.state, self.socket), timeout_s=timeout_s)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Turn the client's exceptions into Failure."""
        from mailplane_wire.client import DaemonUnreachable, Refused

        try:
            yield
        except Refused as fault:
            raise self.refusal(fault.problem) from fault
        except DaemonUnreachable as fault:
            denied = isinstance(fault.__cause__, PermissionError)
            raise Failure(str(fault), NOT_PERMITTED if denied else UNREACHABLE) from fault

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The daemon's reply as plain JSON values. Raises Failure."""
        with self.failing():
            return self.client().call(method, path, body)

    def call_long(
        self, words: str, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Any:
        """The same for work that can take long; a terminal shows `words` meanwhile."""
        from mailplane_tui.cli.progress import progress

        with self.failing(), progress(self, words):
            return self.client(_LONG_S).call(method, path, body)

    def items(self, path: str, *, after: object = None, **query: object) -> Iterator[Any]:
        """Every row of a list after a cursor, page by page. Raises Failure."""
        while True:
            page = self.call("GET", address(path, **query, after=after, limit=_PAGE))
            yield from page["items"]
            after = page["next"]
            if after is None:
                return

    def check_home(self, collection: str, name: str) -> None:
        """Refuse a name of the book that is not of the workspace that is meant. Raises Failure."""
        if self.workspace is None:
            return
        asked = {"of": collection, "prefix": name, "workspace": self.workspace}
        if name not in self.call("GET", address("/v1/names", **asked))["items"]:
            raise Failure(f"{self.workspace} has no {name} among its {collection}")

    def refusal(self, problem: Problem) -> Failure:
        """The failure that a problem ends in."""
        import msgspec

        plain = msgspec.to_builtins(problem)
        code = NOT_PERMITTED if problem.code == "not-permitted" else REFUSED
        return Failure(spoken(plain), code, plain)

    def confirm(self, question: str) -> None:
        """Go on only when the operator agrees, by `--yes` or at the terminal."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise Failure(f"{question} Say so with --yes; there is no terminal to ask at")
        click.confirm(question, abort=True, err=True)


def spoken(problem: dict[str, Any]) -> str:
    """A problem on one line: what, why, and each faulty field that is not in the words already."""
    what = problem["detail"] or problem["title"]
    faults = [fault for fault in problem.get("errors", ()) if fault["reason"] not in what]
    said = "; ".join([what, *(f"{fault['field']}: {fault['reason']}" for fault in faults)])
    wait_s = problem.get("retry_after_s")
    return said if wait_s is None else f"{said} (try again in {wait_s} s)"


def address(path: str, **query: object) -> str:
    """A path with the parts of `query` that are given."""
    from urllib.parse import urlencode

    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def part(text: str) -> str:
    """One part of a path, quoted."""
    from urllib.parse import quote

    return quote(text, safe="")


class Verb(click.Command):
    """A command that takes the common flags, wherever they stand on the line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_flags()


class Noun(click.Group):
    """A group of verbs; it takes the common flags as well."""

    command_class = Verb

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_flags()
        self.no_args_is_help = False  # one line says so


def common_flags() -> list[click.Parameter]:
    """`--json --workspace --socket --config --state --yes`; each sets its field of the session."""
    from mailplane_tui.cli.names import WORKSPACES

    folder, file = click.Path(file_okay=False), click.Path(dir_okay=False)
    return [
        _flag("--json", "as_json", "Answer in JSON.", is_flag=True),
        _flag(
            "--workspace",
            "workspace",
            "The workspace that is meant.",
            metavar="NAME",
            shell_complete=WORKSPACES,
        ),
        _flag(
            "--socket",
            "socket",
            "The daemon's socket.",
            metavar="PATH",
            shell_complete=file.shell_complete,
        ),
        _flag(
            "--config",
            "config",
            "The folder of the book.",
            metavar="DIR",
            shell_complete=folder.shell_complete,
        ),
        _flag(
            "--state",
            "state",
            "The folder of the daemon's state.",
            metavar="DIR",
            shell_complete=folder.shell_complete,
        ),
        _flag("--yes", "yes", "Don't ask.", is_flag=True),
    ]


def _flag(name: str, field: str, text: str, **kwargs: Any) -> click.Option:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value == "":
            raise click.BadParameter("must not be empty")  # a script's variable that is not set
        if value:
            setattr(context.ensure_object(Session), field, value)

    return click.Option([name, field], help=text, expose_value=False, callback=keep, **kwargs)


pass_session = click.make_pass_decorator(Session, ensure=True)
