"""Videos in which a disc moves by actions that are known, as a folder of videos with an actions.csv."""

import csv
from collections.abc import Sequence
from pathlib import Path

import made_videos
import numpy as np

STEP_PX = 3.0  # of the video, at an action of 1


def actions_of(seed: int, count: int, held: int = 1) -> np.ndarray:
    """Across, and a channel that does nothing; each held for some frames."""
    drawn = np.random.default_rng(seed).uniform(-1, 1, (-(-count // held), 2))
    return np.repeat(drawn, held, axis=0)[:count]


def recording(actions: np.ndarray, seed: int = 0) -> np.ndarray:
    """A frame before each action and one after the last, in which the disc has moved by them all."""
    x_px = made_videos.WIDTH / 2 + STEP_PX * np.concatenate([[0.0], actions[:, 0].cumsum()])
    period = made_videos.WIDTH - 40.0  # it turns round at the walls, so that it stays in the picture
    folded = np.abs((x_px - 20.0 + period) % (2 * period) - period)
    wall = made_videos.wall(seed=seed)
    return np.stack([made_videos.disc(wall, 20.0 + x, made_videos.HEIGHT / 2) for x in folded])


def write(
    folder: Path, by_file: dict[str, np.ndarray], columns: Sequence[str] = ("file", "frame", "dx", "idle")
) -> Path:
    """The table of these actions, by the frame after which each was taken."""
    with (folder / "actions.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(columns)
        for file, actions in by_file.items():
            table.writerows([file, frame, *action] for frame, action in enumerate(actions.tolist()))
    return folder / "actions.csv"
