"""A future is charged for what it adds to the truth's own deviation; to freeze or to vanish never pays."""

import numpy as np
import pytest
import torch
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.video.real import RealClips
from vidworld.video_laws.futures import MISSING, law_values, true_motion

CONTEXT, FRAMES, SIZE = 8, 16, 64
T = np.arange(FRAMES)
THROWN = np.stack([6 + 3.2 * T, 50 - 6.0 * T + 0.35 * T**2], axis=1)


def recording(places: np.ndarray) -> Tensor:
    """One clip of a red disc at these places, not drawn where they are NaN."""
    rng, rows_columns = np.random.default_rng(0), np.mgrid[:SIZE, :SIZE] + 0.5
    pictures = []
    for x, y in places:
        share = np.nan_to_num(np.clip(4.5 - np.hypot(rows_columns[1] - x, rows_columns[0] - y), 0, 1))[..., None]
        picture = 120 * (1 - share) + np.array([210, 40, 40]) * share
        pictures.append(picture + rng.normal(0, 1.5, picture.shape))
    frames = np.clip(np.stack(pictures), 0, 255).round().astype(np.uint8)
    return torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())[None]


class OneClip(RealClips):
    """A single throw."""

    num_frames = FRAMES

    def __init__(self, **changed: object) -> None:
        row = {"event": "projectile", "in_event": True, "static_camera": True, "start_s": 0.0}
        row |= {"gravity_direction": [0.0, 1.0], "sidecar": '{"true_fps": 30, "contact_frames": []}'}
        self.rows = [row | changed]

    def same_shot(self, index: int) -> list[int]:
        return [0]

    def clips(self, indices: object) -> Clips:
        return Clips(recording(THROWN), 30.0, ("real/throw.mp4/0",))


def futures() -> dict[str, Tensor]:
    frozen, straight, gone = THROWN.copy(), THROWN.copy(), THROWN.copy()
    frozen[CONTEXT:] = THROWN[CONTEXT - 1]
    step = THROWN[CONTEXT - 1] - THROWN[CONTEXT - 2]
    straight[CONTEXT:] = THROWN[CONTEXT - 1] + step * np.arange(1, FRAMES - CONTEXT + 1)[:, None]
    gone[CONTEXT:] = np.nan
    paths = {"frozen": frozen, "straight": straight, "gone": gone, "perfect": THROWN, "truth": THROWN}
    return {name: recording(path)[:, CONTEXT:] for name, path in paths.items()}


def test_what_a_world_adds_is_what_it_is_charged_for() -> None:
    values = {(v.model, v.metric): v.value for v in law_values(true_motion(OneClip(), 0, CONTEXT), futures(), 0)}
    assert values["perfect", "added_deviation"] == pytest.approx(0.0, abs=1e-3)
    assert values["truth", "added_deviation"] == 0.0 and values["truth", "position_error"] == 0.0
    assert 0 < values["truth", "law_deviation"] < 0.005
    for metric in ("position_error", "added_deviation"):
        assert values["gone", metric] > values["frozen", metric] > values["straight", metric] > 0.01
    assert values["gone", "position_error"] == pytest.approx(MISSING, rel=0.01)


@pytest.mark.parametrize("changed", [{"event": "general"}, {"in_event": False}, {"static_camera": False}])
def test_clips_without_a_law_are_left_out(changed: dict[str, object]) -> None:
    assert true_motion(OneClip(**changed), 0, CONTEXT) is None
    assert law_values(None, futures(), 0) == []
