"""phyworld's evaluation files as its authors share them, and the errors that its own parser reads in a model's future.

Source: Kang et al. 2024, "How far is video generation from world model" (arXiv 2411.02385), its generators and
`evaluate.py`: 32 frames 0.1 s apart at 256 px, 3 of them given; HDF5 with batches of videos as MP4 bytes, positions in
a world of 10 x 10 with y upwards.

Videos are read at the models' size, and the frames given are the models' context rather than three; the errors are
those after it. A video is in distribution where all radii and speeds are within the ranges that phyworld trains on;
those with discs too small for its parser are left out, as there.

Quirks, kept:
- its pictures put pixel i at i / (W - 1) of the world's width and its parser reads it at i / W: every velocity is read
  too small by 1 / W, most of the published error of the truth. `calibrated=True` reads such pictures rightly;
- only the horizontal velocity counts, and of that only the mean over frames: errors to both sides cancel;
- of the parabola no velocity is reported but the mean distance in place, horizontally: with the same slip of i / W it
  is x / W, larger to the right, whatever the velocity is;
- a disc that is not found is taken to be at a border (the left one for the first of two, else the right);
- frames in which the true disc is cut by the border are dropped, as are the first three;
- momentum and energy errors are not divided by anything.

How our own scenarios of these names differ from these files is in docs/external.md: the engine that made the files
steps 0.01 s, and does not bounce below a closing speed of 1.

Errors of the truth at 256 px: 0.0101 ± 0.0002 for uniform motion (published 0.0099), 0.0207 ± 0.0001 for the parabola
(0.0210), 0.0116 ± 0.0004 for collisions (0.0117), these with its grid of scenes, its soft edges and its two
compressions, without which it is 0.0102 (docs/log/2026-11.md, 2026-11-22).
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vidworld.analysis.records import Value
from vidworld.core.clip import Frames, Tracks, VideoFrames
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.core.errors import UserError
from vidworld.evaluation.benchmarks.benchmark import Benchmark, ContinuationScore, Entry, Reading
from vidworld.evaluation.benchmarks.continuation import BenchmarkContext, video_of
from vidworld.metrics import PerClip
from vidworld.metrics.velocity import as_array

FPS = 10.0
_METRIC = "phyworld_error"
STREAMS = ("video_streams", "position_streams", "init_streams")
_LAYOUT = """\
FOLDER/
  uniform_motion_eval.hdf5 parabola_eval.hdf5 collision_eval.hdf5
    video_streams/00000     (video,) of MP4 bytes, for each batch
    position_streams/00000  (video, frame, ball, 2) or (video, frame, 2)
    init_streams/00000      (video, radii then speeds)"""
SPEED = (1.0, 4.0)  # trained on, as are these radii (Source: arXiv 2411.02385)
RADIUS = {"uniform_motion": (0.7, 1.4), "parabola": (0.7, 1.4), "collision": (0.5, 1.5)}
_MIN_RADIUS = {"uniform_motion": 0.6, "parabola": 0.6, "collision": 0.5}
FIRST_FRAME = 3
CONTACT_CHANGE = 0.1  # of a true horizontal velocity from one step to the next that counts as the contact
_LEVEL = 127


# --- the folder ---


def _entries(folder: Path) -> list[Entry]:
    """Every video of the three files; a file that is not there is one entry."""
    found = []
    for law in RADIUS:
        path = folder / f"{law}_eval.hdf5"
        if not path.exists():
            found.append(Entry(law, law, law, True, path))
            continue
        with _open(path) as file:
            faults = [f"{path}: has no {name}" for name in STREAMS if name not in file]
            for batch in sorted(file[STREAMS[0]]) if not faults else []:
                count = len(file[STREAMS[0]][batch])
                for name in STREAMS[1:]:
                    there = len(file[name][batch]) if batch in file[name] else 0
                    if there != count:
                        faults.append(f"{path}: {name}/{batch} has {there} videos, not {count}")
                members = [f"{batch}/{i}" for i in range(count)]
                found += [Entry(f"{law}/{m}", law, law, True, path, member=m) for m in members]
            if faults:
                raise UserError("\n".join(faults))
    return found


def true_positions(entry: Entry) -> Float[ndarray, "time object 2"]:
    """Where the balls are in each frame, in world units with y downwards, as in the picture."""
    places = _member(entry, "position_streams", np.float64)
    places = places.reshape(len(places), -1, 2)
    return np.stack([places[..., 0], WORLD_SIZE - places[..., 1]], axis=-1)


def _decode(entry: Entry) -> tuple[VideoFrames, float]:
    with tempfile.NamedTemporaryFile(suffix=".mp4") as place:
        place.write(_member(entry, "video_streams", np.uint8).tobytes())
        place.flush()
        return video_of(Path(place.name))


def _member(entry: Entry, stream: str, kind: type[np.generic]) -> ndarray:
    batch, number = entry.member.split("/")
    with _open(entry.video) as file:
        return np.asarray(file[stream][batch][int(number)], kind)


def _open(path: Path) -> Any:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UserError(f"{path}: reading HDF5 needs h5py: pip install 'vidworld[benchmarks]'") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path}: is no HDF5 file that can be read ({error})") from error


# --- the score ---


def _of_video(context: BenchmarkContext, entry: Entry, model: Any) -> Iterator[Value]:
    """phyworld's error of one video: of velocity; of the parabola, of place."""
    if context.shape.fps != FPS:
        rates = f"{FPS:g} frames a second, and the models' {context.shape.fps:g}"
        raise UserError(f"phyworld's videos have {rates}; give shape.fps={FPS:g}")
    law = entry.property
    radius, speed = np.split(_member(entry, "init_streams", np.float64).ravel(), 2)
    if radius.min() < _MIN_RADIUS[law]:
        return
    sizes = ((radius, RADIUS[law]), (np.abs(speed), SPEED))
    inside = [((of >= low) & (of <= high)).all() for of, (low, high) in sizes]
    start = context.evaluator.context_frames
    clip = context.around(context.clip(entry), start)
    future = clip.frames[:, start:] if model is None else context.future(model, clip)
    before = max(0, start - FIRST_FRAME)  # the metric leaves out the first three frames
    frames = torch.cat((clip.frames[:, before:start], future), dim=1)
    truth = _tracks(entry, radius).between(before, before + frames.shape[1])
    place = parse(frames, len(radius))
    if law == "collision":
        error = velocity_error_after_contact(place, truth, 1.0 / FPS)
    elif law == "parabola":
        error = mean_position_error(place, truth)
    else:
        error = mean_velocity_error(place, truth, 1.0 / FPS)
    if np.isfinite(error[0]):
        unit, split = "units" if law == "parabola" else "units/s", "id" if all(inside) else "ood"
        yield context.value(model, entry, law, _METRIC, unit, float(error[0]), split)


