"""The rows of a bench: what was measured of each case, and how it stands to its peers and to the machine."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from speed.cases import Case
from speed.timing import medians_s, peak_mb

OURS, LIMIT = "vidworld", "limit"


@dataclass(frozen=True)
class Row:
    """One quantity of a case, beside one peer or none."""

    name: str
    ours: float
    peer: float | None
    peer_name: str | None
    ratio: float | None
    """Ours over the peer's."""
    unit: str
    limit: float | None
    """What the machine allows of ours, measured in the same run."""
    share_of_limit: float | None
    higher_is_better: bool = True


def measure(cases: Iterable[Case], budget_s: float) -> Iterator[Row]:
    """A row of rates for each case and peer, each case taking about `budget_s`, and one of peak memory.

    The machine's limit is measured with each case, in turn with it and its peers: what else the machine does then
    slows all of them.
    """
    for case in cases:
        jobs = {OURS: case.ours, **case.peers}
        seconds = medians_s(jobs if case.limit is None else {**jobs, LIMIT: case.limit.job}, budget_s)
        limit = None
        if case.limit is not None:
            limit = case.amount / (case.needed / case.limit.amount * seconds[LIMIT])
        rates = {name: case.amount / seconds[name] for name in jobs}
        yield from _rows(case.name, case.unit, rates, limit)
        peaks = {name: peak_mb(job) for name, job in jobs.items()}
        known = {name: peak for name, peak in peaks.items() if peak}
        if OURS in known:
            yield from _rows(f"peak memory, {case.name}", "MB", known, None, higher_is_better=False)


def _rows(
    name: str, unit: str, found: dict[str, float], limit: float | None, higher_is_better: bool = True
) -> Iterator[Row]:
    ours = found[OURS]
    share = None if limit is None else ours / limit
    others: list[tuple[str | None, float | None]] = [pair for pair in found.items() if pair[0] != OURS]
    for peer_name, peer in others or [(None, None)]:
        ratio = None if peer is None else ours / peer
        yield Row(name, ours, peer, peer_name, ratio, unit, limit, share, higher_is_better)
