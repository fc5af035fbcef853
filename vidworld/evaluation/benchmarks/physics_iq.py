"""Physics-IQ, original and verified: what moves, seen from three sides, in two takes; scored in two settings.

Source: Motamed et al. 2025 (arXiv 2501.09038) and its code; the verified score is arXiv 2606.18943. Four measures are
held against how much two takes of one scene differ: both scores are 100 where videos differ from the truth as two takes
do.

`published_...` (physics_iq_published.py): as its code does, for each first take, at the size of the videos and the rate
of the model's videos, which are part of the name, since scores of different rates are not the same.
`test`: our own setting, at the models' size and rate: each take is continued from the frames before its switch, as far
as whole chunks go in five seconds. Masks are made of the predicted frames alone, as there, of pictures enlarged to
`MASKS_PX`.
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
from vidworld.core.clip import Frames
from vidworld.evaluation.benchmarks import physics_iq_published as published
from vidworld.evaluation.benchmarks.benchmark import Benchmark, ContinuationScore, Entry, Reading
from vidworld.evaluation.benchmarks.continuation import BenchmarkContext, numbers_by_model
from vidworld.evaluation.evaluator import ModelFailure
from vidworld.metrics import METRICS, PerClip
from vidworld.metrics.physics_iq import PhysicsIq, physics_iq
from vidworld.models.external.videos import Videos
from vidworld.models.world_model import CopyLast
from vidworld.video.decode import Unreadable

CONTEXT_S = 3.0  # before the switch
RECORDED_FPS = 30.0
MASKS_PX = 256
EPSILON = 1e-8  # that its code adds to what it divides by
MEASURES = tuple(f"physics_iq_{name}" for name in PhysicsIq._fields)
OWN, PUBLISHED = "test", "published"  # the column `split`
Measures = Float[ndarray, "video 4"]  # spatial, spatiotemporal and weighted spatial IoU, and MSE

# --- the folder ---

NAME = re.compile(
    r"(?P<number>\d{4})_(?P<kind>[a-z-]+)_(?:\d+|any)FPS_perspective-(?P<side>left|center|right)"
    r"(?:_take-(?P<take>[12]))?_(?P<scene>.+)\.(?:mp4|jpg)"
)
TAKES = 198  # of each kind: the second of a scene and side has the number of the first and 198
OTHER_TAKE = {"1": "2", "2": "1"}
_LAYOUT = """\
FOLDER/
  full-videos/take-1/30FPS/0001_full-videos_30FPS_perspective-left_take-1_trimmed-NAME.mp4       (take-2: original only)
  split-videos/testing/30FPS/0001_testing-videos_30FPS_perspective-left_take-1_trimmed-NAME.mp4
                             0199_testing-videos_30FPS_perspective-left_take-2_trimmed-NAME.mp4
  switch-frames/0001_switch-frames_anyFPS_perspective-left_trimmed-NAME.jpg                      (of first takes)
  video-masks/real/30FPS/0001_video-masks_30FPS_perspective-left_take-1_trimmed-NAME.mp4         (made where not there)
