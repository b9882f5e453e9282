"""`mailplane completion`: the script that completes verbs and flags in a shell."""

from __future__ import annotations

import click

from mailplane_tui.cli.session import Failure, Verb


@click.command(cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script; evaluate it in the shell's start-up file."""
    from click.shell_completion import get_completion_class

    make = get_completion_class(shell)
    if make is None:
        raise Failure(f"no completion for {shell}")
    script = make(context.find_root().command, {}, "mailplane", "_MAILPLANE_COMPLETE")
    click.echo(script.source())
