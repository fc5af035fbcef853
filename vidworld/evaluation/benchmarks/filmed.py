"""Filmed experiments that models continue: Physics-IQ and Morpheus.

Physics-IQ, original and verified: what moves, seen from three sides, in one take or two. Source: Motamed et al. 2025
(arXiv 2501.09038) and its code; the verified score is arXiv 2606.18943. Four measures are held against how much two
takes of one scene differ: both scores are 100 where videos differ from the truth as two takes do. Its own evaluation
differs in what a model is given and at which size: here the frames before the switch at the model's rate and size, and
as many whole chunks after it as five seconds hold. Masks are made of the predicted frames alone, as there, of pictures
enlarged to `MASKS_PX`.

Morpheus: how far what moves keeps its energy. Source: Zhang et al. 2025 (arXiv 2504.02918), data set
physics-from-video/morpheus-real-world: videos of 1280 x 1024. Its own evaluation has invariants for each experiment, in
metres; all share mechanical energy. Ours is that of the one thing that moves most, in the picture's own units: gravity
is the number for which the true video keeps its energy best. A future in which the thing is not found for long enough
keeps nothing; a video whose own thing is not has no score. Quirks of the published invariance, kept: for each invariant
only the best window counts, and an object that stands still (or a window in which nothing happens) conserves everything
and scores 1. vidworld's own drifts compare with the true context over every frame instead.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips
from vidworld.evaluation.benchmarks.benchmark import Benchmark, ContinuationScore, Entry, Reading
from vidworld.evaluation.benchmarks.continuation import BenchmarkContext, numbers_by_model
from vidworld.metrics import METRICS, PerClip
from vidworld.metrics.physics_iq import PhysicsIq, physics_iq
from vidworld.video.tracking import background_of, track
from vidworld.video_laws.futures import as_video

# --- Physics-IQ ---

CONTEXT_S, HORIZON_S = 3.0, 5.0  # before the switch frame, and of the testing video
MASKS_PX = 256
NAME = re.compile(
    r"(?P<number>\d{4})_(?P<kind>[a-z-]+)_(?:\d+|any)FPS_perspective-(?P<side>left|center|right)"
    r"(?:_take-(?P<take>\d))?_(?P<scene>.+)\.(?:mp4|jpg)"
)
_PHYSICS_IQ_LAYOUT = """\
FOLDER/
  full-videos/take-1/30FPS/0001_full-videos_30FPS_perspective-left_take-1_trimmed-NAME.mp4    (take-2: original only)
  split-videos/testing/30FPS/0001_testing-videos_30FPS_perspective-left_take-1_trimmed-NAME.mp4
  switch-frames/0001_switch-frames_anyFPS_perspective-left_trimmed-NAME.jpg                  (_take-1_ in the original)
  video-masks/real/30FPS/0001_video-masks_30FPS_perspective-left_take-1_trimmed-NAME.mp4
