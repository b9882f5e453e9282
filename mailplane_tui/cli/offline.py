"""Runs the daemon's program for what needs no daemon; nothing of it is imported here."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from mailplane_tui.cli.session import Failure, Session


def offline(session: Session, *arguments: str) -> Any:
    """What `mailplaned VERB …` answers on standard output, as JSON values. Raises Failure."""
    found = session.places()
    # -P: what lies in the folder that one happens to be in must not be imported.
    command = [sys.executable, "-P", "-m", "mailplaned"]
    command += ["--config", str(found.config), "--state", str(found.state), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter, no shell
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise Failure(said[-1].removeprefix("mailplaned: ") if said else "mailplaned said nothing")
    return json.loads(done.stdout)
