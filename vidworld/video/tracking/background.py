"""The scene without what moves in it, and how much a frame differs from it."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from vidworld.core.shapes import Film

Picture = Float[ndarray, "height width 3"]

SAMPLED = 61  # frames that a background is the median of
MIN_LEVELS = 12.0  # grey levels by which a pixel differs that belongs to an object, where the film is free of noise
NOISE_TIMES = 6.0  # the same in deviations of the film's own noise
RESTING_SHARE = 0.1  # of the frames: a pixel that has another, steady value for longer may show the background then


def background_of(frames: Film) -> Picture:
    """The scene without what moves: each pixel's median, and where a thing rested for longer than it was away, the
    value behind it.

    A resting thing leaves a mark in the median, and a ghost of itself where the scene was bare. A pixel that has two
    steady values has the one of the background that is nearer to what its surroundings would continue as.
    """
    sample = frames[np.linspace(0, len(frames) - 1, min(SAMPLED, len(frames))).round().astype(int)]
    usual = np.median(sample, axis=0).astype(np.float32)
    away = np.stack([cv2.absdiff(frame.astype(np.float32), usual).max(axis=-1) for frame in sample])
    differs = away > 2 * MIN_LEVELS
    twofold = differs.mean(axis=0) > RESTING_SHARE
    if not twofold.any():
        return np.asarray(usual, np.float64)
    values = sample[:, twofold].astype(np.float32)
    other = np.nanmedian(np.where(differs[:, twofold, None], values, np.nan), axis=0)
    unsure = cv2.dilate(twofold.astype(np.uint8), np.ones((5, 5), np.uint8))
    inpainted = cv2.inpaint(usual.round().astype(np.uint8), unsure, 3, cv2.INPAINT_TELEA)
    continued, here = inpainted[twofold].astype(np.float32), usual[twofold]
    nearer = np.abs(other - continued).sum(axis=1) < np.abs(here - continued).sum(axis=1)
    usual[twofold] = np.where(nearer[:, None], other, here)
    return np.asarray(usual, np.float64)


def difference(frame: UInt8[ndarray, "height width 3"], background: Picture) -> Float[ndarray, "height width"]:
    """Grey levels of the colour that differs most, after taking off what the exposure changed, slightly blurred."""
    apart = frame.astype(np.float32) - background.astype(np.float32)
    apart -= np.median(apart.reshape(-1, 3)[::7], axis=0)
    blurred: ndarray = cv2.GaussianBlur(np.abs(apart).max(axis=-1), (0, 0), 0.8).astype(np.float64)
    return blurred


def threshold_of(frames: Film, background: Picture) -> float:
    """Levels above which a pixel is no noise, from that of the frames."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(9, len(frames))).round().astype(int)]
    noise = np.median([np.median(difference(frame, background)) for frame in chosen])
    return max(MIN_LEVELS, NOISE_TIMES * float(noise))
