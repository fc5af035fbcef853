"""What moves is found to a fraction of a pixel, followed through touches, and told from a hand and from ghosts."""

import cv2
import numpy as np
import pytest

from vidworld.video.tracking import background_of, track
from vidworld.video.tracking.behind import behind
from vidworld.video.tracking.blobs import blobs, threshold_of

HEIGHT, WIDTH = 90, 140
RED, BLUE, SKIN = (210, 40, 40), (40, 60, 210), (200, 160, 130)
SLOW_X = np.array(
    [45 + 0.17 * k if k < 30 else 50 - 0.2 * (k - 30) for k in range(60)]
)  # its middle is hidden all along


def wall(seed: int = 0) -> np.ndarray:
    """A grey wall with soft stains."""
    rough = np.random.default_rng(seed).uniform(100, 150, (9, 14, 1)).astype(np.float32)
    return np.repeat(cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[..., None], 3, axis=2)


def painted(picture: np.ndarray, x: float, y: float, color: tuple[int, ...], radius: float = 6.0) -> np.ndarray:
    """The picture with a disc whose rim is smooth, its centre at (x, y) where pixel i is centred at i + 0.5."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    share = np.clip(radius + 0.5 - np.hypot(columns - x, rows - y), 0, 1)[..., None]
    return picture * (1 - share) + np.array(color) * share


def recording(places: list[list[tuple[float, float, tuple[int, ...]]]], noise: float = 2.0) -> np.ndarray:
    """One picture a list of discs, with the noise of a camera."""
    rng, background = np.random.default_rng(1), wall()
    frames = []
    for discs in places:
        picture = background
        for x, y, color in discs:
            picture = painted(picture, x, y, color)
        frames.append(picture + noise * rng.standard_normal(picture.shape))
    return np.clip(np.stack(frames), 0, 255).round().astype(np.uint8)


def found(tracked: np.ndarray) -> np.ndarray:
    """The share of the frames in which each object was found."""
    return np.isfinite(tracked).all(axis=-1).mean(axis=0)


def test_a_disc_is_followed_to_a_tenth_of_a_pixel() -> None:
    x = 12 + 2.37 * np.arange(45)
    y = 20 + 0.03 * np.arange(45) ** 2
    frames = recording([[(a, b, RED)] for a, b in zip(x, y, strict=True)])
    tracked = track(frames, 1)
    assert found(tracked)[0] == 1.0
    error = np.linalg.norm(tracked[:, 0] - np.stack([x, y], 1), axis=1)
    assert np.sqrt((error**2).mean()) < 0.1
    (blob,) = blobs(frames[20], wall(), threshold_of(frames, wall()))
    assert np.sqrt(blob.area) == pytest.approx(np.sqrt(np.pi) * 6, rel=0.15)


def test_two_that_touch_and_part_keep_their_names() -> None:
    t = np.arange(50)
    ax, bx = np.minimum(10 + 2.0 * t, 58.0), 70 + np.maximum(0, 2.0 * (t - 24))
    frames = recording([[(a, 45, RED), (b, 45, BLUE)] for a, b in zip(ax, bx, strict=True)])
    tracked = track(frames, 2)
    assert (found(tracked) > 0.95).all()
    x = tracked[..., 0]
    order = [0, 1] if abs(x[0, 0] - 10) < 5 else [1, 0]
    assert np.nanmax(np.abs(x[:, order[0]] - ax)) < 2.0
    assert np.nanmax(np.abs(x[:, order[1]] - bx)) < 2.0


def test_what_rests_at_the_end_for_most_of_the_video_is_no_background() -> None:
    t = np.arange(60)
    x = np.minimum(10 + 3.0 * t, 70.0)  # rests from frame 20 on
    frames = recording([[(a, 45, RED)] for a in x])
    bare = background_of(frames)[45, 70]
    assert np.abs(bare - wall()[45, 70]).max() < 12
    tracked = track(frames, 1)
    assert found(tracked)[0] > 0.95
    assert np.nanmax(np.abs(tracked[:, 0, 0] - x)) < 1.0


def test_a_ball_is_told_from_the_hand_that_lets_it_go() -> None:
    t = np.arange(30)
    y = 70 - 8.0 * t + 0.27 * t**2
    x = 30 + 2.5 * t
    hand = [(20.0 + dx + 0.3 * k, 78.0 + dy, SKIN) for k in (0,) for dx, dy in ((0, 0), (8, 2), (-8, 3), (4, 8))]
    shaken = [[(hx + 0.4 * np.sin(k), hy, c) for hx, hy, c in hand] for k in t]
    tracked = track(recording([[*shaken[k], (x[k], y[k], RED)] for k in t]), 1)
    assert found(tracked)[0] > 0.9
    error = np.linalg.norm(tracked[:, 0] - np.stack([x, y], 1), axis=1)
    assert np.nanmedian(error) < 0.2


def test_the_object_that_is_known_is_the_one_followed() -> None:
    t = np.arange(30)
    discs = [[(10 + 4.0 * k, 20, RED), (30 + 1.0 * k, 70, BLUE)] for k in t]
    known = np.array([[[30 + 1.0 * k, 70.0]] for k in range(8)])
    tracked = track(recording(discs), 1, wall(), known)
    assert np.nanmax(np.abs(tracked[:, 0, 1] - 70)) < 1
    nowhere = track(recording(discs), 1, wall(), np.full((8, 1, 2), 5.0))
    assert np.isnan(nowhere).all()


def test_an_empty_scene_has_no_objects() -> None:
    assert np.isnan(track(recording([[]] * 12), 1)).all()


def test_what_leaves_the_picture_and_comes_back_is_one_thing() -> None:
    """A ball that is thrown down out of the picture and comes up again after ten frames."""
    t = np.arange(50)
    y = 40 + 4.0 * t
    y = np.where(y > 125, 250 - y, y)  # turns round 35 px below the picture
    x = 20 + 1.5 * t
    tracked = track(recording([[(a, b, RED)] for a, b in zip(x, y, strict=True)]), 1)
    inside = (y > 8) & (y < HEIGHT - 8)
    assert np.isfinite(tracked[inside, 0]).all()
    error = np.linalg.norm(tracked[inside, 0] - np.stack([x, y], 1)[inside], axis=1)
    assert np.sqrt((error**2).mean()) < 0.3


def test_what_appears_elsewhere_or_in_another_colour_is_another_thing() -> None:
    t = np.arange(40)
    for x, color in ((110.0, RED), (34.0, BLUE)):
        discs = [[(10 + 1.5 * k, 45.0, RED)] if k < 16 else [(x + 0.5 * k, 45.0, color)] for k in t]
        tracked = track(recording([d if not 16 <= k < 24 else [] for k, d in enumerate(discs)]), 1)
        assert not (np.isfinite(tracked[:16]).any() and np.isfinite(tracked[24:]).any())


def test_the_scene_behind_a_slow_thing_is_found() -> None:
    frames = recording([[(x, 40, RED), (10 + 2 * k, 70, BLUE)] for k, x in enumerate(SLOW_X)])
    first = background_of(frames)
    off_px, mended_px = (
        int((np.abs(scene - wall()).max(axis=-1) > 12).sum()) for scene in (first, behind(frames, first))
    )
    assert off_px > 40 and mended_px < 5


def test_a_slow_thing_goes_as_fast_as_it_does() -> None:
    """Before, the middle of the disc counted for nothing, and its place lagged by up to two pixels."""
    frames = recording([[(x, 40, RED)] for x in SLOW_X])
    seen = track(frames, 1, behind(frames, background_of(frames)))[:, 0, 0]
    assert np.abs(seen - SLOW_X).max() < 0.3
    assert np.abs(track(frames, 1)[:, 0, 0] - SLOW_X).max() > 1


def test_a_scene_in_which_nothing_moves_stays_as_it_is() -> None:
    frames = recording([[]] * 12)
    first = background_of(frames)
    np.testing.assert_array_equal(behind(frames, first), first)


def test_a_few_frames_are_too_few_to_look_behind_what_moves() -> None:
    frames = recording([[(x, 40, RED)] for x in SLOW_X])[:5]
    first = background_of(frames)
    np.testing.assert_array_equal(behind(frames, first), first)