def _tracks(entry: Entry, radius: ndarray) -> Tracks:
    position = torch.from_numpy(true_positions(entry)).float()[None]
    velocity = torch.gradient(position, spacing=1.0 / FPS, dim=1)[0]
    of_disc = torch.from_numpy(radius).float()[None]
    color, shown = torch.eye(3)[[0, 2]][None, : position.shape[2]], torch.ones(position.shape[:3])
    return Tracks(position, velocity, of_disc, of_disc**2, color, shown.bool(), shown)


# --- its parser and errors, as its released code computes them ---


def parse(frames: Frames, discs: int, calibrated: bool = False) -> Float[ndarray, "clip time disc 2"]:
    """Centres in world units of the red disc and, of two, the blue one: the mean index of their pixels.

    Red is where R is above 127 and G and B are below, blue where B is. y points down.
    """
    red, green, blue = (frames[:, :, channel].cpu().numpy() for channel in range(3))
    masks = [(its > _LEVEL) & (green < _LEVEL) & (other < _LEVEL) for its, other in ((red, blue), (blue, red))]
    width = frames.shape[-1]
    scale = WORLD_SIZE / (width - 1 if calibrated else width)
    places = []
    for number, mask in enumerate(masks[:discs]):
        count = mask.sum(axis=(2, 3))
        sums = [mask.sum(axis=axis) @ np.arange(mask.shape[5 - axis]) for axis in (2, 3)]  # of columns, of rows
        place = np.stack(sums, axis=-1) / np.maximum(count, 1)[..., None] * scale
        border = 0.0 if discs == 2 and number == 0 else WORLD_SIZE
        for clip, time in np.argwhere(count == 0):  # what is not found lies at the border, as high as it was last
            place[clip, time] = border, place[clip, time - 1, 1] if time else np.nan
        places.append(place)
    return np.stack(places, axis=2)