Names end alike: number, side, take and experiment."""
FOLDERS = {
    "testing-videos": "split-videos/testing/30FPS",
    "full-videos": "full-videos/take-{take}/30FPS",
    "video-masks": "video-masks/real/30FPS",
}
OTHER_TAKE = {"1": "2", "2": "1"}
MEASURES = tuple(f"physics_iq_{name}" for name in PhysicsIq._fields)
Measures = Float[ndarray, "video 4"]  # spatial, spatiotemporal and weighted spatial IoU, and MSE


def _takes(folder: Path) -> list[Entry]:
    """Every take of every side of every experiment of which any file is there; a group is one side of one."""
    takes, frames = set(), {}
    places = [*(place.format(take="*") for place in FOLDERS.values()), "switch-frames"]
    for path in (path for place in places for path in sorted(folder.glob(f"{place}/*"))):
        if fits := NAME.fullmatch(path.name):
            number, side, scene, take = fits["number"], fits["side"], fits["scene"], fits["take"] or "1"
            takes.add((number, side, scene, take))
            if fits["kind"] == "switch-frames":
                frames[number, side, scene] = path
    verified = any("_take-" not in path.name for path in frames.values())
    found = []
    for number, side, scene, take in sorted(takes):
        ending = f"30FPS_perspective-{side}_take-{take}_{scene}.mp4"
        video, full, masks = (
            folder / place.format(take=take) / f"{number}_{kind}_{ending}" for kind, place in FOLDERS.items()
        )
        shown = scene if verified else f"take-{take}_{scene}"
        usual = folder / "switch-frames" / f"{number}_switch-frames_anyFPS_perspective-{side}_{shown}.jpg"
        needs = (full, masks, frames.get((number, side, scene), usual))
        found.append(Entry(f"{scene}/{side}/take-{take}", scene, f"{scene}/{side}", True, video, needs))
    full_videos = {entry.identity: (entry.needs[0],) for entry in found}
    others = [f"{entry.group}/take-{OTHER_TAKE.get(entry.identity[-1])}" for entry in found]
    return [replace(one, compared_with=full_videos.get(other, ())) for one, other in zip(found, others, strict=True)]


def _motion_of(context: BenchmarkContext, entry: Entry, model: Any) -> Iterator[Value]:
    """A model's four measures of one video; the truth's are those of another take, if there is one."""
    start = context.evaluator.context_frames
    clip = _stretch(context, entry, entry.needs[0])
    truth = clip.frames[:, start:]
    if model is not None:
        predicted = context.future(model, clip)
    elif entry.compared_with:
        predicted = _stretch(context, entry, entry.compared_with[0]).frames[:, start:]
    else:
        return
    count = min(predicted.shape[1], truth.shape[1])
    larger = max(1, MASKS_PX // truth.shape[-1])
    scores = physics_iq(predicted[:, :count], truth[:, :count], enlarge=larger, still_counts=True)
    for name, (value,) in zip(MEASURES, scores, strict=True):
        yield context.value(model, entry, "motion", name, METRICS[name].unit, float(value))


def _stretch(context: BenchmarkContext, entry: Entry, video: Path) -> Clips:
    """The context before the switch and the five seconds after it, of a video that holds both."""
    clip = context.clip(replace(entry, video=video))
    given, most = (round(seconds * context.shape.fps) for seconds in (CONTEXT_S, HORIZON_S))
    return context.around(clip, given, most)


def _whole(values: Sequence[Value], entries: Sequence[Entry], seed: int) -> Iterator[Value]:
    """The measures, and where there are two takes both scores of every model."""
    yield from values
    tables = numbers_by_model(values)
    takes = tables.pop("truth", {})
    if not takes:
        return  # one take of each scene tells nothing of how much two differ
    for model, videos in tables.items():
        names = [name for name in videos if name in takes]
        score = physics_iq_score(np.array([videos[n] for n in names]), np.array([takes[n] for n in names]))
        place = (model, "pixels", "physics_iq", "motion", "test")
        yield Value(*place, "physics_iq_score", "percent", "all videos", score.original, seed)
        for name, verified in zip(names, score.verified, strict=True):
            yield Value(*place, "physics_iq_verified_score", "percent", name, float(verified), seed)


class PhysicsIqScore(NamedTuple):
    """Of one model, in percent."""

    original: float  # 100 (mean over three IoU of model / takes - (MSE - takes' MSE)), of data-set means, in 0 to 100
    verified: PerClip  # 100 times a video's mean of model / takes (IoU) and takes / model (MSE), each held to 0 to 1


def physics_iq_score(model: Measures, takes: Measures) -> PhysicsIqScore:
    """The scores of videos, given the same measures between the two takes of each video's scene and side.

    Where the takes agree in nothing (an IoU of 0), every model has 1: nothing less could be asked of it.
    """
    mean, among = model.mean(axis=0), takes.mean(axis=0)
    original = np.mean(_ratio(mean[:3], among[:3])) - (mean[3] - among[3])
    parts = np.concatenate([_ratio(model[:, :3], takes[:, :3]), _ratio(takes[:, 3:], model[:, 3:])], axis=1)
    return PhysicsIqScore(100.0 * float(np.clip(original, 0, 1)), 100.0 * np.clip(parts, 0, 1).mean(axis=1))


def _ratio(above: ndarray, below: ndarray) -> ndarray:
    """above / below, 1 where below is 0."""
    return np.asarray(np.divide(above, below, out=np.ones_like(above), where=below > 0))


_MOTION = ContinuationScore(_motion_of, MEASURES, _whole)
PHYSICS_IQ = Benchmark(
    "physics_iq", "Physics-IQ", "arXiv 2501.09038", _PHYSICS_IQ_LAYOUT, Reading(256, fps=30.0), _takes, _MOTION
)


# --- Morpheus ---

MAX_PREDICTED_S = 5.0
_WINDOW_S = 1.0  # of which the best window counts; of a shorter future all of it
LARGE_MEAN = 1.0  # |mean| from which the standard deviation is taken relative to it
_METRIC = "physical_invariance_score"
_READING = Reading(256)
_MORPHEUS_LAYOUT = """\
FOLDER/
  real-world-cropped/EXPERIMENT/VIDEO/
    cropped_video.mp4
    info.json
    frames_for_tracking/*.jpg      not needed here"""


def _experiments(folder: Path) -> list[Entry]:
    places = [(path.parent.name, path) for path in sorted(folder.glob("real-world-cropped/*/*")) if path.is_dir()]
    return [
        Entry(f"{kind}/{place.name}", kind, kind, True, place / "cropped_video.mp4", (place / "info.json",))
        for kind, place in places
    ]


