"""Intervals, paired tests and sample sizes, for values of the shape (seed, clip).

A column is a clip (or quadruplet), the same for every seed; a row is a training run. Clips and runs are both
chance: an interval over one run speaks of clips only, and says nothing of a second training.

Each procedure is what held its level in simulation (tests/analysis/test_statistics.py):

- a mean without bounds: studentised bootstrap over clips (percentile and BCa fell under 93% on skewed errors);
- a share, or anything else with bounds: Wilson's interval at the effective number of clips (bootstraps fell
  under 93% near 1, and have no width where all clips agree);
- the scatter between runs, beyond what clips explain, widens both, each of the two quantiles weighted by the
  variance that it is of (Cochran's: their squares added gave 97.1% over three runs that scatter little). The runs'
  quantile is wider by `SKEW`, as families scatter by skewed laws, of which Student's interval over five runs covers
  88%. Nothing covers what no run shows: where trainings come out in one of two ways, equally often, three runs are
  alike in one study of four, five in one of sixteen;
- a difference: random signs for what has bounds, the studentised bootstrap for the rest.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator
from scipy.special import ndtri, stdtr, stdtrit

from vidworld.core.errors import UserError

DRAWS = 2000
LEVEL = 0.95
POWER = 0.8
"""Chance with which `clips_needed` and `runs_needed` are to show a difference."""
SKEW = 3.0
"""Over how many runs the interval of one family is wider than Student's by once its width: enough for 92% where runs
scatter by an exponential law. In a difference of two families that scatter alike their skewness cancels."""
MAX_RUNS = 1000
"""Where a difference would take more runs than this to show, no number is given."""
COUNTS_FROM = 2.0
"""Between-run over interaction mean square from which the runs' scatter enters a paired test. Two estimates
cut off at zero would otherwise make it conservative: 2.7% false positives with three runs, 3.6% with this."""
FLAT, MAX_FLAT = 0.05, 0.01
"""A resample with less than this share of the clips' scatter is flat; with more of them than this share the
bootstrap does not know the tail."""
Bounds = tuple[float, float]
Values = Float[ndarray, "seed clip"]


@dataclass(frozen=True)
class Interval:
    """A mean and where the true one lies at `LEVEL`; all NaN where nothing was measured."""

    value: float
    low: float
    high: float
    n: int  # clips that count


@dataclass(frozen=True)
class Difference(Interval):
    """Mean of first less second over the same clips."""

    p_value: float  # of no difference, two-sided; under 1 - LEVEL where 0 does not lie inside the interval


def interval(values: Values, bounds: Bounds | None = None) -> Interval:
    """The mean over clips and runs with its interval; NaN clips are left out, and one clip has no interval (NaN).

    bounds: the range that the mean can have; (0, inf) for counts. The interval of what has none, but no value
    below zero either (an error), does not go below zero. UserError for a mean outside the bounds.
    """
    values = _applicable(values)[0]
    runs, n = values.shape
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    over_clips = values.mean(axis=0)
    mean, clip_error = float(over_clips.mean()), _clip_error(over_clips)
    if bounds is not None and not bounds[0] - 1e-9 <= mean <= bounds[1] + 1e-9:
        raise UserError(f"a mean of {mean:g} leaves its bounds, {bounds[0]:g} to {bounds[1]:g}")
    if n == 1:
        return Interval(mean, math.nan, math.nan, n)
    if bounds is not None:
        low, high = _wilson(mean, clip_error, n, float(stdtrit(max(n - 1, 1), (1 + LEVEL) / 2)), bounds)
    else:
        draws = _studentised(np.random.default_rng(0), over_clips) * clip_error
        below, above = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low, high = mean - float(above), mean - float(below)
    if run_error := _run_error(values):
        critical = [float(stdtrit(freedom, (1 + LEVEL) / 2)) for freedom in (max(n - 1, 1), runs - 1)]
        critical[1] *= _wider((runs,), (run_error,))
        low = mean - _with_runs(mean - low, run_error, *critical)
        high = mean + _with_runs(high - mean, run_error, *critical)
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    elif values.min() >= 0:
        low = max(low, 0.0)
    return Interval(mean, low, high, n)


def paired_difference(
    first: Values, second: Float[ndarray, "other_seed other_clip"], bounds: Bounds | None = None
) -> Difference:
    """How much higher the first model scores than the second on the same clips, and whether that is chance.

    Clips are paired; runs are not (each model has its own). Clips that are NaN in either are left out. Where
    every clip agrees exactly, a difference of what has bounds keeps the width that n clips leave open.
    UserError where the two were not measured on the same clips.
    """
    n = first.shape[1]
    if n != second.shape[1]:
        raise UserError(f"a paired comparison needs the same clips on both sides, not {n} and {second.shape[1]}")
    first, second = _applicable(first, second)
    n = first.shape[1]
    if n < 2:
        return Difference(math.nan, math.nan, math.nan, n, math.nan)
    difference = first.mean(axis=0) - second.mean(axis=0)
    mean, clip_error = float(difference.mean()), _clip_error(difference)
    generator = np.random.default_rng(0)
    runs = len(first), len(second)
    errors = [_run_error(x, COUNTS_FROM) for x in (first, second)]
    run_error, scatter = math.hypot(*errors), np.zeros(DRAWS)
    if run_error > 0:
        # Welch's degrees of freedom for two models whose runs scatter differently.
        freedom = run_error**4 / sum(error**4 / max(number - 1, 1) for error, number in zip(errors, runs, strict=True))
        scatter = _wider(runs, errors) * run_error * generator.standard_t(freedom, DRAWS)
    if math.hypot(clip_error, run_error) == 0.0:
        half = _agreement_width(n, bounds)
        return Difference(mean, mean - half, mean + half, n, 1.0 if abs(mean) <= half else 2.0 ** (1 - n))
    if bounds is not None:
        draws = _random_signs(generator, difference) * clip_error + scatter
        half = _middle_quantile(np.abs(draws))
        return Difference(mean, mean - half, mean + half, n, _share_beyond(np.abs(draws), abs(mean)))
    draws = _studentised(generator, difference) * clip_error + scatter
    below, above = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    tails = _share_beyond(draws, mean), _share_beyond(-draws, -mean)
    return Difference(mean, mean - float(above), mean - float(below), n, min(1.0, 2 * min(tails)))


def share_interval(successes: int, episodes: int) -> Interval:
    """The share of yes-or-no outcomes with Wilson's score interval (1927); all NaN of none."""
    if episodes == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    share = successes / episodes
    low, high = _wilson(share, 0.0, episodes, float(ndtri((1 + LEVEL) / 2)), (0.0, 1.0))
    return Interval(share, low, high, episodes)


