"""What the command line prints: text on standard output, one line on standard error.

Everything that came from the daemon passes `scrub` or JSON's escapes before it is printed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import click

Colour = Literal["red", "yellow", "green"]


def say(text: str, colour: Colour | None = None) -> None:
    """One line for a person."""
    from mailplane_tui.scrub import scrub

    click.echo(_coloured(scrub(text), colour))


def complain(text: str) -> None:
    """One line on standard error."""
    from mailplane_tui.scrub import scrub

    click.echo(f"{_coloured('mailplane:', 'red')} {scrub(text, limit=4000)}", err=True)


def show_json(value: Any) -> None:
    """One JSON value on one line. All but ASCII is escaped, so nothing can steer a terminal."""
    click.echo(json.dumps(value))


def show_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns under their heads; None is shown as `-`."""
    from rich.cells import cell_len

    from mailplane_tui.scrub import fit, scrub

    lines = [list(heads), *([_cell(value, scrub) for value in row] for row in rows)]
    widths = [max(cell_len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [fit(cell, width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def show_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Names and values, one pair a line."""
    from mailplane_tui.scrub import scrub

    for name, value in facts:
        click.echo(f"{name:<14}{_cell(value, scrub)}".rstrip())


def _coloured(text: str, colour: Colour | None) -> str:
    """The text in a colour, which click takes out again where no terminal is.

    NO_COLOR keeps it out everywhere (no-color.org), and so does a terminal that can do nothing.
    """
    if colour is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return click.style(text, fg=colour)


def show_caps(caps: Iterable[dict[str, Any]]) -> None:
    """Caps with what they have left."""
    show_table(
        ("SCOPE", "WINDOW", "COUNTS", "LIMIT", "SENT", "UNKNOWN", "WAITING", "FREE", "RESETS"),
        (
            (
                cap["scope"],
                f"{cap['kind']} {cap['window']}",
                cap["counts"],
                cap["limit"],
                cap["sent"],
                cap["unknown"],
                cap["waiting"],
                cap["free"],
                cap["resets_at"],
            )
            for cap in caps
        ),
    )


def show_pauses(pauses: Iterable[dict[str, Any]]) -> None:
    """Pauses, each with who made it and why."""
    for pause in pauses:
        say(f"paused ({pause['id']}, {pause['scope']}) by {pause['actor']}: {pause['reason']}")


def _cell(value: object, scrub: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, list):
        return scrub(", ".join(str(item) for item in value)) or "-"
    text: str = scrub(str(value))
    return text