def _energy_of(context: BenchmarkContext, entry: Entry, model: Any) -> Iterator[Value]:
    """The invariance score of a model's future; none where the video has none or shows nothing in the context."""
    start, fps = context.evaluator.context_frames, context.shape.fps
    clip = context.around(context.clip(entry), start, round(MAX_PREDICTED_S * fps))
    video = as_video(clip.frames[0])
    scene = background_of(video)
    unit = _READING.size_px / video.shape[2]
    truth = track(video, 1, scene)

    def kept(place: ndarray) -> float:
        energy = mechanical_energy(place[:, 0] * unit, truth[:, 0] * unit, fps)[start:]
        window = min(len(energy), max(3, round(_WINDOW_S * fps)))
        return float(physical_invariance(energy[None, None], window)[0])

    value = kept(truth)
    if np.isnan(value) or np.isnan(truth[:start]).all():
        return
    if model is not None:
        future = torch.cat((clip.frames[:, :start], context.future(model, clip)), dim=1)
        place = track(as_video(future[0]), 1, scene, truth[:start])
        value = float(np.nan_to_num(kept(place)))
    yield context.value(model, entry, entry.property, _METRIC, "share", value)


def mechanical_energy(place: ndarray, truth: ndarray, fps: float) -> ndarray:
    """Per mass, of a path (time, 2) with y down: kinetic and, above the true video's lowest place, potential.

    Gravity is the regression of the true video's kinetic energy on its depth, over the frames that have both (a frame
    between two others has a velocity where it has no place itself). NaN where the path has no place, and throughout
    where no frame of the true video has both.
    """
    kinetic = [0.5 * (np.gradient(path, 1.0 / fps, axis=0) ** 2).sum(axis=1) for path in (place, truth)]
    seen = np.isfinite(kinetic[1]) & np.isfinite(truth[:, 1])
    if not seen.any():
        return np.full(len(place), np.nan)
    depth, motion = truth[seen, 1], kinetic[1][seen]
    spread = float(np.var(depth))
    gravity = max(0.0, float(np.cov(depth, motion, bias=True)[0, 1]) / spread) if spread > 0 else 0.0
    energy: ndarray = kinetic[0] + gravity * (float(depth.max()) - place[:, 1])
    return energy


def physical_invariance(invariants: Float[ndarray, "clip invariant time"], window: int) -> PerClip:
    """Mean over invariants of the best window's 1 / (1 + std), in [0, 1]; 1 is best.

    std is relative where the window's mean is large. A window with a missing value does not count; NaN where
    an invariant has none without.
    """
    windows = np.lib.stride_tricks.sliding_window_view(invariants, window, axis=-1)
    score = 1.0 / (1.0 + windows.std(axis=-1) / np.maximum(np.abs(windows.mean(axis=-1)), LARGE_MEAN))
    best = np.where(np.isfinite(score), score, -np.inf).max(axis=-1)
    averaged: ndarray = np.where(np.isfinite(best), best, np.nan).mean(axis=-1)
    return averaged


_ENERGY = ContinuationScore(_energy_of, (_METRIC,))
MORPHEUS = Benchmark("morpheus", "Morpheus", "arXiv 2504.02918", _MORPHEUS_LAYOUT, _READING, _experiments, _ENERGY)
