"""Physics-IQ's four measures equal an implementation that shares no line and no library with ours.

Written from the paper and OpenCV's documented arithmetic with numpy and scipy alone: grey and blur in fixed
point, the running average, the difference, opening and closing.
"""

import json
from pathlib import Path

import decord
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from vidworld.metrics.physics_iq import physics_iq

SQUARE = np.ones((5, 5), bool)
BLUR = np.array([1, 4, 6, 4, 1])  # sixteenths


def grey_and_blurred(frame):
    """(channel, height, width) of bytes to (height, width), rounded as OpenCV does."""
    red, green, blue = frame.astype(np.int64)
    grey = (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15
    blurred = ndimage.convolve1d(ndimage.convolve1d(grey, BLUR, 0, mode="mirror"), BLUR, 1, mode="mirror")
    return (blurred + 128) >> 8


def masks(video):
    pictures = [grey_and_blurred(frame) for frame in video]
    average, found = pictures[0].astype(float), [np.zeros(pictures[0].shape, bool)]
    for picture in pictures[1:]:
        average = 0.7 * average + 0.3 * picture
        moved = np.abs(picture - np.rint(average.astype(np.float32))) > 10  # halves, freed of rounding
        opened = ndimage.binary_dilation(ndimage.binary_erosion(moved, SQUARE, border_value=1), SQUARE)
        found.append(ndimage.binary_erosion(ndimage.binary_dilation(opened, SQUARE), SQUARE, border_value=1))
    return np.array(found)


def ratio(shared, either):
    return shared.sum() / either.sum() if either.sum() else 1.0


def four_measures(predicted, truth, start):
    p, t = masks(predicted)[start:], masks(truth)[start:]
    where = ratio(p.any(0) & t.any(0), p.any(0) | t.any(0))
    when = np.mean([ratio(a & b, a | b) for a, b in zip(p, t, strict=True)])
    how_much = ratio(np.minimum(p.mean(0), t.mean(0)), np.maximum(p.mean(0), t.mean(0)))
    error = np.mean((predicted[start:] / 255 - truth[start:] / 255) ** 2)
    return (where, when, how_much, error) if t.any() else (np.nan, np.nan, np.nan, error)


def takes(seed, frames=12, height=48, width=64):
    """Two takes of one scene: a textured background, two things that move a little differently, noise."""
    rng = np.random.default_rng(seed)
    background = ndimage.gaussian_filter(rng.uniform(0, 255, (3, height, width)), (0, 3, 3))
    rows, columns = np.mgrid[:height, :width]
    both = np.repeat(background[None], 2 * frames, axis=0).reshape(2, frames, 3, height, width)
    for _ in range(2):
        start, end = rng.uniform((0, 0), (height, width), (2, 2))
        color, radius = rng.uniform(0, 255, 3)[:, None], rng.uniform(5, 10)
        for number, video in enumerate(both):
            apart = number * rng.normal(0, 2, 2)
            for frame in range(frames):
                row, column = start + frame / frames * (end - start) + apart
                video[frame][:, (rows - row) ** 2 + (columns - column) ** 2 < radius**2] = color
    return (both + rng.normal(0, 4, both.shape)).clip(0, 255).astype(np.uint8)


@settings(max_examples=15)
@given(st.integers(0, 100_000), st.sampled_from([0, 4]))
def test_all_four_equal_the_independent_ones_on_noisy_takes(seed, start):
    one, other = takes(seed)
    ours = physics_iq(torch.from_numpy(one)[None], torch.from_numpy(other)[None], start=start)
    expected = np.array(four_measures(one, other, start))
    assert np.array(ours)[:, 0] == pytest.approx(expected, abs=1e-6, nan_ok=True)


REAL_VIDEO = Path(__file__).parents[3] / "shared" / "real_video"


@pytest.mark.skipif(not REAL_VIDEO.is_dir(), reason="the sample videos are not here (../shared/real_video)")
@pytest.mark.parametrize(
    "pair",
    [
        ("slide_friction1.mp4", "slide_friction2.mp4"),
        ("puck_headon.mp4", "puck_oblique.mp4"),
        ("physion_0000.mp4", "physion_0001.mp4"),
    ],
)
def test_all_four_equal_the_independent_ones_on_real_takes(pair):
    lines = map(json.loads, (REAL_VIDEO / "clips.jsonl").read_text().splitlines())
    events = {line["file"]: line["event_frames"] for line in lines}

    def frames(name):
        first, last = events[name] or (0, 60)
        recording = decord.VideoReader(str(REAL_VIDEO / name), width=128, height=96)
        numbers = np.linspace(first, min(last, len(recording) - 1), 24).round().astype(int)
        return np.ascontiguousarray(recording.get_batch(numbers).asnumpy().transpose(0, 3, 1, 2))

    one, other = map(frames, pair)
    ours = physics_iq(torch.from_numpy(one)[None], torch.from_numpy(other)[None], start=4)
    expected = np.array(four_measures(one, other, 4))
    assert np.isfinite(expected).all() and expected[3] > 0
    assert np.array(ours)[:, 0] == pytest.approx(expected, abs=1e-6)


def test_the_takes_have_motion_and_differ():
    measured = np.array([four_measures(*takes(seed), 0) for seed in range(10)])
    where, when, how_much, error = np.nanmean(measured, axis=0)
    assert 0.3 < how_much < where < 0.95 and 0.2 < when < 0.95 and error > 0