def episodes_for(margin: float) -> int:
    """Episodes from which on no share of successes is uncertain by more than this, to either side.

    Source: the half-width of Wilson's interval at a share of one half, where it is widest. UserError for a margin that
    is no share between 0 and one half.
    """
    if not 0 < margin < 0.5:
        raise UserError(f"a margin of {margin:g}: a share between 0 and 0.5, for instance 0.05, would do")
    square = float(ndtri((1 + LEVEL) / 2)) ** 2
    return max(1, math.ceil(square / (4 * margin**2) - square))


def interval_over_runs(means: Float[ndarray, " run"]) -> Interval:
    """The mean of several runs' means, with an interval over runs alone: clips are a part of each run's scatter."""
    runs, mean = len(means), float(means.mean())
    if runs < 2:
        return Interval(mean, math.nan, math.nan, runs)
    error = float(means.std(ddof=1)) / math.sqrt(runs)
    half = error * float(stdtrit(runs - 1, (1 + LEVEL) / 2)) * (_wider((runs,), (error,)) if error else 1.0)
    return Interval(mean, mean - half, mean + half, runs)


def welch(first: Float[ndarray, " run"], second: Float[ndarray, " other_run"]) -> float:
    """The two-sided p-value of no difference between two families' runs (Welch 1947); NaN under two runs a side."""
    if min(len(first), len(second)) < 2:
        return math.nan
    errors = [float(values.var(ddof=1)) / len(values) for values in (first, second)]
    difference, total = float(first.mean() - second.mean()), sum(errors)
    if total == 0.0:
        return 1.0 if difference == 0.0 else 0.0
    freedom = total**2 / sum(e**2 / (len(v) - 1) for e, v in zip(errors, (first, second), strict=True))
    return 2 * float(stdtr(freedom, -abs(difference) / math.sqrt(total)))


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Spearman's rho of two orders of the same things, and the two-sided p-value of none by `DRAWS` random orders.

    Both NaN where all of either are alike.
    """
    one, other = (_ranks(values) - (len(values) + 1) / 2 for values in (first, second))
    scale = math.sqrt(float((one**2).sum() * (other**2).sum()))
    if scale == 0.0:
        return math.nan, math.nan
    drawn = np.random.default_rng(0).permuted(np.tile(other, (DRAWS, 1)), axis=1) @ one / scale
    rho = float(one @ other) / scale
    return rho, float((np.abs(drawn) >= abs(rho) - 1e-12).sum() + 1) / (DRAWS + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """The p-values corrected for how many there are (Holm 1979); NaN, no test, does not count."""
    ordered = sorted((p, name) for name, p in p_values.items() if not math.isnan(p))
    corrected = accumulate((min(1.0, (len(ordered) - rank) * p) for rank, (p, _) in enumerate(ordered)), max)
    return {**p_values, **{name: p for (_, name), p in zip(ordered, corrected, strict=True)}}


def clips_needed(deviation: float, difference: float, level: float = LEVEL) -> int:
    """Clips with which a paired difference of this size and deviation is seen; UserError for a difference of zero."""
    if difference == 0 or not math.isfinite(difference) or not math.isfinite(deviation):
        raise UserError(f"no number of clips shows a difference of {difference} at a deviation of {deviation}")
    quantiles = float(ndtri((1 + level) / 2) + ndtri(POWER))
    return max(2, math.ceil((quantiles * deviation / difference) ** 2))


def run_scatter(values: Values) -> float:
    """Standard deviation of a model's mean from run to run, beyond what clips explain; NaN of one run."""
    values = _applicable(values)[0]
    return _run_error(values) * math.sqrt(len(values)) if len(values) > 1 else math.nan


