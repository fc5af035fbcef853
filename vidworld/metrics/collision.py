"""Collision: when two discs meet, how they part, and that they do not pass through each other.

Between contacts discs move straight (scenarios without gravity), so a contact is a kink: two straight lines
are fitted to the positions of the pair, and where they meet is the contact. Truth and prediction go through
the same fit, so an exact prediction scores 0. Counted is the first contact of a clip, when it lies in the
horizon with two straight frames of both discs in the open on either side.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy import ndarray

from vidworld.core.clip import Tracks
from vidworld.metrics import PerClip, metric_of
from vidworld.metrics.velocity import STILL, as_array, is_whole, measure_motion, positions, speed

MIN_KINK = 0.2  # change of the relative velocity, over the true incoming one, below which nothing has met
MIN_HEAD_ON = 0.3  # share of the relative velocity along the line of centres below which a contact only grazes
PASSED_THROUGH = 2.0  # restitution error of discs that pass through each other where they should bounce: |-1 - 1|
_metric = partial(metric_of, "collision", scenarios=("collision", "billiards"))


@dataclass(frozen=True)
class Contact:
    """A true first contact of two discs, and the straight stretch of frames around it."""

    clip: int
    pair: list[int]
    first_after: int  # the first frame at or after the contact
    begin: int
    end: int  # the frame after the stretch's last


@dataclass(frozen=True)
class Kink:
    """Two straight lines through a pair's positions; every array is (disc, axis).

    Here and below plain arrays: shapes checked in the innermost loop would make the tests six times slower.
    """

    time_frames: float
    incoming: ndarray  # units a frame
    outgoing: ndarray
    place: ndarray  # where the incoming lines are at the time of the kink

    @property
    def relative_in(self) -> ndarray:
        return np.asarray(self.incoming[1] - self.incoming[0])

    @property
    def relative_out(self) -> ndarray:
        return np.asarray(self.outgoing[1] - self.outgoing[0])

    def met(self, true_incoming_speed: float) -> bool:
        """The relative velocity changes, and the discs do not just stop."""
        changed = np.linalg.norm(self.relative_out - self.relative_in) >= MIN_KINK * true_incoming_speed
        return bool(changed and np.linalg.norm(self.relative_out) >= STILL * true_incoming_speed)

    def restitution(self) -> float:
        """Outgoing over incoming speed along the line of centres; NaN for a graze."""
        line = self.place[1] - self.place[0]
        line = line / max(float(np.linalg.norm(line)), 1e-9)
        closing = float(self.relative_in @ line)
        if abs(closing) < MIN_HEAD_ON * np.linalg.norm(self.relative_in):
            return float("nan")
        return -float(self.relative_out @ line) / closing


@dataclass(frozen=True)
class Meeting:
    """One contact as it was, as it was predicted (None: no fit), and how much of it is missing."""

    clip: int
    true: Kink
    predicted: Kink | None
    missing: float  # share of the stretch's horizon frames in which one of the two is not found
    top_speed: float

    @property
    def incoming_speed(self) -> float:
        """True relative speed before, in units a frame."""
        return float(np.linalg.norm(self.true.relative_in))

    @property
    def met(self) -> Kink | None:
        """The predicted contact, where there is one."""
        return self.predicted if self.predicted and self.predicted.met(self.incoming_speed) else None

    def charged(self, error: float, charge: float) -> float:
        """The error where found, the penalty for what is missing."""
        return (1 - self.missing) * error + self.missing * charge


@_metric("frames", "How far the predicted contact lies from the true one.", headline=True)
def contact_time_error(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Frames between predicted and true contact; the horizon where discs never meet or are missing."""
    horizon = float(truth.position.shape[1] - start)
    values = np.full(len(truth.position), np.nan)
    for meeting in _meetings(predicted, truth, dt_s, start):
        kink = meeting.met
        error = horizon if kink is None else min(abs(kink.time_frames - meeting.true.time_frames), horizon)
        values[meeting.clip] = meeting.charged(error, horizon)
    return values