def mean_velocity_error(
    place: Float[ndarray, "clip time disc 2"], truth: Tracks, dt_s: float, axis: int = 0
) -> PerClip:
    """|mean v̂ - mean v| of a single disc, horizontal as in phyworld (axis 0) or vertical; NaN below two frames."""
    return _of_single_disc(place, truth, axis, lambda away: abs((np.diff(away) / dt_s).mean()))


def mean_position_error(place: Float[ndarray, "clip time disc 2"], truth: Tracks) -> PerClip:
    """Mean over frames of |x̂ - x| of a single disc, in units; NaN with less than two frames in full view."""
    return _of_single_disc(place, truth, 0, lambda away: np.abs(away).mean())


def _of_single_disc(place: ndarray, truth: Tracks, axis: int, error: Callable[[ndarray], float]) -> PerClip:
    away = place - as_array(truth.position)
    values = np.full(len(place), np.nan)
    for clip, frames in enumerate(_in_view(truth, horizontally_only=False)):
        if len(frames) >= 2:
            values[clip] = error(away[clip, frames, 0, axis])
    return values


def velocity_error_after_contact(place: Float[ndarray, "clip time disc 2"], truth: Tracks, dt_s: float) -> PerClip:
    """Mean over two discs that meet of |mean v̂ - mean v|, horizontal, in units a second, after their contact.

    The step across the contact is left out; NaN where the discs are not in view after it.
    """
    true_place, values = as_array(truth.position), np.full(len(place), np.nan)
    for clip, frames in enumerate(_in_view(truth, horizontally_only=True)):
        if len(frames) < 3:
            continue
        found, true = (np.diff(each[clip, frames, :, 0], axis=0) / dt_s for each in (place, true_place))  # (step, disc)
        changes = np.abs(np.diff(true, axis=0)).max(axis=-1) > CONTACT_CHANGE
        contact = int(changes.argmax()) + 1 if changes.any() else len(true) - 1
        if contact + 1 < len(true):
            values[clip] = np.abs(found[contact + 1 :].mean(axis=0) - true[contact + 1 :].mean(axis=0)).mean()
    return values


def _in_view(truth: Tracks, horizontally_only: bool) -> list[ndarray]:
    """The frames of each clip, from the fourth on, in which the picture's border cuts no disc."""
    place, radius = as_array(truth.position), as_array(truth.radius)[:, None, :, None]
    inside = (place - radius >= 0) & (place + radius <= WORLD_SIZE)
    whole = (inside[..., 0] if horizontally_only else inside.all(axis=-1)).all(axis=-1)
    whole[:, :FIRST_FRAME] = False
    return [np.flatnonzero(row) for row in whole]


_READING = Reading(256, fps=FPS, window_frames=32, context_frames=(3,))
_SCORE = ContinuationScore(_of_video, (_METRIC,))
PHYWORLD_HDF5 = Benchmark("phyworld_hdf5", "phyworld", "arXiv 2411.02385", _LAYOUT, _READING, _entries, _SCORE, _decode)