def runs_needed(scatters: tuple[float, float], difference: float, level: float = LEVEL) -> int | None:
    """Runs a side with which a difference is seen of two families that scatter so; None for more than `MAX_RUNS`.

    Clips are taken to be enough. Source: the power of Welch's test, its noncentral distribution taken for a shifted
    one. UserError for no difference, or for no scatter.
    """
    total = math.hypot(*scatters)
    if difference == 0 or not math.isfinite(difference) or not 0 < total < math.inf:
        raise UserError(f"no number of runs shows a difference of {difference} at scatters of {scatters}")
    for runs in range(2, MAX_RUNS + 1):
        freedom = (runs - 1) * total**4 / sum(scatter**4 for scatter in scatters)
        critical = _wider((runs, runs), scatters) * float(stdtrit(freedom, (1 + level) / 2))
        if abs(difference) >= (critical + float(ndtri(POWER))) * total / math.sqrt(runs):
            return runs
    return None


def _applicable(*models: Float[ndarray, "_ clip"]) -> list[ndarray]:
    """The columns that are numbers in every row of every model."""
    kept = np.all([np.isfinite(values).all(axis=0) for values in models], axis=0)
    return [np.asarray(values, dtype=np.float64)[:, kept] for values in models]


def _clip_error(over_clips: ndarray) -> float:
    """Standard error of the mean from the scatter between clips."""
    return float(over_clips.std(ddof=1)) / math.sqrt(len(over_clips)) if len(over_clips) > 1 else 0.0


def _run_error(values: ndarray, counts_from: float = 1.0) -> float:
    """Standard error of the mean from the scatter between runs beyond what clips explain; 0 for one run."""
    runs, n = values.shape
    if runs < 2 or n < 2:
        return 0.0
    residual = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    interaction = float((residual**2).sum()) / ((runs - 1) * (n - 1))
    between = n * float(values.mean(axis=1).var(ddof=1))
    return math.sqrt((between - interaction) / (n * runs)) if between > counts_from * interaction else 0.0


def _with_runs(half: float, run_error: float, clip_critical: float, run_critical: float) -> float:
    """A half-width over clips that runs scatter besides (Cochran and Cox, Experimental Designs, 1957)."""
    clip_error = half / clip_critical
    return (half * clip_error + run_critical * run_error**2) / math.hypot(clip_error, run_error)


