"""Scenes of Physics-IQ in its authors' folder, small; and its published score of them, written apart from ours."""

from pathlib import Path

import cv2
import numpy as np
from samples import as_mp4

HEIGHT, WIDTH, FPS = 80, 128, 30
SCENES = ("trimmed-rolling-ball", "trimmed-pendulum", "trimmed-fall")
CONTEXT, FUTURE = 90, 150  # frames


def scene(number: int, take: int) -> np.ndarray:
    """Pictures (time height width 3) of a disc on a wall; takes differ a little in place, speed and light."""
    wall = cv2.resize(np.random.default_rng(number).integers(60, 200, (6, 10, 3), np.uint8), (WIDTH, HEIGHT))
    t = np.arange(CONTEXT + FUTURE) / FPS
    shift = 4.0 * (take - 1)
    across = (64 + (44 - shift) * np.sin(2 * t), 64 + (40 - shift) * np.sin(1.5 * t), 30 + 6 * t)[number]
    down = (50 + 0 * t, 30 + 15 * np.cos(3 * t), 20 + 30 * np.abs(np.sin(1.2 * t + shift / 30)))[number]
    pictures = []
    for x, y in zip(across, down, strict=True):
        picture = wall.copy()
        cv2.circle(picture, (round(16 * x), round(16 * y)), 16 * 9, (230, 40, 30), -1, cv2.LINE_AA, shift=4)
        pictures.append(picture + np.uint8(2 * take))
    return np.stack(pictures)


def write_folder(folder: Path, verified: bool = False) -> None:
    """Three scenes, one side of each, as the authors lay them out: no take in the switch frames, 0199 after 0001."""
    for number, name in enumerate(SCENES):
        for take in (1, 2):
            pictures, digits = scene(number, take), f"{number + 1 + 198 * (take - 1):04d}"
            ending = f"30FPS_perspective-left_take-{take}_{name}.mp4"
            testing = f"split-videos/testing/30FPS/{digits}_testing-videos_{ending}"
            _video(folder / testing, pictures[CONTEXT:])
            if take == 1 or not verified:
                _video(folder / f"full-videos/take-{take}/30FPS/{digits}_full-videos_{ending}", pictures)
            if take == 1:
                frame = folder / f"switch-frames/{digits}_switch-frames_anyFPS_perspective-left_{name}.jpg"
                frame.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(frame), pictures[CONTEXT - 1][..., ::-1])


def write_generated(folder: Path, fps: int = FPS, lead: int = 0) -> None:
    """A near copy, the last frame frozen, and the future reversed; `lead` frames of the context before it."""
    for number, name in enumerate(SCENES):
        true = scene(number, 1)
        future = true[CONTEXT:]
        shifted = np.roll(future, 2, axis=2)
        made = (shifted, np.repeat(true[CONTEXT - 1 :][:1], FUTURE, axis=0), future[::-1])[number]
        video = np.concatenate([true[CONTEXT - lead : CONTEXT], made[:: FPS // fps]])
        _video(folder / f"{number + 1:04d}_perspective-left_{name}.mp4", video, fps)


def _video(path: Path, pictures: np.ndarray, fps: int = FPS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_mp4(pictures, fps))


# --- the published score, step by step and with everything in memory ---


def published_score(folder: Path, generated: Path, scratch: Path) -> tuple[float, float]:
    """Original and verified, in percent, of generated videos at 30 frames a second."""
    testing = folder / "split-videos" / "testing" / "30FPS"
    model, takes = [], []
    for number in range(1, len(SCENES) + 1):
        (one,), (two,) = (testing.glob(f"{number + more:04d}_*.mp4") for more in (0, 198))
        (made,) = generated.glob(f"{number:04d}_*.mp4")
        first, second, other = (_read(path, scratch) for path in (one, two, made))
        model.append(_four(other, first))
        takes.append(_four(second, first))
    ours, among = np.array(model), np.array(takes)
    means, floors = ours.mean(0), among.mean(0)
    original = (means[:3] / floors[:3]).mean() - (means[3] - floors[3])
    parts = np.concatenate([ours[:, :3] / (among[:, :3] + 1e-8), (among[:, 3:] + 1e-8) / ours[:, 3:]], axis=1)
    return 100 * float(np.clip(original, 0, 1)), 100 * float(np.clip(parts, 0, 1).mean())


def _read(path: Path, scratch: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and masks at a quarter of the size."""
    size, pictures = (WIDTH // 4, HEIGHT // 4), _all(path)
    grey = [cv2.GaussianBlur(cv2.cvtColor(each, cv2.COLOR_BGR2GRAY), (5, 5), 0) for each in pictures]
    mean, found, block = grey[0].astype(float), [np.zeros_like(grey[0])], np.ones((5, 5), np.uint8)
    for each in grey[1:]:
        mean = 0.7 * mean + 0.3 * each
        away = np.abs(each.astype(int) - np.rint(mean).astype(int)) > 10
        found.append(
            cv2.morphologyEx(
                cv2.morphologyEx(255 * away.astype(np.uint8), cv2.MORPH_OPEN, block), cv2.MORPH_CLOSE, block
            )
        )
    place = scratch / "masks.mp4"
    out = cv2.VideoWriter(str(place), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT), isColor=False)
    for each in found:
        out.write(each)
    out.release()
    masks = [cv2.resize(each, size)[..., 0] > 127 for each in _all(place)]
    return np.stack([cv2.resize(each, size) / 255.0 for each in pictures])[:FUTURE], np.stack(masks)[:FUTURE]


def _all(path: Path) -> list[np.ndarray]:
    video, pictures = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        pictures.append(read[1])
    return pictures


def _four(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> list[float]:
    (a, moves), (b, moves_too) = one, other

    def iou(x: np.ndarray, y: np.ndarray) -> float:
        union = np.maximum(x, y).sum()
        return float(np.minimum(x, y).sum() / union) if union else 1.0

    frames = [iou(x, y) for x, y in zip(moves, moves_too, strict=True)]
    over_time = iou(moves.mean(0), moves_too.mean(0))
    return [iou(moves.any(0), moves_too.any(0)), float(np.mean(frames)), over_time, float(((a - b) ** 2).mean())]