Numbers are 0001 to 0198 for first takes, and 198 more for the second take of the same side and scene. Folders of other
rates (8FPS, 16FPS, 24FPS) beside 30FPS are used for models of that rate. A model's own videos (--model videos:FOLDER)
are named by the number of the first take, 0001_perspective-left_trimmed-NAME.mp4, and hold the five seconds after the
switch."""
_Key = tuple[str, str, str]  # scene, side, take


def _takes(folder: Path) -> list[Entry]:
    """Both takes of every side of every scene of which any file is there; a group is one side of one scene."""
    numbers, frames = _numbers(folder)
    testing = next((path for path in sorted(folder.glob("split-videos/testing*")) if path.is_dir()), None)
    testing = testing or folder / "split-videos" / "testing"
    masks, full = folder / "video-masks" / "real", folder / "full-videos"
    found = []
    for scene, side, take in sorted((*key[:2], take) for key in numbers if key[2] == "1" for take in "12"):
        first, number = numbers[scene, side, "1"], numbers[scene, side, take]
        ending = f"30FPS_perspective-{side}_take-{take}_{scene}.mp4"
        needs = [full / f"take-{take}" / "30FPS" / f"{number}_full-videos_{ending}"]
        if take == "2" and not needs[0].parent.is_dir():
            needs = []  # Physics-IQ Verified has no more of second takes than its score needs
        if masks.is_dir():
            needs.append(masks / "30FPS" / f"{number}_video-masks_{ending}")
        if take == "1":
            usual = folder / "switch-frames" / f"{first}_switch-frames_anyFPS_perspective-{side}_{scene}.jpg"
            needs.append(frames.get((scene, side), usual))
        video = testing / "30FPS" / f"{number}_testing-videos_{ending}"
        generated = f"{first}_*.mp4" if take == "1" else ""
        name = f"{scene}/{side}"
        found.append(Entry(f"{name}/take-{take}", scene, name, True, video, tuple(needs), generated=generated))
    videos = {entry.identity: entry for entry in found}
    others = [videos[f"{entry.group}/take-{OTHER_TAKE[entry.identity[-1]]}"] for entry in found]
    return [
        replace(one, compared_with=(other.video, *_of_other_rates(one), *_of_other_rates(other)))
        for one, other in zip(found, others, strict=True)
    ]


def _numbers(folder: Path) -> tuple[dict[_Key, str], dict[tuple[str, str], Path]]:
    """The number of each take of which any file is there, and of its other one; and the switch frames of first takes.

    Switch frames do not say the take: it is that of the videos of their number, the first where there are none.
    """
    numbers: dict[_Key, str] = {}
    places = ("full-videos/*/30FPS", "split-videos/testing*/30FPS", "video-masks/real/30FPS")
    for path in (path for place in places for path in sorted(folder.glob(f"{place}/*.mp4"))):
        if (fits := NAME.fullmatch(path.name)) and fits["take"]:
            numbers.setdefault((fits["scene"], fits["side"], fits["take"]), fits["number"])
    frames = {}
    for path in sorted(folder.glob("switch-frames/*.jpg")):
        if fits := NAME.fullmatch(path.name):
            scene, side, number = fits["scene"], fits["side"], fits["number"]
            take = fits["take"] or ("2" if numbers.get((scene, side, "2")) == number else "1")
            numbers.setdefault((scene, side, take), number)
            if take == "1":
                frames[scene, side] = path
    for (scene, side, take), number in list(numbers.items()):
        other = int(number) + (TAKES if take == "1" else -TAKES)
        numbers.setdefault((scene, side, OTHER_TAKE[take]), f"{max(other, 0):04d}")
    return numbers, frames


def _of_other_rates(entry: Entry) -> list[Path]:
    """The same video and masks at other rates, where they are there."""
    found = []
    for path in (entry.video, *(path for path in entry.needs if "video-masks" in path.name)):
        places = sorted(place for place in path.parent.parent.glob("*FPS") if place.name != path.parent.name)
        found += [place / path.name.replace("30FPS", place.name) for place in places]
    return [path for path in found if path.exists()]


# --- the measures of one video ---


def _motion_of(context: BenchmarkContext, entry: Entry, model: Any) -> Iterator[Value]:
    """A model's four measures of one video in both settings; in ours the truth's, which are those of another take."""
    fps, start = context.shape.fps, context.evaluator.context_frames
    files, identity = getattr(model, "model", None), f"{context.benchmark.name}/{entry.identity}"
    files = files if isinstance(files, Videos) else None
    full = next((path for path in entry.needs if "full-videos" in path.name), None)
    first = bool(entry.generated)
    if full is None or (files and not first and not files.path_of(identity).is_file()):
        return  # the authors give no more of this take, or nobody was to continue it
    clip, chunk = context.clip(replace(entry, video=full)), context.evaluator.tokenizer.patch_size[0]
    given, most = (round(seconds * fps) for seconds in (CONTEXT_S, published.HORIZON_S))
    there = min(clip.frames.shape[1] - given, most)
    seen = context.around(clip, given, there, hold=files is None and there >= chunk)
    if model is None:
        future = context.clip(replace(entry, video=entry.compared_with[0])).frames
    else:
        future = context.future(model, seen)[:, :there]
    count = min(there // chunk * chunk, future.shape[1])
    truth = seen.frames[:, start : start + count]
    larger = max(1, MASKS_PX // truth.shape[-1])
    scores = physics_iq(future[:, :count], truth, enlarge=larger, still_counts=True)
    yield from _values(context, entry, model, [float(value) for (value,) in scores], OWN)
    if first and model is not None:
        try:
            videos = _videos(context, model, files.path_of(identity) if files else None, full, future)
        except Unreadable as error:
            raise ModelFailure(model.name, str(error)) from error
        for scored in videos:
            yield from _published(context, entry, model, scored)


def _videos(
    context: BenchmarkContext, model: Any, file: Path | None, full: Path, future: Frames
) -> list[published.ScoredVideo]:
    """What is scored as published: a file of its own, what a model predicted, or the last frame that was shown.

    The latter beside models of any rate: at the videos' own size, at their rate and at that of models that run here.
    """
    fps = context.shape.fps
    if file is not None:
        return [published.generated_video(file, model.model.begins, context.evaluator.context_frames / fps)]
    if isinstance(model, CopyLast):
        last = round(CONTEXT_S * RECORDED_FPS) - 1
        return [published.frozen_video(full, last, rate) for rate in dict.fromkeys((RECORDED_FPS, fps))]
    return [published.video_of_frames(future[0].numpy(), fps)]


def _published(context: BenchmarkContext, entry: Entry, model: Any, scored: published.ScoredVideo) -> Iterator[Value]:
    """The measures of a video and, at its rate, those between the takes; none where these last no five seconds."""
    split = f"{PUBLISHED}_{scored.fps:g}fps"
    try:
        takes = published.takes_as_published(entry.video, entry.compared_with[0], scored.fps)
        own = published.measures_as_published(scored, entry.video)
    except Unreadable:
        return
    yield from _values(context, entry, None, takes, split)
    yield from _values(context, entry, model, own, split)


def _values(
    context: BenchmarkContext, entry: Entry, model: Any, numbers: Sequence[float], split: str
) -> Iterator[Value]:
    for name, number in zip(MEASURES, numbers, strict=True):
        yield context.value(model, entry, "motion", name, METRICS[name].unit, number, split)


# --- scores ---


def _whole(values: Sequence[Value], entries: Sequence[Entry], seed: int) -> Iterator[Value]:
    """The measures, and both scores of every model in every setting."""
    measured = list(dict.fromkeys(values))  # models of one rate have the same measures between the takes
    yield from measured
    for split in dict.fromkeys(value.split for value in measured):
        tables = numbers_by_model(value for value in measured if value.split == split)
        takes = tables.pop("truth", {})
        for model, videos in tables.items():
            if not (names := [name for name in videos if name in takes]):
                continue
            score = physics_iq_score(np.array([videos[n] for n in names]), np.array([takes[n] for n in names]))
            place = (model, "pixels", "physics_iq", "motion", split)
            yield Value(*place, "physics_iq_score", "percent", "all videos", score.original, seed)
            for name, verified in zip(names, score.verified, strict=True):
                yield Value(*place, "physics_iq_verified_score", "percent", name, float(verified), seed)


def _notes(values: Sequence[Value], entries: Sequence[Entry]) -> Iterator[str]:
    """How both settings differ, and what is left out of the published one."""
    yield (
        f"physics_iq: {PUBLISHED}_Nfps is its authors' own setting, at the size of the videos and N frames a second, "
        f"of first takes: what leaderboards have, if all {TAKES} are there. {OWN} is ours, at the size and rate of the "
        "models, of both takes: its scores stand beside no others"
    )
    firsts = [entry.identity for entry in entries if entry.generated]
    scored = {value.identity for value in values if value.split.startswith(PUBLISHED)}
    if lacking := [name for name in firsts if name not in scored]:
        why = "its testing videos, or the futures of all models, last less than five seconds"
        yield f"physics_iq: {len(lacking)} of {len(firsts)} have no published score, as {lacking[0]}: {why}"
    elif len(firsts) < TAKES:
        yield f"physics_iq: {len(firsts)} of the {TAKES} first takes are there; a published score is of all of them"


class PhysicsIqScore(NamedTuple):
    """Of one model, in percent."""

    original: float  # 100 (mean over three IoU of model / takes - (MSE - takes' MSE)), of data-set means, in 0 to 100
    verified: PerClip  # 100 times a video's mean of model / takes (IoU) and takes / model (MSE), each held to 0 to 1


def physics_iq_score(model: Measures, takes: Measures) -> PhysicsIqScore:
    """The scores of videos, given the same measures between the two takes of each video's scene and side.

    As in its code, where the takes agree in nothing (an IoU of 0) a model that agrees in nothing has 0, any other 1.
    """
    mean, among = model.mean(axis=0), takes.mean(axis=0)
    original = np.mean(mean[:3] / (among[:3] + EPSILON)) - (mean[3] - among[3])
    with np.errstate(divide="ignore"):
        parts = np.concatenate(
            [model[:, :3] / (takes[:, :3] + EPSILON), (takes[:, 3:] + EPSILON) / model[:, 3:]], axis=1
        )
    return PhysicsIqScore(100.0 * float(np.clip(original, 0, 1)), 100.0 * np.clip(parts, 0, 1).mean(axis=1))


_MOTION = ContinuationScore(_motion_of, MEASURES, _whole, _notes)
PHYSICS_IQ = Benchmark(
    "physics_iq", "Physics-IQ", "arXiv 2501.09038", _LAYOUT, Reading(256, fps=RECORDED_FPS), _takes, _MOTION, version=2
)