def _wider(runs: Sequence[int], errors: Sequence[float]) -> float:
    """What Student's quantile is multiplied by for skewed scatter: of one family, or of two in a difference."""
    shares = [error**2 / sum(x**2 for x in errors) for error in errors]
    one_sided = 1 - 4 * math.prod(shares) if len(shares) == 2 else 1.0
    return 1 + SKEW * one_sided * sum(share / number for share, number in zip(shares, runs, strict=True))


def _studentised(generator: Generator, over_clips: ndarray) -> ndarray:
    """Bootstrap draws of (mean* - mean) / error*; Student's where so few clips differ that resamples lack them."""
    n, error = len(over_clips), _clip_error(over_clips)
    if error == 0.0:
        return np.zeros(DRAWS)
    drawn = over_clips[generator.integers(0, n, (DRAWS, n))]
    errors = drawn.std(axis=1, ddof=1) / math.sqrt(n)
    flat = errors < FLAT * error
    if flat.mean() > MAX_FLAT:
        return generator.standard_t(n - 1, DRAWS)
    ratios: ndarray = (drawn.mean(axis=1) - over_clips.mean())[~flat] / errors[~flat]
    return np.concatenate([ratios, ratios[: DRAWS - len(ratios)]])


def _random_signs(generator: Generator, difference: ndarray) -> ndarray:
    """Draws of mean / error where each clip's difference could as well have had the other sign."""
    n = len(difference)
    signs = generator.integers(0, 2, (DRAWS, n)) * 2.0 - 1.0
    means, square = signs @ difference / n, float((difference**2).mean())
    errors = np.sqrt(np.maximum(square - means**2, 0.0) / (n - 1))
    return np.asarray(means / np.maximum(errors, 1e-12 * math.sqrt(square)))


def _ranks(values: Sequence[float]) -> ndarray:
    """From 1 on; equal values share the mean of theirs."""
    _, place, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - (counts - 1) / 2)[place])


def _share_beyond(draws: ndarray, value: float) -> float:
    """Share of draws above a value, ties one half (differences of quadruplets take few values)."""
    close = np.isclose(draws, value, rtol=1e-9, atol=1e-12)
    return float(((draws > value) & ~close).sum() + 0.5 * close.sum() + 0.5) / (len(draws) + 1)


def _middle_quantile(sizes: ndarray) -> float:
    """The smallest size beyond which no more than 1 - LEVEL of the draws lie, ties one half."""
    candidates = np.unique(sizes)
    beyond = 1 - np.searchsorted(np.sort(sizes), candidates, side="right") / len(sizes)
    allowed = candidates[beyond - 0.5 * np.diff(beyond, prepend=1.0) <= 1 - LEVEL]
    return float(allowed[0] if len(allowed) else candidates[-1])


def _wilson(mean: float, error: float, n: int, critical: float, bounds: Bounds) -> tuple[float, float]:
    """Wilson's score interval at the effective number of clips; at n where all clips agree.

    Effective: the number of yes-or-no clips whose share would have this mean and error.
    """
    low, high = bounds
    if math.isinf(high):  # the same with a variance in proportion to the mean (a count)
        dispersion = n * error**2 / (mean - low) if error > 0 else 1.0
        shift = critical**2 * dispersion / n
        half = math.sqrt(shift * (mean - low) + shift**2 / 4)
        return max(low, mean + shift / 2 - half), mean + shift / 2 + half
    width = high - low
    share = (mean - low) / width
    # Clips that agree have an error of rounding alone, or none.
    spread = share * (1 - share)
    effective = spread / (error / width) ** 2 if error > 1e-9 * width and spread > 0 else float(n)
    shrink = 1 + critical**2 / effective
    centre = (share + critical**2 / (2 * effective)) / shrink
    half = critical / shrink * math.sqrt(share * (1 - share) / effective + critical**2 / (4 * effective**2))
    # Rounding must not put the mean outside its own interval.
    least, most = min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)
    return low + width * least, low + width * most


def _agreement_width(n: int, bounds: Bounds | None) -> float:
    """How far the true difference may lie from n equal ones: Wilson's bound for none in n."""
    if bounds is None:
        return 0.0
    square = float(ndtri(0.975)) ** 2
    width = 1.0 if math.isinf(bounds[1]) else bounds[1] - bounds[0]
    return width * square / (n + square)
