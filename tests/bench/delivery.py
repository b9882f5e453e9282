"""Both sides on the same work: the same count and size of messages into the same kind of sink.

The sides take turns, so that whatever else the machine does hits both; a ratio is taken within a
round, and the median of the rounds is the figure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench.figures import Report, Scale, middle, say, short, spread
from tests.bench.load import Source, send
from tests.bench.ours import Book, Ours, check_durable, ours
from tests.bench.peers import Postfix, Sink, postfix, sink
from tests.bench.processes import Unfit, check_disk, counting_syncs, pss_mib, settle

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

    postfix: Postfix
    postfix_sink: Sink
    ours: Ours
    our_sink: Sink


@contextmanager
def sides(folder: Path, *, dkim: bool = False) -> Iterator[Sides]:
    """Both sides, warm. Refuses when one of them would not be durable."""
    check_disk(folder)
    check_durable(folder)
    with ExitStack() as stack:
        postfix_sink = stack.enter_context(sink(folder / "sink-postfix"))
        our_sink = stack.enter_context(sink(folder / "sink"))
        theirs = stack.enter_context(postfix(folder / "postfix", postfix_sink.port))
        mine = stack.enter_context(ours(folder, Book(dkim=dkim), our_sink.port))
        found = Sides(theirs, postfix_sink, mine, our_sink)
        deliver_postfix(found, _WARM_UP, 8)
        deliver_ours(mine, our_sink, _WARM_UP, 8)
        yield found


def deliver_postfix(sides: Sides, count: int, sessions: int) -> Run:
    """Feed Postfix, wait for the last message at the sink."""
    before, cpu_s = sides.postfix_sink.count(), sides.postfix.cpu_s()
    start_s = time.monotonic()
    source = sides.postfix.source(count, sessions)
    try:
        if source.wait(_WITHIN_S):
            raise Unfit("smtp-source failed; its words are above")
    finally:
        source.kill()
    fed_s = time.monotonic() - start_s
    end_s = sides.postfix_sink.reached(before + count, _WITHIN_S)
    settle()
    return Run(
        accepted_per_s=count / fed_s,
        delivered_per_s=count / (end_s - start_s),
        cpu_ms=1e3 * (sides.postfix.cpu_s() - cpu_s) / count,
    )


def deliver_ours(mine: Ours, into: Sink, count: int, connections: int) -> Run:
    """Feed mailplane, wait for the last message at the sink."""
    source = Source(mine.order(count, connections))
    try:
        before, cpu_s = into.count(), mine.cpu_s()
        start_s = time.monotonic()
        source.go()
        sent = source.result()
    finally:
        source.close()
    end_s = into.reached(before + count, _WITHIN_S)
    settle()
    return Run(
        accepted_per_s=sent.per_s,
        delivered_per_s=count / (end_s - start_s),
        cpu_ms=1e3 * (mine.cpu_s() - cpu_s) / count,
        p50_ms=sent.p50_ms,
        p99_ms=sent.p99_ms,
    )


def measure_delivery(folder: Path, scale: Scale) -> Report:
    """End to end at 32 and at 8, unsigned."""
    names = ("postfix_32", "ours_32", "postfix_8", "ours_8")
    runs: dict[str, list[Run]] = {name: [] for name in names}
    with sides(folder) as both:
        for number in range(scale.rounds):
            for name in names:
                side, _, clients = name.partition("_")
                runs[name].append(_deliver(both, side, scale.messages, int(clients)))
                _say(f"round {number + 1}, {name}", runs[name][-1])
        memory = {
            "pss_mib_ours": short(pss_mib(both.ours.pid)),
            "pss_mib_postfix": short(sum(map(pss_mib, both.postfix.processes()))),
        }
    report = Report(support={"delivery": {**_shown(runs), **memory}})
    report.goals = {
        "end_to_end_vs_postfix": _ratio(runs["ours_32"], runs["postfix_32"], "delivered_per_s"),
        "end_to_end_vs_postfix_8": _ratio(runs["ours_8"], runs["postfix_8"], "delivered_per_s"),
        "cpu_per_message_vs_postfix": _ratio(runs["ours_8"], runs["postfix_8"], "cpu_ms"),
    }
    report.support["delivery"]["cpu_per_message_vs_postfix_32"] = _ratio(
        runs["ours_32"], runs["postfix_32"], "cpu_ms"
    )
    return report


def measure_signed(folder: Path, scale: Scale) -> Report:
    """End to end at 8, RSA-2048 signatures on our side only."""
    runs: dict[str, list[Run]] = {"postfix_8": [], "ours_8_dkim": []}
    with sides(folder, dkim=True) as both:
        for number in range(scale.rounds):
            for name, found in runs.items():
                found.append(_deliver(both, name.partition("_")[0], scale.messages, 8))
                _say(f"round {number + 1}, {name}", found[-1])
    ratio = _ratio(runs["ours_8_dkim"], runs["postfix_8"], "delivered_per_s")
    return Report({"end_to_end_dkim_vs_postfix": ratio}, {"signed": _shown(runs)})


def measure_admission(folder: Path, scale: Scale) -> Report:
    """Accepting alone: Postfix defers, mailplane schedules; both have it on disk before the yes."""
    rates: dict[str, list[float]] = {"postfix": [], "single": [], "single_32": [], "batch": []}
    with sides(folder) as both:
        both.postfix.deliver(deliver=False)
        mine = both.ours
        later = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
        batched = scale.batches * min(_BATCH, scale.messages)
        for number in range(scale.rounds):
            rates["postfix"].append(_accept_postfix(both, scale.messages))
            rates["single"].append(send(mine.order(scale.messages, 8, later=later)).per_s)
            rates["single_32"].append(send(mine.order(scale.messages, 32, later=later)).per_s)
            order = mine.order(batched, 8, batch=min(_BATCH, scale.messages), later=later)
            rates["batch"].append(send(order).per_s)
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


def measure_syncs(folder: Path, scale: Scale) -> Report:
    """Syncs (fsync, fdatasync) by message on both sides, counted by strace on runs of their own."""
    found = {}
    with sides(folder) as both:
        for clients in (32, 8):
            with counting_syncs([both.ours.pid], folder) as count:
                deliver_ours(both.ours, both.our_sink, scale.traced, clients)
                found[f"ours_{clients}"] = count() / scale.traced
        with counting_syncs(both.postfix.processes(), folder) as count:
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


def _deliver(both: Sides, side: str, count: int, clients: int) -> Run:
    if side == "postfix":
        return deliver_postfix(both, count, clients)
    return deliver_ours(both.ours, both.our_sink, count, clients)


def _accept_postfix(both: Sides, count: int) -> float:
    start_s = time.monotonic()
    source = both.postfix.source(count, 8)
    if source.wait(_WITHIN_S):
        raise Unfit("smtp-source failed; its words are above")
    rate = count / (time.monotonic() - start_s)
    both.postfix.drop_queue()
    return rate


def _ratio(ours: list[Run], theirs: list[Run], name: str) -> float:
    return _ratios([getattr(run, name) for run in ours], [getattr(run, name) for run in theirs])


def _ratios(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios within each round."""
    return middle([mine / other for mine, other in zip(ours, theirs, strict=True)])


def _shown(runs: dict[str, list[Run]]) -> dict[str, object]:
    return {
        name: {
            field: spread([getattr(run, field) for run in found])
            for field in Run.__slots__
            if any(getattr(run, field) for run in found)
        }
        for name, found in runs.items()
    }


def _say(name: str, run: Run) -> None:
    say(
        f"  {name}: {run.delivered_per_s:.0f}/s delivered, {run.accepted_per_s:.0f}/s accepted, "
        f"{run.cpu_ms:.2f} ms CPU each"
    )
