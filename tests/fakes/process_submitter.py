"""A sender that is a process of its own: posts many submissions at once and prints the answers.

Run as a module with a JSON object on standard input: `path` or `port` and `token`, and `bodies`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fakes.process_http import Door, Reply

_ROOT = Path(__file__).parents[2]


class Submitter:
    """A started sender; it connects, and sends when it is told to."""

    def __init__(self, door: Door, bodies: list[dict[str, Any]]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.process_submitter"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._order = json.dumps(
            {
                "path": str(door.path) if door.path else None,
                "port": door.port,
                "token": door.token,
                "bodies": bodies,
            }
        )

    def go(self) -> None:
        """Let it send."""
        assert self._process.stdin is not None
        self._process.stdin.write(self._order.encode())
        self._process.stdin.close()

    def replies(self) -> list[Reply]:
        """What it was answered."""
        assert self._process.stdout is not None
        found = json.loads(self._process.stdout.read())
        self._process.stdout.close()
        assert self._process.wait(10) == 0
        return [Reply(status, headers, content.encode()) for status, headers, content in found]


def main() -> None:
    order = json.load(sys.stdin)
    path = Path(order["path"]) if order["path"] else None
    door = Door(path=path, port=order["port"], token=order["token"])
    replies = asyncio.run(door.post_together("/v1/messages", order["bodies"]))
    json.dump([(r.status, r.headers, r.content.decode()) for r in replies], sys.stdout)


if __name__ == "__main__":
    main()
