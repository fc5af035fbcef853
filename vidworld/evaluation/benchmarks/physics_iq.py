"""Physics-IQ, original and verified: filmed experiments from three sides, in one take or two, and what moves in them.

Source: Motamed et al. 2025 (arXiv 2501.09038) and its code; the verified score is arXiv 2606.18943. A model is given
what comes before the switch frame (3 s) and predicts the 5 s of the testing video, at 30 frames a second or those that
it can. Its four measures are held against how much two takes of one scene differ: both scores are 100 where a model's
videos differ from the truth as two takes do.

Differs from its own evaluation in what a model is given and at which size: the frames before the switch at the model's
rate and size, and as many whole chunks after it as five seconds hold. Masks are made of the predicted frames alone, as
there, of pictures enlarged to `MASKS_PX`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips
from vidworld.core.shapes import Frames
from vidworld.evaluation.benchmarks.benchmark import Benchmark, ContinuationScore, Entry, Reading
from vidworld.evaluation.benchmarks.continuation import BenchmarkContext, numbers_by_model
from vidworld.metrics import METRICS, PerClip
from vidworld.metrics.physics_iq import PhysicsIq, measures

CONTEXT_S, HORIZON_S = 3.0, 5.0
MASKS_PX = 256
NAME = re.compile(
    r"(?P<number>\d{4})_(?P<kind>[a-z-]+)_(?:\d+|any)FPS_perspective-(?P<side>left|center|right)"
    r"(?:_take-(?P<take>\d))?_(?P<scene>.+)\.(?:mp4|jpg)"
)
_LAYOUT = """\
FOLDER/
  full-videos/take-1/30FPS/0001_full-videos_30FPS_perspective-left_take-1_trimmed-NAME.mp4    (take-2: original only)
  split-videos/testing/30FPS/0001_testing-videos_30FPS_perspective-left_take-1_trimmed-NAME.mp4
  switch-frames/0001_switch-frames_anyFPS_perspective-left_trimmed-NAME.jpg                  (_take-1_ in the original)
  video-masks/real/30FPS/0001_video-masks_30FPS_perspective-left_take-1_trimmed-NAME.mp4
Names end alike: number, side, take and experiment."""
FOLDERS = {
    "full-videos": "full-videos/take-{take}/30FPS",
    "testing-videos": "split-videos/testing/30FPS",
    "video-masks": "video-masks/real/30FPS",
}
OTHER_TAKE = {"1": "2", "2": "1"}
MEASURES = tuple(f"physics_iq_{name}" for name in PhysicsIq._fields)
Measures = Float[ndarray, "video 4"]
"""Spatial, spatiotemporal and weighted spatial IoU, and MSE."""


def _entries(folder: Path) -> list[Entry]:
    """Every take of every side of every experiment of which any file is there; a group is one side of one."""
    takes: dict[tuple[str, str, str, str], None] = {}
    frames: dict[tuple[str, str, str], Path] = {}
    places = ["full-videos/*/30FPS", "split-videos/testing/30FPS", "video-masks/real/30FPS", "switch-frames"]
    for path in (path for place in places for path in sorted(folder.glob(f"{place}/*"))):
        if fits := NAME.fullmatch(path.name):
            key = (fits["number"], fits["side"], fits["scene"])
            takes.setdefault((*key, fits["take"] or "1"))
            if fits["kind"] == "switch-frames":
                frames[key] = path
    verified = any("_take-" not in path.name for path in frames.values())
    found = []
    for number, side, scene, take in sorted(takes):
        ending = f"30FPS_perspective-{side}_take-{take}_{scene}.mp4"
        folders = {kind: folder / place.format(take=take) for kind, place in FOLDERS.items()}
        files = {kind: place / f"{number}_{kind}_{ending}" for kind, place in folders.items()}
        shown = scene if verified else f"take-{take}_{scene}"
        usual = folder / "switch-frames" / f"{number}_switch-frames_anyFPS_perspective-{side}_{shown}.jpg"
        switch = frames.get((number, side, scene), usual)
        needs = (files["full-videos"], files["video-masks"], switch)
        identity = f"{scene}/{side}/take-{take}"
        found.append(Entry(identity, scene, f"{scene}/{side}", True, files["testing-videos"], needs))
    full = {entry.identity: (entry.needs[0],) for entry in found}
    others = [f"{entry.group}/take-{OTHER_TAKE.get(entry.identity[-1])}" for entry in found]
    return [replace(entry, compared_with=full.get(other, ())) for entry, other in zip(found, others, strict=True)]


def _of_video(context: BenchmarkContext, entry: Entry, model: Any) -> Iterator[Value]:
    """A model's four measures of one video; the truth's are those of another take, if there is one."""
    start = context.evaluator.context_frames
    truth = _stretch(context, entry, entry.needs[0])
    if model is not None:
        predicted = context.future(model, truth)
    elif entry.compared_with:
        predicted = _stretch(context, entry, entry.compared_with[0]).frames[:, start:]
    else:
        return
    for name, value in zip(MEASURES, _measures(predicted, truth.frames[:, start:]), strict=True):
        yield context.value(model, entry, "motion", name, METRICS[name].unit, value)


def _stretch(context: BenchmarkContext, entry: Entry, video: Path) -> Clips:
    """The context before the switch and the five seconds after it, of a video that holds both."""
    clip = context.clip(replace(entry, video=video))
    given, most = (round(seconds * context.shape.fps) for seconds in (CONTEXT_S, HORIZON_S))
    return context.around(clip, given, most)


def _measures(predicted: Frames, truth: Frames) -> tuple[float, float, float, float]:
    """The four measures, two videos without motion agreeing, as published."""
    count = min(predicted.shape[1], truth.shape[1])
    of_model, true = (np.asarray(frames[0, :count]) for frames in (predicted, truth))
    return measures(of_model, true, enlarge=max(1, MASKS_PX // true.shape[-1]), still_counts=True)


# --- the scores of a model ---


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

    original: float
    """100 (mean over the three IoU of model / takes - (MSE - takes' MSE)), of data-set means, held to 0 to 100."""
    verified: PerClip
    """A video's 100 times the mean of model / takes for each IoU and takes / model for the MSE, each held to 0 to 1."""


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
    ratio: ndarray = np.where(below > 0, above / np.where(below > 0, below, 1.0), 1.0)
    return ratio


_SCORE = ContinuationScore(_of_video, MEASURES, _whole)
PHYSICS_IQ = Benchmark(
    "physics_iq", "Physics-IQ", "arXiv 2501.09038", _LAYOUT, Reading(256, fps=30.0), _entries, _SCORE
)
