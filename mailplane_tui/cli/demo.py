"""`mailplane demo`: the whole product on a stand-in provider."""

from __future__ import annotations

from pathlib import Path

import click

from mailplane_tui.cli.session import Session, Verb, pass_session


@click.command(cls=Verb)
@click.option("--headless", is_flag=True, help="No dashboard.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help="Submit that long; without a dashboard 10 s if not given.",
)
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, metavar="X",
              help="How fast the simulated senders work.")  # fmt: skip
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Keep the state there.")  # fmt: skip
@pass_session
def demo(
    session: Session, *, headless: bool, seconds: float | None, speed: float, keep: Path | None
) -> int:
    """Show mailplane at work; it needs no configuration and sends nothing outside."""
    from mailplane_tui.demo.main import run_demo

    return run_demo(
        headless=headless, seconds=seconds, speed=speed, as_json=session.as_json, keep=keep
    )
