"""What the tokenizer keeps: the ceiling of everything that is decoded."""

from functools import partial

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray

from vidworld.metrics import PerClip, metric_of
from vidworld.metrics.velocity import ANYWHERE, VELOCITY_SCENARIOS, mean_where

NEVER_EXACT = 1e-3  # squared error in bytes under which there is taken to be none: 78 dB
_metric = partial(metric_of, "reconstruction", scenarios=VELOCITY_SCENARIOS)


@_metric("dB", "Peak signal-to-noise ratio of what was encoded and decoded.", True, takes="frames")
def psnr(frames: UInt8[ndarray, "clip time c h w"], truth: UInt8[ndarray, "clip time c h w"]) -> PerClip:
    """Peak signal-to-noise ratio of each clip, in dB, its squared error being the mean over all its pixels."""
    squared = (frames.astype(np.float32) - truth.astype(np.float32)) ** 2
    error = squared.reshape(len(squared), -1).mean(axis=1, dtype=np.float64)
    return np.asarray(10 * np.log10(255**2 / np.maximum(error, NEVER_EXACT)))


@_metric("px", "How far discs move when they are encoded and decoded.", takes="places")
def centroid_error(
    places: Float64[ndarray, "clip time object 2"], truth: Float64[ndarray, "clip time object 2"], pixel: float
) -> PerClip:
    """Mean distance of discs from where the same readout finds them in the original, in pixels of `pixel` units.

    A disc that is found in the original only is penalised with the distance of one that could be anywhere. NaN where
    the original shows none.
    """
    shown = np.isfinite(truth).all(axis=-1)
    distance = np.linalg.norm(np.nan_to_num(places) - np.nan_to_num(truth), axis=-1)
    distance = np.where(np.isfinite(places).all(axis=-1), distance, ANYWHERE) / pixel
    return mean_where(distance, shown)
