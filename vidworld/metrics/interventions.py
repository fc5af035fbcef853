"""Interventions: whether what comes of a change is predicted, whatever else is wrong with a rollout.

A prediction is a pair of rollouts of one scene, as it is and with one thing changed, under the same random numbers; its
predicted *effect* is how far the second has a disc from where the first has it, less how far it was already in the
last frame shown: what was seen is no prediction. To say that nothing follows from a change has an error of 1.

A disc counts in frames in which it is whole and in the open in both worlds. What is missing is penalised: a disc that
is not found in one of the two rollouts is as wrong as the clip's largest effect the other way.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from vidworld.core.clip import Tracks
from vidworld.metrics import PerClip, metric_of
from vidworld.metrics.permanence import KNOWS_NOTHING
from vidworld.metrics.velocity import as_array, is_whole, mean_where, positions, speed

LEAST_TRUE = 0.05  # units: a mean effect under this is none to be relative to
NONE = 1e-6  # units up to which there is no effect (tracks are float64)
MOVED = 0.3  # units from its place at which a disc that waited has been struck
WITHIN_S = 0.15  # seconds by which the time of an event may be wrong

_metric = partial(metric_of, "interventions", takes="worlds", scenarios=("collision", "billiards", "uniform"))
_of_chains = partial(metric_of, "interventions", takes="worlds", scenarios=("dominoes",))


class Worlds(NamedTuple):
    """Tracks of whole clips of the same scenes: as they are, and with one disc changed."""

    factual: Tracks
    changed: Tracks


class _Effect(NamedTuple):
    """Of every disc over the horizon, in units; zero where it does not count."""

    true: Float[ndarray, "clip time object 2"]
    predicted: Float[ndarray, "clip time object 2"]
    counted: Bool[ndarray, "clip time object"]
    missing: Bool[ndarray, "clip time object"]  # counted, but not found in one of the two rollouts
    own: Bool[ndarray, "clip 1 object"]  # the disc that was changed

    @property
    def size(self) -> Float[ndarray, "clip time object"]:
        """How far the change brings each disc."""
        return np.where(self.counted, speed(self.true), 0.0)

    @property
    def error(self) -> Float[ndarray, "clip time object"]:
        worst = self.size + self.size.max(axis=(1, 2), keepdims=True)
        return np.where(self.missing, worst, speed(self.predicted - self.true))


def _effect(predicted: Worlds, truth: Worlds, start: int) -> _Effect:
    """The true effect and the predicted one. Raises UserError: the shapes do not fit."""
    whole = [is_whole(world)[:, start - 1 :] for world in truth]
    both = whole[0] & whole[1]
    counted = both[:, 1:] & both[:, :1]
    sides = [positions(mine, true, start) for mine, true in zip(predicted, truth, strict=True)]
    found, true = (sides[1][i][:, start - 1 :] - sides[0][i][:, start - 1 :] for i in (0, 1))
    found, true = found[:, 1:] - true[:, :1], true[:, 1:] - true[:, :1]
    missing = counted & ~np.isfinite(found).all(-1)
    kept = counted[..., None]
    true, found = (np.where(kept, np.nan_to_num(each), 0.0) for each in (true, found))
    return _Effect(true, found, counted, missing, changed_discs(truth, start)[:, None])


def changed_discs(truth: Worlds, start: int) -> Bool[ndarray, "clip object"]:
    """Which discs differ at the end of the context: those that were changed, as nothing has come of it yet."""
    last = start - 1
    looks = [np.stack([as_array(world.radius), world.present.cpu().numpy()[:, last]], -1) for world in truth]
    states = [np.concatenate([as_array(w.position)[:, last], as_array(w.velocity)[:, last]], -1) for w in truth]
    one, other = (np.nan_to_num(np.concatenate(pair, axis=-1)) for pair in zip(looks, states, strict=True))
    return np.asarray((np.abs(one - other) > NONE).any(axis=-1))


def _relative(found: _Effect, where: Bool[ndarray, "clip time object"]) -> PerClip:
    size, error = (np.where(where, each, 0.0).sum(axis=(1, 2)) for each in (found.size, found.error))
    count = (where & found.counted).sum(axis=(1, 2))
    return np.where(size > LEAST_TRUE * count, error / np.maximum(size, 1e-12), np.nan)


@_metric("ratio", "Error of the predicted effect of a change, over its size; 1: nothing follows.", headline=True)
def effect_error(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> PerClip:
    """Sum over frames and discs of |ê - e| over that of |e|: 0 for the truth, 1 for no effect, more for a wrong one."""
    found = _effect(predicted, truth, start)
    return _relative(found, found.counted)


@_metric("ratio", "The same of the other discs alone: what is passed on by contacts.")
def passed_on_error(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> PerClip:
    """`effect_error` of discs that were not changed themselves; NaN where the change reaches none."""
    found = _effect(predicted, truth, start)
    return _relative(found, found.counted & ~found.own)


@_metric("units", "How far discs that the change does not reach are moved by it.")
def unaffected_drift(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> PerClip:
    """Mean |ê| over frames in which a disc that was not changed is where it would have been; missing ones know nothing.

    NaN where there is no such disc. The disc that was changed does not count.
    """
    found = _effect(predicted, truth, start)
    drift = np.where(found.missing, KNOWS_NOTHING, speed(found.predicted))
    return mean_where(drift, found.counted & ~found.own & (found.size <= NONE))


# --- chains: each disc that waits is struck once ---


class _Links(NamedTuple):
    """The discs of a chain in the order in which they are struck, in the changed world; inf: not within the clip."""

    true_s: Float[ndarray, "clip link"]  # NaN for a disc that is no link
    found_s: Float[ndarray, "clip link"]


def _links(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> _Links:
    """When each disc that waits has been moved, over the horizon; of a prediction that has lost it: never."""
    world = truth.changed
    found, true = positions(predicted.changed, world, start)
    waits = is_whole(world)[:, start - 1] & (speed(as_array(world.velocity)[:, start - 1]) <= NONE)
    home = true[:, start - 1, None]

    def moved_s(place: Float[ndarray, "clip time object 2"]) -> Float[ndarray, "clip object"]:
        gone = np.nan_to_num(speed(place[:, start:] - home)) > MOVED
        return np.where(gone.any(axis=1), (gone.argmax(axis=1) + 1) * dt_s, np.inf)

    true_s, found_s = moved_s(true), moved_s(found)
    order = np.argsort(np.where(waits, true_s, np.nan), axis=1, kind="stable")
    true_s, found_s = (np.take_along_axis(np.where(waits, each, np.nan), order, 1) for each in (true_s, found_s))
    return _Links(true_s, found_s)


@_of_chains("links", "How far down a chain, in which one disc was changed, all events come when they should.", True)
def chain_reach(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> PerClip:
    """Discs in a row, from the first that is struck, whose event is within `WITHIN_S`; those never struck stay so."""
    found = _links(predicted, truth, dt_s, start)
    late = np.abs(np.nan_to_num(found.found_s, posinf=1e9) - np.nan_to_num(found.true_s, posinf=1e9))
    right = (late <= WITHIN_S + 1e-9) & ~np.isnan(found.true_s)
    return np.asarray(np.logical_and.accumulate(right, axis=1).sum(axis=1), dtype=float)


@_of_chains("share", "Pairs of a chain's events in the right order; 0.5 is none.", True, ideal=1.0, bounds=(0.0, 1.0))
def chain_order(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> PerClip:
    """Share of pairs of events at different true times that come in their order; a tie is half of one."""
    true_s, found_s = _links(predicted, truth, dt_s, start)
    first, second = np.triu_indices(true_s.shape[1], 1)
    counted = true_s[:, first] < true_s[:, second]  # False for what is no link
    right = np.where(found_s[:, first] == found_s[:, second], 0.5, found_s[:, first] < found_s[:, second])
    return mean_where(right, counted)


@_of_chains("s", "How late or early a chain's events come.")
def chain_time_error(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> PerClip:
    """Mean |t̂ - t| in seconds over events within the clip; one that does not come is wrong by the whole horizon."""
    true_s, found_s = _links(predicted, truth, dt_s, start)
    horizon_s = (truth.changed.position.shape[1] - start) * dt_s
    counted = np.isfinite(true_s)
    late = np.abs(np.where(counted, found_s, 0.0) - np.where(counted, true_s, 0.0))
    return mean_where(np.where(np.isfinite(late), late, horizon_s), counted)