@_metric("ratio", "Error of the velocity after contact, relative to the approach.", headline=True)
def outgoing_velocity_error(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Mean over the two discs of |v̂ - v| after the contact, over the true incoming relative speed.

    Each side after its own contact, so that a late one is not penalised twice; where the prediction has none,
    after the true one.
    """
    values = np.full(len(truth.position), np.nan)
    for meeting in _meetings(predicted, truth, dt_s, start):
        charge = float(np.mean(speed(meeting.true.outgoing) + meeting.top_speed * dt_s))
        error = charge
        if meeting.predicted is not None:
            error = float(np.mean(speed(meeting.predicted.outgoing - meeting.true.outgoing)))
        values[meeting.clip] = meeting.charged(error, charge) / meeting.incoming_speed
    return values


@_metric("ratio", "Error of the bounciness.")
def restitution_error(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """|ê - e|, e the outgoing over the incoming speed along the line of centres; at most 2.

    Discs that pass through each other have ê = -1. Those that stop, never meet or are missing count as 2.
    NaN where the true contact grazes.
    """
    values = np.full(len(truth.position), np.nan)
    for meeting in _meetings(predicted, truth, dt_s, start):
        true = meeting.true.restitution()
        if not np.isfinite(true):
            continue
        error = PASSED_THROUGH
        if meeting.met is not None:
            error = min(abs(np.nan_to_num(meeting.met.restitution(), nan=-1.0) - true), PASSED_THROUGH)
        values[meeting.clip] = meeting.charged(error, PASSED_THROUGH)
    return values


@_metric("radii", "How deep discs overlap.")
def interpenetration(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> PerClip:
    """Deepest overlap of the pair that meets in truth, over the smaller radius, over the horizon.

    A pair of which one is missing in a frame, or stands still in most, counts as one inside the other: what
    does not meet cannot be praised for not overlapping.
    """
    values = np.full(len(truth.position), np.nan)
    motion = measure_motion(predicted, truth, dt_s, start)
    place, _ = positions(predicted, truth, start)
    radius = as_array(truth.radius)
    for contact in _contacts(truth, dt_s, start):
        clip, pair = contact.clip, contact.pair
        touch, smaller = radius[clip, pair].sum(), radius[clip, pair].min()
        distance = speed(place[clip, start:, pair[1]] - place[clip, start:, pair[0]])
        counted = motion.counted[clip][:, pair]
        frozen = bool((motion.still[clip][:, pair].sum(axis=0) > 0.5 * counted.sum(axis=0)).any())
        lost = frozen | motion.missing[clip][:, pair].any(axis=-1) | ~np.isfinite(distance)
        depth = np.where(counted.all(axis=-1), np.where(lost, touch, touch - distance), 0.0)
        values[clip] = max(float(depth.max()), 0.0) / smaller
    return values


def _contacts(truth: Tracks, dt_s: float, start: int) -> Iterator[Contact]:
    """The first contact of each clip, where it can be measured."""
    contact_frames = as_array(truth.contact_s) / dt_s
    velocity, whole = as_array(truth.velocity), is_whole(truth)
    frames = velocity.shape[1]
    for clip, times in enumerate(contact_frames):
        if not np.isfinite(times).any():
            continue
        first = float(np.nanmin(times))
        pair = np.flatnonzero(np.abs(times - first) < 1e-6)
        after = int(np.ceil(first))
        if len(pair) != 2 or not start <= after < frames:
            continue
        in_the_open = whole[clip][:, pair].all(axis=-1)
        begin, end = after, after + 1
        while begin > 0 and in_the_open[begin - 1] and _same(velocity[clip, begin - 1 : after][:, pair]):
            begin -= 1
        while end < frames and in_the_open[end] and _same(velocity[clip, after : end + 1][:, pair]):
            end += 1
        if after - begin >= 2 and end - after >= 2 and in_the_open[after]:
            yield Contact(clip, pair.tolist(), after, begin, end)


def _same(velocity: ndarray) -> bool:
    """Nothing acts on the pair over these frames; velocity: (step, disc, axis)."""
    scale = max(float(np.abs(velocity).max()), 1e-9)
    return bool(np.abs(velocity - velocity[:1]).max() <= 1e-3 * scale)


def _meetings(predicted: Tracks, truth: Tracks, dt_s: float, start: int) -> Iterator[Meeting]:
    """Every contact that can be measured, fitted on both sides."""
    top_speed = measure_motion(predicted, truth, dt_s, start).top_speed
    both = positions(predicted, truth, start)
    found = np.isfinite(both[0]).all(axis=-1)
    for contact in _contacts(truth, dt_s, start):
        stretch, pair = slice(contact.begin, contact.end), contact.pair
        predicted_stretch, true_stretch = (place[contact.clip, stretch][:, pair] for place in both)
        true = _fit(true_stretch, contact.begin, contact.first_after)
        if true is None:
            continue
        fitted = _fit(predicted_stretch, contact.begin)
        in_horizon = found[contact.clip, max(start, contact.begin) : contact.end][:, pair].all(axis=-1)
        if fitted is None or not fitted.met(float(np.linalg.norm(true.relative_in))):
            # No contact predicted: what leaves is what moves after the true contact.
            fitted = _fit(predicted_stretch, contact.begin, contact.first_after)
        yield Meeting(contact.clip, true, fitted, 1.0 - float(in_horizon.mean()), float(top_speed[contact.clip]))


def _fit(place: ndarray, begin: int, first_after: int | None = None) -> Kink | None:
    """The two lines with the least squared error that meet between two frames; None where frames lack.

    place: (step, disc, axis) from frame `begin` on. first_after: the first frame of the second line, where it is known.
    """
    times = begin + np.arange(len(place), dtype=np.float64)
    found = np.isfinite(place).all(axis=(1, 2))
    candidates = range(begin + 2, begin + len(place) - 1) if first_after is None else (first_after,)
    best: tuple[float, Kink] | None = None
    for after in candidates:
        before_mask, after_mask = found & (times < after), found & (times >= after)
        if before_mask.sum() < 2 or after_mask.sum() < 2:
            continue
        incoming, place_in, error_in = _line(times[before_mask], place[before_mask], float(after))
        outgoing, place_out, error_out = _line(times[after_mask], place[after_mask], float(after))
        change = outgoing - incoming
        offset = float(np.sum((place_out - place_in) * change) / max(float(np.sum(change**2)), 1e-12))
        offset = float(np.clip(-offset, -1.0, 0.0))  # the lines meet in the step that leads to `after`
        gap = (place_out + offset * outgoing) - (place_in + offset * incoming)
        error = error_in + error_out + float(np.sum(gap**2))
        if best is None or error < best[0] - 1e-12:
            best = error, Kink(after + offset, incoming, outgoing, place_in + offset * incoming)
    return None if best is None else best[1]


def _line(times: ndarray, place: ndarray, at: float) -> tuple[ndarray, ndarray, float]:
    """Slope, value at a time, and summed squared error of the least-squares line."""
    centred = times - times.mean()
    middle = place.mean(axis=0)
    slope = np.einsum("t,tda->da", centred, place) / np.sum(centred**2)
    residual = place - middle - centred[:, None, None] * slope
    return slope, middle + (at - times.mean()) * slope, float(np.sum(residual**2))
