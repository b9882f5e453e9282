"""Both sides on the same work: the same count and size of messages into the same kind of sink.

The sides take turns, so that whatever else the machine does hits both; a ratio is taken within a
round, and the median of the rounds is the figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.figures import Report, Scale, middle, say, short, spread
from tests.bench.load import Order, Source, send
from tests.bench.ours import Book, Ours, check_durable, in_hours, ours
from tests.bench.peers import Postfix, Sink, postfix, sink
from tests.bench.processes import Unfit, counting_syncs, pss_mib, settle

_WITHIN_S = 300.0
_BATCH = 1_000
_WARM_UP = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One delivery of a number of messages."""

    accepted_per_s: float
    delivered_per_s: float
    cpu_ms: float
    """Of all processes of the side, per message; source and sink are not among them."""
    p50_ms: float = 0.0
    p99_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Sides:
    """Postfix and mailplane, each with a sink of its own."""

    folder: Path
    postfix: Postfix
    postfix_sink: Sink
    ours: Ours
    our_sink: Sink


@contextmanager
def sides(folder: Path, scale: Scale) -> Iterator[Sides]:
    """Both sides, warm. Refuses when one of them would not be durable."""
    check_durable(folder)
    with ExitStack() as stack:
        postfix_sink = stack.enter_context(sink(folder / "sink-postfix"))
        our_sink = stack.enter_context(sink(folder / "sink"))
        theirs = stack.enter_context(postfix(folder / "postfix", postfix_sink.port))
        mine = stack.enter_context(ours(folder, Book(dkim=True), our_sink.port))
        found = Sides(folder, theirs, postfix_sink, mine, our_sink)
        warm_up = min(_WARM_UP, scale.messages)
        deliver_postfix(found, warm_up, 8)
        deliver_ours(found, warm_up, 8)
        deliver_ours(found, warm_up, 8, signed=True)
        yield found


def deliver_postfix(both: Sides, count: int, sessions: int) -> Run:
    """Feed Postfix, wait for the last message at the sink."""
    before, cpu_s = both.postfix_sink.count(), both.postfix.cpu_s()
    start_s = time.monotonic()
    _feed_postfix(both, count, sessions)
    fed_s = time.monotonic() - start_s
    end_s = both.postfix_sink.reached(before + count, _WITHIN_S)
    settle()
    return Run(
        accepted_per_s=count / fed_s,
        delivered_per_s=count / (end_s - start_s),
        cpu_ms=1e3 * (both.postfix.cpu_s() - cpu_s) / count,
    )


def deliver_ours(both: Sides, count: int, connections: int, *, signed: bool = False) -> Run:
    """Feed mailplane, wait for the last message at the sink."""
    order = both.ours.order(count, connections, signed=signed)
    return deliver(both.ours, both.our_sink, order)


def deliver(mine: Ours, into: Sink, order: Order) -> Run:
    """Send an order through mailplane, wait for its last message at the sink."""
    source = Source(order)
    try:
        before, cpu_s = into.count(), mine.cpu_s()
        start_s = time.monotonic()
        source.go()
        sent = source.result()
    finally:
        source.close()
    end_s = into.reached(before + order.count, _WITHIN_S)
    settle()
    return Run(
        accepted_per_s=sent.per_s,
        delivered_per_s=order.count / (end_s - start_s),
        cpu_ms=1e3 * (mine.cpu_s() - cpu_s) / order.count,
        p50_ms=sent.p50_ms,
        p99_ms=sent.p99_ms,
    )


def measure_delivery(both: Sides, scale: Scale) -> Report:
    """End to end at 32 and at 8, unsigned; at 8 with RSA-2048 signatures on our side as well."""
    todo: dict[str, Callable[[], Run]] = {
        "postfix_32": partial(deliver_postfix, both, scale.messages, 32),
        "ours_32": partial(deliver_ours, both, scale.messages, 32),
        "postfix_8": partial(deliver_postfix, both, scale.messages, 8),
        "ours_8": partial(deliver_ours, both, scale.messages, 8),
        "ours_8_dkim": partial(deliver_ours, both, scale.messages, 8, signed=True),
    }
    runs: dict[str, list[Run]] = {name: [] for name in todo}
    for number in range(scale.rounds):
        for name, run in todo.items():
            runs[name].append(run())
            _say(f"round {number + 1}, {name}", runs[name][-1])
    report = Report()
    report.goals = {
        "end_to_end_vs_postfix": _ratio(runs, "ours_32", "postfix_32"),
        "end_to_end_vs_postfix_8": _ratio(runs, "ours_8", "postfix_8"),
        "end_to_end_dkim_vs_postfix": _ratio(runs, "ours_8_dkim", "postfix_8"),
        "cpu_per_message_vs_postfix": _ratio(runs, "ours_8", "postfix_8", "cpu_ms"),
    }
    report.support["delivery"] = {
        **{name: _shown(found) for name, found in runs.items()},
        "cpu_per_message_vs_postfix_32": _ratio(runs, "ours_32", "postfix_32", "cpu_ms"),
        "pss_mib_ours": short(pss_mib(both.ours.pid)),
        "pss_mib_postfix": short(sum(map(pss_mib, both.postfix.processes()))),
    }
    return report


