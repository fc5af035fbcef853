"""Whole pictures: every object looks as it did, the scene stands still, and what is hidden does not show.

Where an object is, is the other metrics' business. Here the ideal picture has the true scene (what the true clip shows
where no disc is) and the true discs at the places where the *prediction* has them, behind the scene's screens and
blocks. What differs from it is wrong, and belongs to exactly one metric: near an object to `object_integrity`,
elsewhere to `static_scene_error`. `hidden_visible` looks at the screens and blocks once more, for colour alone.

A frozen picture is perfect here; velocities say that it is frozen. With a nuisance that no one can predict, the truth
itself is not perfect: its row is what a model is compared with.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from vidworld.core.clip import Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.metrics import PerClip, metric_of
from vidworld.metrics.velocity import as_array, is_whole, mean_where

MIN_HIDDEN = 0.5  # discs and frames that must be hidden for `hidden_visible` to say something


@dataclass(frozen=True)
class Pictures:
    """What metrics of pictures take: predicted and true ones with their tracks, and how the first differ from ideal."""

    frames: UInt8[Tensor, "clip horizon 3 height width"]  # predicted
    predicted: Tracks  # located in these frames by colour, after the true context
    true_frames: UInt8[Tensor, "clip time 3 height width"]  # of the whole clip
    truth: Tracks
    start: int  # the first frame of the horizon
    intact: Float[Tensor, "clip horizon object"]  # share of an object that is right; 0 where it is not found
    scene_error: Float[Tensor, " clip"]  # root mean square of what belongs to no object, in grey levels
    shows: Float[Tensor, " clip"]  # area of discs' colours on screens and blocks, in pixels, over the horizon
    hides: Float[Tensor, " clip"]  # that of what these truly hide of discs


_metric = partial(metric_of, "appearance", takes="pictures", headline=True)


@_metric(
    "share", "How much of each disc's shape, size and colour is right, wherever it is.", True,
    scenarios=("collision", "uniform", "parabola", "bounce", "billiards", "occlusion"), bounds=(0.0, 1.0), ideal=1.0,
)  # fmt: skip
def object_integrity(pictures: Pictures) -> PerClip:
    """Mean over frames and objects of 1 - (what differs from the true disc, drawn at the place found) / (that disc).

    Both are sums over pixels of distances in colour, the first over all that is near (in 1.5 radii), so that a
    piece that is missing, and one too much, cost their area, and a wrong colour its distance. At most all is wrong: 0,
    which is also the value of an object that is not found. Frames count in which the truth is whole and in the open.
    """
    whole = is_whole(pictures.truth)[:, pictures.start :]
    return mean_where(as_array(pictures.intact), whole)


@_metric(
    "grey levels", "How far background, screens and blocks are from the true ones, with whatever else appears there.",
    scenarios=("occlusion", "uniform", "parabola", "collision", "bounce", "billiards"),
)  # fmt: skip
def static_scene_error(pictures: Pictures) -> PerClip:
    """Root mean square over all pixels that are near no predicted disc, of 255. Screens and blocks always count."""
    return as_array(pictures.scene_error)


@_metric(
    "share", "How much of what is hidden shows through the screens.", scenarios=("occlusion",), bounds=(0.0, 1.0)
)  # fmt: skip
def hidden_visible(pictures: Pictures) -> PerClip:
    """Area of the discs' colours on screens and blocks, over the area that these truly hide: 1 where all shows.

    Both are sums over the horizon, so that it matters little when exactly a disc is behind its screen. A change of
    grey is none of colour. NaN where less than half a disc is hidden for a frame.
    """
    shown, hidden = as_array(pictures.shows), as_array(pictures.hides)
    pixel = WORLD_SIZE / pictures.frames.shape[-1]
    least = MIN_HIDDEN * np.pi * (as_array(pictures.truth.radius) / pixel).min(axis=1) ** 2
    return np.where(hidden >= least, np.minimum(shown / np.maximum(hidden, 1e-9), 1.0), np.nan)
