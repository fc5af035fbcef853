"""phyworld's parser and errors, as its released code computes them from pictures.

Source: Kang et al. 2024, "How far is video generation from world model" (arXiv 2411.02385), `evaluate.py`.

Quirks, kept:
- its pictures put pixel i at i / (W - 1) of the world's width and its parser reads it at i / W: every velocity
  is read too small by 1 / W, which is most of the published error of the truth (0.0098 of 0.0099 at 256 px).
  `calibrated=True` reads such pictures rightly. `drawn` gives the places at which our renderer draws as theirs;
- only the horizontal velocity counts, and of that only the mean over frames: errors to both sides cancel;
- of the parabola no velocity is reported but the mean distance in place, horizontally: with the same slip of
  i / W it is x / W, larger to the right, whatever the velocity is;
- a disc that is not found is taken to be at a border of the picture (the left one for the first of two, else
  the right) rather than charged;
- frames in which the true disc is cut by the border are dropped, as are the first three;
- momentum and energy errors are not divided by anything.

Measured with our simulation of its settings at 256 px: 0.0101 ± 0.0002 for uniform motion (published 0.0099),
0.0207 ± 0.0001 for the parabola (published 0.0210), and 0.0116 ± 0.0004 for collisions (published 0.0117) with its grid
of scenes, its soft edges and its two compressions, without which it is 0.0102: the few frames after a contact do not
average out what compression does to an edge, as those of uniform motion do (DECISIONS.md, 2026-11-22).
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vidworld.core.clip import Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.shapes import Frames
from vidworld.metrics.metric import PerClip
from vidworld.metrics.motion import as_array

FIRST_FRAME = 3
CONTACT_CHANGE = 0.1
"""Change of a true horizontal velocity from one step to the next that counts as the contact."""
LEVEL = 127


class CollisionErrors(NamedTuple):
    """Of one clip each; before and after leave out the step across the contact."""

    velocity_before: PerClip
    """Mean over discs of |mean v̂ - mean v|, horizontal, in units a second."""
    velocity_after: PerClip
    momentum_before: PerClip
    """Mean over frames of |m₁v̂₁ + m₂v̂₂ - P₀|."""
    momentum_after: PerClip
    energy_before: PerClip
    """Mean over frames of |½ Σ m v̂² - E₀|."""
    energy_after: PerClip


def parse(frames: Frames, discs: int, calibrated: bool = False) -> Float[ndarray, "clip time disc 2"]:
    """Centres in world units of the red disc and, of two, the blue one: the mean index of their pixels.

    Red is where R is above 127 and G and B are below, blue where B is. y points down.
    """
    red, green, blue = (frames[:, :, channel].cpu().numpy().astype(np.int16) for channel in range(3))
    masks = [
        (red > LEVEL) & (green < LEVEL) & (blue < LEVEL),
        (blue > LEVEL) & (green < LEVEL) & (red < LEVEL),
    ]
    width = frames.shape[-1]
    scale = WORLD_SIZE / (width - 1 if calibrated else width)
    places = []
    for number, mask in enumerate(masks[:discs]):
        count = mask.sum(axis=(2, 3))
        x = (mask.sum(axis=2) * np.arange(width)).sum(axis=-1) / np.maximum(count, 1)
        y = (mask.sum(axis=3) * np.arange(mask.shape[2])).sum(axis=-1) / np.maximum(count, 1)
        place = np.stack([x, y], axis=-1) * scale
        border = 0.0 if discs == 2 and number == 0 else WORLD_SIZE
        places.append(_kept_at_border(place, count > 0, border))
    return np.stack(places, axis=2)


def drawn(
    position: Float[torch.Tensor, "clip time object 2"],
    radius: Float[torch.Tensor, "clip object"],
    width: int,
) -> tuple[Float[torch.Tensor, "clip time object 2"], Float[torch.Tensor, "clip object"]]:
    """Places and radii that our renderer (pixel centres at i + 1/2) draws as phyworld's does (at i of W - 1)."""
    shrink = (width - 1) / width
    return position * shrink + 0.5 * WORLD_SIZE / width, radius * shrink


