"""What is tracked well is one object: whole, as it usually is, and where a second tracker has it."""

import cv2
import numpy as np

from vidworld.video.tracking.judged import judge

HEIGHT, WIDTH, RED = 90, 150, (210, 40, 40)


def wall() -> np.ndarray:
    """A grey wall with soft stains."""
    rough = np.random.default_rng(0).uniform(110, 150, (9, 15, 1)).astype(np.float32)
    return np.repeat(cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[..., None], 3, axis=2)


def recording(x: np.ndarray, shadow: np.ndarray | None = None) -> np.ndarray:
    """A red disc at these places; its shadow is so long where it has one, lies to its right, and is dark."""
    rng, (rows, columns) = np.random.default_rng(1), np.mgrid[:HEIGHT, :WIDTH] + 0.5
    y, radius, frames = 45.0, 7.0, []
    for k, at in enumerate(x):
        picture = wall()
        if shadow is not None and shadow[k]:
            inside = (np.abs(rows - y - 2) < 5) & (columns > at) & (columns < at + radius + shadow[k])
            picture = picture * np.where(inside, 0.6, 1.0)[..., None]
        share = np.clip(radius + 0.5 - np.hypot(columns - at, rows - y), 0, 1)[..., None]
        picture = picture * (1 - share) + np.array(RED) * share
        frames.append(picture + 1.5 * rng.standard_normal(picture.shape))
    return np.clip(np.stack(frames), 0, 255).round().astype(np.uint8)


def test_a_whole_disc_is_tracked_well() -> None:
    seen = judge(recording(15 + 2.7 * np.arange(44)), 1)
    assert seen.well.mean() > 0.95 and not seen.doubted.any()
    assert seen.apart_px[0] < 0.3 and 10 < seen.size_px[0] < 15


def test_what_the_border_cuts_is_found_but_not_whole() -> None:
    x = -3 + 3.6 * np.arange(44)  # comes in, and leaves again
    seen = judge(recording(x), 1)
    cut = (x < 7) | (x > WIDTH - 7)
    assert (seen.cut[:, 0] == (cut & seen.found[:, 0]))[np.abs(np.abs(x - WIDTH / 2) - WIDTH / 2 + 7) > 2].all()
    assert not seen.well[cut].any() and seen.well[~cut].mean() > 0.9


def test_a_shadow_that_comes_and_goes_is_seen_by_a_second_tracker() -> None:
    """It pulls the middle aside by some pixels, though something is found in every frame."""
    t = np.arange(50)
    seen = judge(recording(18 + 2.0 * t, shadow=np.where(t < 25, 0.0, 9.0)), 1)
    assert seen.found.all()
    assert seen.doubted[0] and seen.apart_px[0] > 1.5 and seen.well.mean() < 0.7


def test_nothing_that_is_found_is_tracked_well_in_an_empty_scene() -> None:
    seen = judge(recording(np.full(12, -50.0)), 2)
    assert not seen.found.any() and not seen.well.any() and not seen.doubted.any()
