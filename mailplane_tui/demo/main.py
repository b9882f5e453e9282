"""`mailplane demo`: a provider, a book, a daemon and its senders, then the dashboard or a count.

It configures nothing and reaches nothing outside this host: the provider is our own sink, and every
address is at a reserved name.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

from mailplane_tui.demo import book
from mailplane_tui.demo.people import OPTED_OUT
from mailplane_tui.demo.processes import DidNotStart, start_daemon, start_sink
from mailplane_tui.demo.senders import Traffic
from mailplane_tui.demo.sink import read_ledger
from mailplane_tui.demo.verdict import Verdict, judge
from mailplane_wire.client import Client, DaemonUnreachable, Refused
from mailplane_wire.paths import Places

HEADLESS_S: Final = 10.0
_TELL_EVERY_S: Final = 2.0
_MORNING_S: Final = 60.0
_DRAIN_S: Final = 3.0
_PAGE: Final = 1_000


def run_demo(
    *, headless: bool, seconds: float | None, speed: float, as_json: bool, keep: Path | None
) -> int:
    """Run the demo; 1 when a cap was broken, or a message lost or sent twice, else 0.

    The dashboard opens at a terminal, unless `headless` or `as_json`. `keep` is a folder for the
    state, which a later run goes on with; otherwise nothing is left behind.
    """
    terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    on_screen = terminal and not (headless or as_json)
    with ExitStack() as stack:
        stack.enter_context(_ended_by_signals())
        if keep is None:
            temporary = tempfile.TemporaryDirectory(prefix="mailplane-demo-")
            folder = Path(stack.enter_context(temporary))
        else:
            folder = keep.absolute()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            demo = _Demo(folder, speed, stack)
        except (DidNotStart, DaemonUnreachable, Refused) as fault:
            _say(f"mailplane demo: {fault}")
            return 1
        if on_screen:
            demo.on_screen(seconds)
        else:
            demo.headless(HEADLESS_S if seconds is None else seconds)
        verdict = demo.finish()
    _show(demo, verdict, as_json=as_json)
    if keep is not None:
        _say(f"kept in {folder}; go on with it: mailplane demo --keep {keep}")
    return 0 if verdict.clean and not demo.traffic.record.faults else 1


class _Demo:
    """A running demo. Whatever it starts is on `stack`, and so ends with it."""

    def __init__(self, folder: Path, speed: float, stack: ExitStack) -> None:
        self._folder = folder
        self.places = Places(
            config=folder / "config",
            state=folder / "state",
            socket=folder / "state" / "mailplane.sock",
        )
        self._ledger = folder / "sink.jsonl"
        self._before = len(read_ledger(self._ledger))
        log = stack.enter_context((folder / "demo.log").open("ab"))
        self._start_provider(stack, log)
        self._limits = book.limits(self.places.config)
        self._daemon, shim = start_daemon(self.places, log)
        stack.callback(self._daemon.stop)
        self._client = Client(self.places.socket)
        tokens = self._prepare()
        started_s = int(time.time())
        self.traffic = Traffic(
            shim=shim,
            tokens=tokens,
            speed=speed,
            run=f"demo-{started_s}",
            first_number=started_s % 10_000_000 if self._before else 1000,
        )
        stack.callback(self.traffic.stop)
        self.traffic.start()

    def _start_provider(self, stack: ExitStack, log: Any) -> None:
        kept = book.provider_port(self.places.config)
        sink, port = start_sink(self._ledger, kept or 0, log)
        stack.callback(sink.stop)
        if kept is None:
            book.write_book(self.places.config, port, datetime.now(UTC).date())

    def _prepare(self) -> dict[str, str]:
        """What an operator does by hand: a pause, a suppression, a token for each client."""
        call = self._client.call
        if not self._before:
            pause = {"scope": {"mailbox": book.PAUSED}, "reason": "Fay is away until Monday"}
            call("POST", "/v1/pauses", pause)
            call("POST", "/v1/suppressions", {"address": OPTED_OUT, "ground": "objection"})
        return {
            name: call("POST", "/v1/tokens", {"name": "demo", "workspace": name})["token"]
            for name in book.WORKSPACES
        }

    # --- while it runs ----------------------------------------------------------------------------

    def on_screen(self, seconds: float | None) -> None:
        """Open the dashboard until it is left; submit for `seconds`, or as long as it is open."""
        from mailplane_tui.app import run

        self.traffic.morning_done.wait(_MORNING_S)
        timer = threading.Timer(seconds or 0.0, self.traffic.stop)
        timer.daemon = True
        if seconds is not None:
            timer.start()
        try:
            run(self.places, title_note="demo")
        finally:
            timer.cancel()

    def headless(self, seconds: float) -> None:
        """Submit for that long, telling now and then how it goes."""
        self.traffic.morning_done.wait(_MORNING_S)
        began_s = time.monotonic()
        told_s = began_s
        while (now_s := time.monotonic()) < began_s + seconds:
            if now_s >= told_s + _TELL_EVERY_S:
                told_s = now_s
                accepted = len(self.traffic.record.submitted)
                seen = len(read_ledger(self._ledger)) - self._before
                _say(f"{now_s - began_s:4.0f} s: {accepted} accepted, {seen} seen by the provider")
            time.sleep(min(0.2, max(0.0, began_s + seconds - now_s)))

    # --- the end ----------------------------------------------------------------------------------

    def finish(self) -> Verdict:
        """Stop submitting, let what is due go out, ask where the rest is, stop, and count."""
        self.traffic.stop()
        states: dict[str, str] = {}
        try:
            self._drain()
            states = self._states()
        except (DaemonUnreachable, Refused) as fault:
            self.traffic.record.faults.append(f"the daemon did not say what it has: {fault}")
        code = self._daemon.stop()
        if code != 0:
            self.traffic.record.faults.append(f"the daemon ended with {code}")
        record = self.traffic.record
        return judge(
            submitted=list(record.submitted.values()),
            rejected=sum(record.rejected.values()),
            ledger=read_ledger(self._ledger),
            before=self._before,
            limits=self._limits,
            states=states,
        )

    def _drain(self) -> None:
        until_s = time.monotonic() + _DRAIN_S
        while time.monotonic() < until_s:
            sending = self._client.call("GET", "/v1/health")["sending"]
            if not sending and not self._page("state=queued&limit=1")["items"]:
                return
            time.sleep(0.05)

    def _states(self) -> dict[str, str]:
        found: dict[str, str] = {}
        after = ""
        while True:
            page = self._page(f"limit={_PAGE}{after}")
            found.update((item["id"], item["state"]) for item in page["items"])
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    def _page(self, query: str) -> Any:
        return self._client.call("GET", f"/v1/messages?{query}")


def _show(demo: _Demo, verdict: Verdict, *, as_json: bool) -> None:
    record = demo.traffic.record
    for fault in record.faults:
        _say(f"fault: {fault}")
    if as_json:
        print(json.dumps(verdict.as_dict()), flush=True)  # noqa: T201
        return
    why = ", ".join(f"{count} {code}" for code, count in record.rejected.most_common())
    lines = (
        f"accepted        {verdict.accepted:6}  answered 202; {record.repeated} more were repeats",
        f"rejected        {verdict.rejected:6}  {why}",
        f"scheduled       {verdict.scheduled:6}  of the accepted, told to wait for a slot",
        f"sent            {verdict.sent:6}  the provider took and said so",
        f"bounced         {verdict.bounced:6}  recipients the provider refused",
        f"unknown         {verdict.unknown:6}  the provider cut the connection after the last dot",
        f"cap violations  {verdict.cap_violations:6}  units above any cap in any window",
        f"lost            {verdict.lost:6}  accepted, and nowhere",
        f"duplicated      {verdict.duplicated:6}  taken twice by the provider",
    )
    print("\n".join(line.rstrip() for line in lines), flush=True)  # noqa: T201


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the demo as ctrl-c does, with everything cleaned up."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