def mean_velocity_error(
    place: Float[ndarray, "clip time disc 2"], truth: Tracks, dt_s: float, axis: int = 0
) -> PerClip:
    """|mean v̂ - mean v| of a single disc, horizontal as in phyworld (axis 0) or vertical (1).

    NaN with less than two frames in full view.
    """
    true_place = as_array(truth.position)
    values = np.full(len(place), np.nan)
    for clip, frames in enumerate(_in_view(truth, horizontally_only=False)):
        if len(frames) >= 2:
            error = np.diff((place - true_place)[clip, frames, 0, axis]) / dt_s
            values[clip] = abs(error.mean())
    return values


def mean_position_error(place: Float[ndarray, "clip time disc 2"], truth: Tracks, axis: int = 0) -> PerClip:
    """Mean over frames of |x̂ - x| of a single disc, in units; NaN with less than two frames in full view."""
    true_place = as_array(truth.position)
    values = np.full(len(place), np.nan)
    for clip, frames in enumerate(_in_view(truth, horizontally_only=False)):
        if len(frames) >= 2:
            values[clip] = np.abs((place - true_place)[clip, frames, 0, axis]).mean()
    return values


def collision_errors(
    place: Float[ndarray, "clip time disc 2"], truth: Tracks, dt_s: float
) -> CollisionErrors:
    """phyworld's errors of two discs that meet; NaN where the discs are not in view on that side of it."""
    true_place, velocity, mass = as_array(truth.position), as_array(truth.velocity), as_array(truth.mass)
    values = np.full((6, len(place)), np.nan)
    for clip, frames in enumerate(_in_view(truth, horizontally_only=True)):
        if len(frames) < 3:
            continue
        found = np.diff(place[clip, frames, :, 0], axis=0) / dt_s  # (step, disc)
        true = np.diff(true_place[clip, frames, :, 0], axis=0) / dt_s
        momentum = np.abs(found @ mass[clip] - velocity[clip, 0, :, 0] @ mass[clip])
        energy = np.abs(0.5 * found**2 @ mass[clip] - 0.5 * velocity[clip, 0, :, 0] ** 2 @ mass[clip])
        changes = np.abs(np.diff(true, axis=0)).max(axis=-1) > CONTACT_CHANGE
        contact = int(changes.argmax()) + 1 if changes.any() else len(true) - 1
        for row, steps in enumerate((slice(0, contact), slice(contact + 1, None))):
            if len(true[steps]):
                difference = np.abs(found[steps].mean(axis=0) - true[steps].mean(axis=0))
                values[[row, row + 2, row + 4], clip] = (
                    difference.mean(), momentum[steps].mean(), energy[steps].mean(),
                )  # fmt: skip
    return CollisionErrors(*values)


def _in_view(truth: Tracks, horizontally_only: bool) -> list[ndarray]:
    """The frames of each clip, from the fourth on, in which the picture's border cuts no disc."""
    place, radius = as_array(truth.position), as_array(truth.radius)[:, None, :, None]
    inside = (place - radius >= 0) & (place + radius <= WORLD_SIZE)
    whole = inside[..., 0] if horizontally_only else inside.all(axis=-1)
    whole = whole.all(axis=-1)
    whole[:, :FIRST_FRAME] = False
    return [np.flatnonzero(row) for row in whole]


def _kept_at_border(place: ndarray, found: ndarray, border: float) -> ndarray:
    """What is not found lies at the border, at the height where it was last; (clip, time, 2)."""
    kept = place.copy()
    for clip, time in np.argwhere(~found):
        kept[clip, time] = border, kept[clip, time - 1, 1] if time else np.nan
    return kept
