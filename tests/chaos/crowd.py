"""Many callers at once, from several processes: each round all of them send in the same instant.

Run as a module with a JSON object on the first line of standard input: `path` or `port` and
`token`, and `rounds`, a list of lists of bodies. Each further line starts the next round; its
answers, status and id, are one line of standard output.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fakes.process_http import Door

_ROOT = Path(__file__).parents[2]

Answer = tuple[int, str | None]
"""Status, and the id of the message where there is one."""


class Crowd:
    """Started processes, each with its door."""

    def __init__(self, doors: Sequence[Door], rounds: Sequence[Sequence[dict[str, Any]]]) -> None:
        """Spread the bodies of each round evenly over the doors, one process for each."""
        self._processes = []
        for number, door in enumerate(doors):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.crowd"],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdin is not None
            order = {
                "path": str(door.path) if door.path else None,
                "port": door.port,
                "token": door.token,
                "rounds": [bodies[number :: len(doors)] for bodies in rounds],
            }
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            self._processes.append(process)

    def round(self) -> list[Answer]:
        """Let all of them send; what they were answered."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        found: list[Answer] = []
        for process in self._processes:
            assert process.stdout is not None
            found += [(status, id_) for status, id_ in json.loads(process.stdout.readline())]
        return found

    def close(self) -> None:
        """Send them home."""
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.wait(30)
            process.stdout.close()


@contextmanager
def crowd(doors: Sequence[Door], rounds: Sequence[Sequence[dict[str, Any]]]) -> Iterator[Crowd]:
    """A crowd that is gone at the end."""
    made = Crowd(doors, rounds)
    try:
        yield made
    finally:
        made.close()


def main() -> None:
    order = json.loads(sys.stdin.readline())
    path = Path(order["path"]) if order["path"] else None
    door = Door(path=path, port=order["port"], token=order["token"])
    for bodies in order["rounds"]:
        if not sys.stdin.readline():
            return
        replies = asyncio.run(door.post_together("/v1/messages", bodies))
        answers = [(r.status, r.json.get("id") if r.content else None) for r in replies]
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
