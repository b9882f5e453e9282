"""Makes screenshots/ anew: the dashboard on a running demo, in each of its main states.

    python tools/screenshots.py [--socket PATH] [--out DIR]

Without `--socket` it starts `mailplane demo` for itself and stops it for the offline picture.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from mailplane_tui import themes
from mailplane_tui.app import Dashboard
from mailplane_tui.glyphs import ASCII, UNICODE
from mailplane_wire.client import Client, DaemonUnreachable

ROOT = Path(__file__).resolve().parent.parent
START_S = 40.0
WARM_UP_S = 12.0
"""The demo needs a while until mailboxes differ."""

SETTLE_S = 0.6
NARROW, WIDE = (80, 24), (140, 40)
CELL_PX = 12.2
"""The width of a cell in Textual's pictures."""

_PADDED = re.compile(
    r'<text (?P<a>[^>]*?)x="(?P<x>[\d.]+)"(?P<b>[^>]*?)textLength="(?P<length>[\d.]+)"'
    r"(?P<c>[^>]*)>(?P<pad>(?:&#160;)+)(?=[^<&]|&(?!#160))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A picture: keys from the main screen on, in a size and a dress."""

    name: str
    size: tuple[int, int]
    keys: tuple[str, ...] = ()
    workspace: str | None = None
    light: bool = False
    plain: bool = False
    ascii_only: bool = False
    stop_daemon: bool = False


def shots(workspace: str) -> list[Shot]:
    """All pictures; those of one workspace need its name. The last one loses its daemon."""
    detail = ("enter",)
    return [
        Shot(name="main-80x24", size=NARROW),
        Shot(name="main-140x40", size=WIDE),
        Shot(name="main-light-80x24", size=NARROW, light=True),
        Shot(name="main-light-140x40", size=WIDE, light=True),
        Shot(name="main-no-color-80x24", size=NARROW, plain=True),
        Shot(name="main-no-color-140x40", size=WIDE, plain=True),
        Shot(name="main-ascii-80x24", size=NARROW, plain=True, ascii_only=True),
        Shot(name="detail-80x24", size=NARROW, keys=detail, workspace=workspace),
        Shot(name="detail-140x40", size=WIDE, keys=detail, workspace=workspace),
        Shot(name="pause-80x24", size=NARROW, keys=("space", "space", "p"), workspace=workspace),
        Shot(name="workspaces-80x24", size=NARROW, keys=("w",)),
        Shot(name="filter-80x24", size=NARROW, keys=("/", *"!state:ready"), workspace=workspace),
        Shot(name="events-80x24", size=NARROW, keys=("6",)),
        Shot(name="events-140x40", size=WIDE, keys=("6", "k", "k", "k")),
        Shot(name="audit-80x24", size=NARROW, keys=("5",)),
        Shot(name="help-80x24", size=NARROW, keys=("?",)),
        Shot(name="offline-80x24", size=NARROW, stop_daemon=True),
    ]


async def take(shot: Shot, client: Client, daemon: subprocess.Popen[bytes] | None) -> str:
    """The picture as SVG."""
    os.environ.pop("NO_COLOR", None)
    if shot.plain:
        os.environ["NO_COLOR"] = "1"
    glyphs = ASCII if shot.ascii_only else UNICODE
    note = "demo" if daemon else None
    app = Dashboard(client, workspace=shot.workspace, title_note=note, glyphs=glyphs, zone=UTC)
    async with app.run_test(size=shot.size, notifications=True) as pilot:
        if shot.light:
            app.theme = themes.LIGHT.name
        while app.model.now is None:
            await pilot.pause(0.1)
        await pilot.pause(SETTLE_S)
        for key in shot.keys:
            await pilot.press(key)
            await pilot.pause(SETTLE_S)
        if shot.stop_daemon and daemon is not None:
            daemon.terminate()
            daemon.wait()
            await pilot.pause(2 * SETTLE_S)
        return shift_padding(app.export_screenshot(title="mailplane"))


def shift_padding(svg: str) -> str:
    """The picture with leading blanks as an offset: some renderers drop them."""

    def shifted(hit: re.Match[str]) -> str:
        width = len(hit["pad"]) // len("&#160;") * CELL_PX
        x, length = float(hit["x"]) + width, float(hit["length"]) - width
        return f'<text {hit["a"]}x="{x:g}"{hit["b"]}textLength="{length:g}"{hit["c"]}>'

    return _PADDED.sub(shifted, svg)


def start_demo(keep: Path) -> subprocess.Popen[bytes]:
    """The demo without its dashboard, with its state in `keep`."""
    command = ["demo", "--headless", "--seconds", "300", "--keep", str(keep)]
    return subprocess.Popen(
        [sys.executable, "-m", "mailplane_tui", *command], stdout=subprocess.DEVNULL
    )


def wait_for(client: Client, daemon: subprocess.Popen[bytes] | None) -> None:
    """Return when the daemon answers; give up after a while or when it ended."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            client.call("GET", "/v1/health")
        except DaemonUnreachable as fault:
            if time.monotonic() > deadline or (daemon and daemon.poll() is not None):
                raise SystemExit(f"no daemon to take pictures of: {fault}") from fault
            time.sleep(0.2)
        else:
            return


def first_workspace(client: Client) -> str:
    """The name of the first workspace."""
    return str(client.call("GET", "/v1/workspaces")["items"][0]["name"])


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=Path, help="take them of this daemon; it isn't stopped")
    parser.add_argument("--out", type=Path, default=ROOT / "screenshots")
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder) / "demo"
        daemon = None if options.socket else start_demo(keep)
        client = Client(options.socket or keep / "state" / "mailplane.sock", timeout_s=5.0)
        try:
            wait_for(client, daemon)
            time.sleep(WARM_UP_S if daemon else 0)
            for shot in shots(first_workspace(client)):
                if shot.stop_daemon and daemon is None:
                    continue
                svg = asyncio.run(take(shot, client, daemon))
                (options.out / f"{shot.name}.svg").write_text(svg, encoding="utf-8")
                print(shot.name)
        finally:
            if daemon is not None and daemon.poll() is None:
                daemon.terminate()
                daemon.wait()


if __name__ == "__main__":
    main()
