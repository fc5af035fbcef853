"""Hidden properties: whether the outcome of the test follows what the reveal has shown.

Of a rollout that begins between the reveal and the test (simulation/properties.py) the *implied* property is read: by
how much of the speed at which they meet the third disc takes on, how heavy the hidden one was taken to be, as a share
m / (m + m'), or how much they bounce. It does not depend on how fast discs were seen to move, so that a model which
reads velocities and has forgotten the reveal implies the same property always.
Pairs of clips differ in the property alone: a rank is 1 where the order of what is implied is that of the truth, 0
where it is the other, and 1/2 where nothing is implied or both are the same, as in front of equal contexts.
"""

from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray

from vidworld.core.clip import Tracks
from vidworld.metrics import PerClip, metric_of
from vidworld.metrics.interventions import Worlds
from vidworld.metrics.velocity import as_array, positions

_STRIKES, _HIDDEN, _COMES = range(3)
_AFTER = 2  # steps after the contact that outgoing velocities are the mean of, at most
_SAME = 0.02  # of what is implied: differences up to this are none
_LEAST_CHANGE = 0.2  # units a second of the third disc's velocity, under which nothing was struck
_LEGIBLE = 0.25  # of the pair's difference: how far what the truth implies may lie from the true property
_NEAR = 0.1  # units that discs which touch may be read apart
SCENARIOS_OF_PROPERTIES = ("hidden_mass", "hidden_restitution")
_metric = partial(metric_of, "hidden property", takes="worlds", scenarios=SCENARIOS_OF_PROPERTIES)


def concerns_mass(truth: Tracks) -> Bool[ndarray, " clip"]:
    """Whether what is hidden is a mass: it is another than its neighbours'. Else it is the restitution."""
    mass = as_array(truth.mass)
    return np.asarray(np.abs(mass[:, _HIDDEN] / mass[:, _STRIKES] - 1) > 1e-9)


def true_property(truth: Tracks, dt_s: float) -> PerClip:
    """The share m / (m + m') of the hidden mass, or the restitution, from the exact velocities about the reveal."""
    mass, velocity = as_array(truth.mass), as_array(truth.velocity)
    frame = np.ceil(as_array(truth.contact_s)[:, _STRIKES] / dt_s).astype(int)
    after = velocity[np.arange(len(frame)), frame]
    before = velocity[:, 0]
    along = _axis(truth)
    closing = ((before[:, _STRIKES] - before[:, _HIDDEN]) * along).sum(-1)
    parting = ((after[:, _HIDDEN] - after[:, _STRIKES]) * along).sum(-1)
    share = mass[:, _HIDDEN] / (mass[:, _HIDDEN] + mass[:, _COMES])
    return np.asarray(np.where(concerns_mass(truth), share, parting / closing))