def measure_syncs(both: Sides, scale: Scale) -> Report:
    """Syncs (fsync, fdatasync) by message on both sides, counted by strace on runs of their own."""
    found = {}
    for clients in (32, 8):
        with counting_syncs([both.ours.pid], both.folder) as count:
            deliver_ours(both, scale.traced, clients)
            found[f"ours_{clients}"] = count() / scale.traced
    with counting_syncs(both.postfix.processes(), both.folder) as count:
        deliver_postfix(both, scale.traced, 32)
        found["postfix_32"] = count() / scale.traced
    if not found["ours_8"] or not found["ours_32"]:
        raise Unfit("the daemon synced nothing: its answers are not durable")
    report = Report(support={"syncs": {name: short(value) for name, value in found.items()}})
    report.goals = {
        "fsyncs_per_message": short(found["ours_32"]),
        "postfix_fsyncs_per_message": short(found["postfix_32"]),
    }
    return report


def measure_admission(both: Sides, scale: Scale) -> Report:
    """Accepting alone: Postfix defers, mailplane schedules; both have it on disk before the yes."""
    both.postfix.deliver(deliver=False)
    mine, later = both.ours, in_hours(6)
    size = min(_BATCH, scale.messages)
    todo: dict[str, Callable[[], float]] = {
        "postfix": partial(_accept_postfix, both, scale.messages),
        "single": lambda: send(mine.order(scale.messages, 8, later=later)).per_s,
        "single_32": lambda: send(mine.order(scale.messages, 32, later=later)).per_s,
        "batch": lambda: send(mine.order(scale.batches * size, 8, batch=size, later=later)).per_s,
    }
    rates: dict[str, list[float]] = {name: [] for name in todo}
    for number in range(scale.rounds):
        for name, run in todo.items():
            rates[name].append(run())
        told = ", ".join(f"{name} {found[-1]:.0f}/s" for name, found in rates.items())
        say(f"  round {number + 1}: {told}")
    half = max(*rates["single"], *rates["single_32"]) / 2
    count = min(scale.messages, int(half * 10))
    paced = [send(mine.order(count, 32, rate=half, later=later)) for _ in range(scale.rounds)]
    report = Report()
    report.goals = {
        "admission_single_vs_postfix_accept": _ratios(rates["single"], rates["postfix"]),
        "admission_batch_vs_postfix_accept": _ratios(rates["batch"], rates["postfix"]),
        "admission_p99_ms": middle([sent.p99_ms for sent in paced]),
    }
    report.support["admission"] = {
        **{f"{name}_per_s": spread(found) for name, found in rates.items()},
        "half_rate_per_s": short(half),
        "p50_ms": middle([sent.p50_ms for sent in paced]),
        "p99_ms": spread([sent.p99_ms for sent in paced]),
        "max_ms": spread([sent.max_ms for sent in paced]),
    }
    return report


def _accept_postfix(both: Sides, count: int) -> float:
    start_s = time.monotonic()
    _feed_postfix(both, count, 8)
    rate = count / (time.monotonic() - start_s)
    both.postfix.drop_queue()
    return rate


def _feed_postfix(both: Sides, count: int, sessions: int) -> None:
    source = both.postfix.source(count, sessions)
    try:
        if source.wait(_WITHIN_S):
            raise Unfit("smtp-source failed; its words are above")
    finally:
        source.kill()


def _ratio(
    runs: dict[str, list[Run]], mine: str, theirs: str, field: str = "delivered_per_s"
) -> float:
    return _ratios(
        [getattr(run, field) for run in runs[mine]], [getattr(run, field) for run in runs[theirs]]
    )


def _ratios(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios within each round."""
    return middle([mine / other for mine, other in zip(ours, theirs, strict=True)])


def _shown(runs: list[Run]) -> dict[str, dict[str, float]]:
    return {
        field: spread([getattr(run, field) for run in runs])
        for field in Run.__slots__
        if any(getattr(run, field) for run in runs)
    }


def _say(name: str, run: Run) -> None:
    say(
        f"  {name}: {run.delivered_per_s:.0f}/s delivered, {run.accepted_per_s:.0f}/s accepted, "
        f"{run.cpu_ms:.2f} ms CPU each"
    )
