"""What a million waiting messages cost: start, memory, and every message after them.

An empty store and a full one, with the same book of 10,000 mailboxes, take turns.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.bench.delivery import deliver
from tests.bench.figures import Report, Scale, middle, say, short, spread
from tests.bench.filled import fill_waiting
from tests.bench.load import send
from tests.bench.ours import Book, Ours, check_durable, in_hours, policy_of, start
from tests.bench.peers import Sink, sink
from tests.bench.processes import peak_mib, pss_mib, rss_mib
from tests.fakes.process_daemon import Daemon, daemon

_WORKSPACES = 20
_SENDERS = 100
"""Mailboxes that send while the others' messages wait."""


def measure_growth(folder: Path, scale: Scale) -> Report:
    """Start-up and memory with the messages waiting, and both rates against an empty store."""
    check_durable(folder)
    report = Report()
    with ExitStack() as stack:
        into = stack.enter_context(sink(folder / "sink"))
        made = {}
        for name in ("empty", "full"):
            (folder / name).mkdir()
            made[name] = stack.enter_context(daemon(folder / name))
            book = Book(workspaces=_WORKSPACES, each=max(1, scale.mailboxes // _WORKSPACES))
            book.write(made[name], into.port)
        fill_waiting(made["full"].state, policy_of(made["full"]), scale.waiting)
        say(f"  {scale.waiting:,} messages wait")
        starts = {name: restart(made[name], scale.rounds) for name in made}
        sizes = {name: sizes_of(made[name]) for name in made}
        every = max(1, len(book.mailboxes) // _SENDERS)
        running = {name: Ours(made[name], book.mailboxes[::every]) for name in made}
        rates, costs = _take_turns(running, into, scale)
        sizes["full_after_sending"] = sizes_of(made["full"])
    slower = {
        kind: middle(
            [a / b for a, b in zip(rates[kind, "empty"], rates[kind, "full"], strict=True)]
        )
        for kind in ("admission", "delivery")
    }
    report.goals = {
        "slowdown_1m_waiting": max(slower.values()),
        "rss_mib_10k_mailboxes_1m_waiting": sizes["full"]["rss_mib"],
        "start_s_1m_waiting": middle(starts["full"]),
    }
    report.support["growth"] = {
        "waiting": scale.waiting,
        "slowdown": slower,
        **costs,
        **{f"{kind}_{name}_per_s": spread(found) for (kind, name), found in rates.items()},
        **{f"start_s_{name}": spread(found) for name, found in starts.items()},
        **{f"memory_{name}": found for name, found in sizes.items()},
        "database_mib": short((folder / "full/state/mailplane.db").stat().st_size / 2**20)
        if (folder / "full/state/mailplane.db").exists()
        else 0.0,
    }
    return report


def restart(made: Daemon, times: int) -> list[float]:
    """Seconds from the process to the first answer of /v1/health; it runs at the end."""
    found = []
    for number in range(times):
        if number:
            made.stop()
        found.append(start(made))
        say(f"  started in {found[-1]:.2f} s, {rss_mib(made.pid):.0f} MiB")
    return found


def sizes_of(made: Daemon) -> dict[str, float]:
    """Memory of a running daemon."""
    return {
        "rss_mib": short(rss_mib(made.pid)),
        "pss_mib": short(pss_mib(made.pid)),
        "peak_mib": short(peak_mib(made.pid)),
    }


def _take_turns(
    running: dict[str, Ours], into: Sink, scale: Scale
) -> tuple[dict[tuple[str, str], list[float]], dict[str, dict[str, float]]]:
    """Messages a second of each kind on each store, and the processor time behind them."""
    later = in_hours(6)
    rates: dict[tuple[str, str], list[float]] = {}
    costs: dict[str, list[float]] = {}
    for mine in running.values():
        mine.suppress()
        deliver(mine, into, mine.order(min(_SENDERS, scale.growth_messages), 8))
    for number in range(scale.rounds):
        for name, mine in running.items():
            cpu_s = mine.cpu_s()
            sent = send(mine.order(scale.growth_messages, 8, later=later))
            each_ms = 1e3 * (mine.cpu_s() - cpu_s) / scale.growth_messages
            rates.setdefault(("admission", name), []).append(sent.per_s)
            costs.setdefault(f"admission_{name}_cpu_ms", []).append(each_ms)
        for name, mine in running.items():
            run = deliver(mine, into, mine.order(scale.growth_messages, 8))
            rates.setdefault(("delivery", name), []).append(run.delivered_per_s)
            costs.setdefault(f"delivery_{name}_cpu_ms", []).append(run.cpu_ms)
        told = ", ".join(
            f"{kind} {name} {found[-1]:.0f}/s" for (kind, name), found in rates.items()
        )
        say(f"  round {number + 1}: {told}")
    return rates, {name: spread(found) for name, found in costs.items()}