def implied_property(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """What the test's outcome implies, in the same measure; NaN where a disc is lost or nothing is struck.

    By how much of the closing speed the third disc takes on, which nothing strikes again: twice the share m / (m + m')
    of an elastic contact, (1 + e) / 2 of one of equal masses.
    """
    incoming, outgoing = _about_the_test(predicted, truth, dt_s, start)
    closing, taken_on = incoming[:, 0] - incoming[:, 1], outgoing - incoming[:, 1]
    found = np.where(concerns_mass(truth), taken_on / (2 * closing), 2 * taken_on / closing - 1)
    return np.where(taken_on > _LEAST_CHANGE, found.clip(0, 1.5), np.nan)


def _is_legible(truth: Worlds, dt_s: float, start: int) -> Bool[ndarray, " clip"]:
    """Whether what truly happened implies the true properties, well within what the two worlds differ by."""
    reveal_s = np.maximum(*(as_array(each.contact_s)[:, _STRIKES] for each in truth))
    starts = np.maximum(np.ceil(reveal_s / dt_s).astype(int) + 1, start)  # whatever other pairs are measured with it
    legible = np.zeros(len(starts), dtype=bool)
    for first in np.unique(starts):
        rows = np.flatnonzero(starts == first)
        some = [each.at(torch.from_numpy(rows)) for each in truth]
        true = [true_property(each, dt_s) for each in some]
        implied = [implied_property(each, each, dt_s, int(first)) for each in some]
        legible[rows] = np.abs(np.subtract(implied, true)).max(axis=0) <= _LEGIBLE * np.abs(true[0] - true[1])
    return legible


def _axis(truth: Tracks) -> Float[ndarray, "clip 2"]:
    """The direction of the row, from the disc that strikes to the one that comes."""
    place = as_array(truth.position)[:, 0]
    way = place[:, _COMES] - place[:, _STRIKES]
    return np.asarray(way / np.linalg.norm(way, axis=-1, keepdims=True))


def _about_the_test(
    predicted: Tracks, truth: Tracks, dt_s: float, start: int
) -> tuple[Float[ndarray, "clip 2"], PerClip]:
    """Velocities along the row: of the hidden disc and the one that comes before they meet; of this after they met.

    The first are those at the context's end if it shows the reveal, else those that are predicted before they meet.
    They meet where the prediction first has them touch, but for what a frame leaves open: whoever leaves them apart, as
    a frozen frame does, has no outcome (NaN).
    """
    found, _ = positions(predicted, truth, start)
    place = (found[:, :, [_HIDDEN, _COMES]] * _axis(truth)[:, None, None]).sum(-1)
    incoming = (as_array(truth.velocity)[:, start - 1][:, [_HIDDEN, _COMES]] * _axis(truth)[:, None]).sum(-1)
    ahead = place[:, start - 1 :]
    gap = np.where(np.isnan(ahead).any(-1), np.inf, np.abs(ahead[..., 1] - ahead[..., 0]))
    reach = as_array(truth.radius)[:, [_HIDDEN, _COMES]].sum(-1)
    half_a_frame = (incoming[:, 0] - incoming[:, 1]) * dt_s / 2
    nearest = (gap[:, :-1] <= (reach + half_a_frame + _NEAR)[:, None]) & (gap[:, 1:] >= gap[:, :-1])
    met, last = nearest.argmax(axis=1), ahead.shape[1] - 1
    first, end = np.minimum(met + 1, last), np.minimum(met + 1 + _AFTER, last)
    rows, steps = np.arange(len(met)), np.maximum(end - first, 1)
    seen = as_array(truth.contact_s)[:, _STRIKES] <= (start - 1) * dt_s
    foreseen = (ahead[rows, np.maximum(met - 1, 1)] - ahead[rows, np.maximum(met - 2, 0)]) / dt_s
    incoming = np.where(seen[:, None], incoming, foreseen)
    outgoing = (ahead[rows, end, 1] - ahead[rows, first, 1]) / (steps * dt_s)
    return np.asarray(incoming), np.where(nearest.any(axis=1) & (end > first), outgoing, np.nan)


def _rank(one: PerClip, other: PerClip, true_one: PerClip, true_other: PerClip) -> PerClip:
    apart = np.nan_to_num(one - other)
    right = np.sign(apart) == np.sign(true_one - true_other)
    return np.where(np.abs(apart) <= _SAME, 0.5, right.astype(float))


@_metric(
    "accuracy", "Pairs that differ in the property alone, whose predicted tests imply it in the right order.", True,
    ideal=1.0, bounds=(0.0, 1.0), headline=True,
)  # fmt: skip
def implied_rank(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> PerClip:
    """1, 0 or 1/2 a pair; 1/2 is chance. NaN where the true outcomes do not imply the true properties."""
    implied = [implied_property(mine, true, dt_s, start) for mine, true in zip(predicted, truth, strict=True)]
    ranks = _rank(*implied, *(true_property(true, dt_s) for true in truth))
    return np.where(_is_legible(truth, dt_s, start), ranks, np.nan)


@_metric(
    "accuracy", "The same of how fast the third disc leaves: it follows also from velocities that were seen.", True,
    ideal=1.0, bounds=(0.0, 1.0),
)  # fmt: skip
def outcome_rank(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> PerClip:
    """Whether the third disc's outgoing velocities are in the true order; 1/2 where it meets none, NaN as above."""
    sides = [*zip(predicted, truth, strict=True), *zip(truth, truth, strict=True)]
    outgoing = [_about_the_test(mine, true, dt_s, start)[1] for mine, true in sides]
    return np.where(_is_legible(truth, dt_s, start), _rank(*outgoing), np.nan)


@_metric("share", "How far the implied property lies from the true one.")
def property_error(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> PerClip:
    """Mean over both clips of the error, m / (m + m') or the restitution; what implies nothing is wrong by 1/2.

    NaN as above.
    """
    errors = [
        np.abs(implied_property(mine, true, dt_s, start) - true_property(true, dt_s))
        for mine, true in zip(predicted, truth, strict=True)
    ]
    both = np.mean([np.where(np.isnan(each), 0.5, each) for each in errors], axis=0)
    return np.where(_is_legible(truth, dt_s, start), both, np.nan)


@_metric("share", "How far two samples of one future differ in what they imply; the aim is the oracle's.", None)
def implied_spread(predicted: Worlds, truth: Worlds, dt_s: float, start: int) -> PerClip:
    """|difference| of what the two imply: `predicted` are two samples of one clip, `truth` its tracks twice.

    What a model does not know yet should differ before the reveal, and not after it. NaN where one implies nothing.
    """
    one, other = (implied_property(mine, true, dt_s, start) for mine, true in zip(predicted, truth, strict=True))
    return np.asarray(np.abs(one - other))
