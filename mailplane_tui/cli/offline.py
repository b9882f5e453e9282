"""Runs the daemon's program for what needs no daemon; nothing of it is imported here."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, Final

from mailplane_tui.cli.session import Failure, Session

_PROGRESS: Final = "progress "
"""How a line begins that tells how far it is: `progress read 1048576`, `progress examine 0`."""


def offline(
    session: Session, *arguments: str, told: Callable[[str, int], None] | None = None
) -> Any:
    """What `mailplaned VERB …` answers on standard output, as JSON values. Raises Failure.

    `told` hears the steps of what can take long, each with a count of bytes.
    """
    found = session.places()
    # -P: what lies in the folder that one happens to be in must not be imported.
    command = [sys.executable, "-P", "-m", "mailplaned"]
    command += ["--config", str(found.config), "--state", str(found.state), *arguments]
    said = ""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as answer,
        subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            command, stdout=answer, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as child,
    ):
        assert child.stderr is not None
        for line in child.stderr:
            if not line.startswith(_PROGRESS):
                said = line.strip() or said
            elif told is not None:
                _, step, count = line.split()
                told(step, int(count))
        if child.wait() != 0:
            raise Failure(said.removeprefix("mailplaned: ") or "mailplaned said nothing")
        answer.seek(0)
        return json.load(answer)
