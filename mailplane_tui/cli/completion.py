"""`mailplane completion`: the script that completes verbs, flags and names in a shell."""

from __future__ import annotations

import os
from typing import Any, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from mailplane_tui.cli.output import show_json
from mailplane_tui.cli.session import Failure, Session, Verb, pass_session

COMPLETE: Final = "_MAILPLANE_COMPLETE"
"""The variable by which a shell asks what can come next."""

_BASH: Final = """\
%(complete_func)s() {
    local kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@add_completion_class
class _Bash(BashComplete):
    """Bash as it is: it cuts words at each of COMP_WORDBREAKS, so at the @ of an address, too.

    The line is therefore cut anew here, and of an answer only that is given back which bash puts
    in the place of its own last word.
    """

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        begun = words.pop() if words and not line[-1].isspace() else ""
        return words[1:], begun

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        breaks = os.environ.get("COMP_WORDBREAKS", "")
        kept = max(map(incomplete.rfind, breaks), default=-1) + 1
        found = super().get_completions(args, incomplete)
        for item in found:
            item.value = item.value.removeprefix(incomplete[:kept])
        return found


@click.command(cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_session
@click.pass_context
def completion(context: click.Context, session: Session, shell: str) -> None:
    """Print the completion script; evaluate it in the shell's start-up file."""
    make: Any = get_completion_class(shell)
    if make is None:
        raise Failure(f"no completion for {shell}")
    script = make(context.find_root().command, {}, "mailplane", COMPLETE).source()
    if session.as_json:
        show_json({"shell": shell, "script": script})
    else:
        click.echo(script)
