"""What a verb of the command line costs before and after its one call, in processor time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from tests.bench.figures import Report, Scale, middle, say, spread
from tests.bench.processes import Unfit
from tests.fakes.operator_socket import Daemon

_SCRIPT = Path(sys.executable).with_name("mailplane")


def measure_command_line(folder: Path, scale: Scale) -> Report:
    """CPU of `mailplane mailbox list` at a daemon that answers at once, over that of nothing."""
    path = folder / "sock"
    daemon = Daemon(str(path))
    thread = threading.Thread(target=daemon.serve_forever, daemon=True)
    thread.start()
    verb = [str(_SCRIPT), "--socket", str(path), "mailbox", "list", "--json"]
    commands = {
        "nothing": [sys.executable, "-c", "pass"],
        "version": [str(_SCRIPT), "--version"],
        "mailbox_list": verb,
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    try:
        for command in commands.values():
            _cpu_ms(command)  # what is installed has its bytecode; a fresh checkout makes it here
        for _ in range(scale.starts):
            for name, command in commands.items():
                times[name].append(_cpu_ms(command))
    finally:
        daemon.shutdown()
        daemon.server_close()
    ratios = [a / b for a, b in zip(times["mailbox_list"], times["nothing"], strict=True)]
    say(f"  {', '.join(f'{name} {middle(found)} ms' for name, found in times.items())}")
    support = {f"{name}_cpu_ms": spread(found) for name, found in times.items()}
    return Report({"cli_start_ratio": middle(ratios)}, {"command_line": support})


def _cpu_ms(command: list[str]) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Unfit(f"{' '.join(command)} ended with {process.returncode}")
    return 1e3 * (used.ru_utime + used.ru_stime)
