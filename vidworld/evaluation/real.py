"""Models on held-out real video: Physics-IQ's motion metrics and laws on futures, surprise on spliced quadruplets.

The quadruplets are a static camera's clip spliced with itself later, stopped, or without what moves.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Int16, UInt8
from scipy import ndimage

from vidworld.analysis.records import Value
from vidworld.core.clip import Clips
from vidworld.evaluation.evaluator import Subject
from vidworld.evaluation.rollouts import save_rollouts
from vidworld.evaluation.surprises import encode_quadruplets, measured
from vidworld.evaluation.task import Case, Setup, Task, Unit, pieces
from vidworld.metrics import METRICS
from vidworld.metrics.physics_iq import PhysicsIq, physics_iq
from vidworld.simulation.quadruplets import Quadruplets, splice
from vidworld.video import content_fingerprint
from vidworld.video.real import RealClips
from vidworld.video_laws.futures import TrueMotion, law_values, true_motion

REAL_VIDEO_VERSION = 2  # of what is done between a clip and a metric; raised when that gives other values
LAW_METRICS = ("position_error", "law_deviation", "added_deviation")
MOTION_METRICS = tuple(f"physics_iq_{name}" for name in PhysicsIq._fields)
REAL_CLIPS_AT_ONCE = 8  # clips of a unit
SHOWN = 4  # files of which the report shows a rollout
MASKS_ENLARGED = 4  # Physics-IQ's masks lose what is narrower than 5 pixels, which at 64 px is much of what moves

Kind = Literal["jump", "freeze", "missing"]
"""What is wrong in the impossible clips.

jump: time is missing, or comes twice. A: a clip. B: the clip of the same shot that starts later.
freeze: what moved stops at once, or the reverse. A: a clip. B: its last picture before the splice, held.
missing: what moved is gone at once, or the reverse. A: a clip. B: the same with background in its place.
"""
ClipArray = UInt8[np.ndarray, "time channel height width"]
SignedClip = Int16[np.ndarray, "time channel height width"]
_Picture = Int16[np.ndarray, "channel height width"]
Background = tuple[_Picture, Bool[np.ndarray, "height width"]]  # the place without what moves, and where it is known
Differences = Int16[np.ndarray, "time height width"]

JUMP_FRAMES = 8  # by which the clip of a jump starts later: a multiple of the stride that clips are cut with
SEEN_LEVELS = 20  # a pixel shows a difference when one of its colours differs by more
MIN_SHARE = 0.002  # so much of the picture must show what is wrong: 8 pixels of 64 x 64
NEAR_FRAMES = 4  # so near to the splice, on both sides of it
TRACE_LEVELS = 10  # what moves is taken out with its faint edges: what differs by more, next to what is seen
BACKGROUND_SHARE = 0.6  # the background of a pixel is known when it looks the same in so many of the shot's frames
BACKGROUND_FRAMES = 128  # of a shot, spread over it


def real_video_units(setup: Setup) -> Iterator[Unit]:
    """Futures of the held-out clips, then surprise at each kind of quadruplet of them."""
    source = setup.real
    if source is None or setup.config.real is None:
        return
    subjects = [subject for subject in setup.subjects if not subject.needs_tracks]
    depends_on = ["real video", REAL_VIDEO_VERSION, content_fingerprint(setup.config.real, "real")]
    # Tracking the truth takes most of the time, and is done once for all subjects.
    truth = lru_cache(maxsize=REAL_CLIPS_AT_ONCE)(partial(true_motion, source, start=setup.evaluator.context_frames))
    metrics = [METRICS[name] for name in (*MOTION_METRICS, *LAW_METRICS)]
    for numbers in pieces(len(source), REAL_CLIPS_AT_ONCE):
        for subject in [None, *(subject for subject in subjects if subject.rolls_out)]:
            futures = partial(_futures, setup, source, truth, numbers, subject)
            yield setup.unit(
                f"real_{numbers[0]}_{numbers[-1]}", subject, [*depends_on, list(numbers)], metrics, futures
            )
    metrics = setup.metrics("surprise")
    for kind in get_args(Kind):
        for subject in [None, *(subject for subject in subjects if subject.is_surprised)]:
            surprises = partial(_surprises, setup, source, kind, subject)
            yield setup.unit(f"real_surprise_{kind}", subject, [*depends_on, kind], metrics, surprises)


def show_real_video(setup: Setup, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Videos of rollouts of the first clip of some held-out files."""
    if setup.real is None:
        return {}
    models = [s.model for s in setup.subjects if s.rolls_out and not s.needs_tracks]
    firsts: dict[str, int] = {}
    for number, identity in enumerate(setup.real.identity):
        firsts.setdefault(identity.rpartition("/")[0], number)
    entries = []
    for number in list(firsts.values())[:SHOWN]:
        entries += save_rollouts(setup.evaluator, models, setup.real.clips([number]), "real video", folder)
    return {"rollouts": entries}


REAL_VIDEO = Task(real_video_units, show_real_video)


def _futures(
    setup: Setup, source: RealClips, truth: Callable[[int], TrueMotion | None], numbers: range, subject: Subject | None
) -> Iterator[Value]:
    """Physics-IQ's four measures of the future of each clip, and how it keeps the law of the clip's event.

    Without a subject those of the truth and of what the tokenizer keeps of it.
    """
    evaluator, start = setup.evaluator, setup.evaluator.context_frames
    for number in numbers:
        clips = source.clips([number])
        seen = evaluator.encode(clips)
        if subject is None:
            decoded = evaluator.decode_future(seen, seen.tokens[:, evaluator.context_length :])
            futures = {"reconstruction": decoded, "truth": clips.frames[:, start:]}
        else:
            futures = {subject.name: evaluator.future_frames(subject.model, seen)}
        yield from law_values(truth(number), futures, evaluator.seed)
        for name, future in futures.items():
            predicted = torch.cat((clips.frames[:, :start], future), dim=1)
            scores = physics_iq(predicted, clips.frames, start, MASKS_ENLARGED)
            case = Case(name, "pixels", "real video", "real", evaluator.seed)
            for metric, score in zip(MOTION_METRICS, scores, strict=True):
                yield from case.values(METRICS[metric], clips.identity, [float(score[0])])


def _surprises(setup: Setup, source: RealClips, kind: Kind, subject: Subject | None) -> Iterator[Value]:
    evaluator = setup.evaluator
    quadruplets = real_quadruplets(source, kind, evaluator.context_frames, evaluator.seed)
    if len(quadruplets):
        encoded = partial(encode_quadruplets, evaluator, quadruplets)
        yield from measured(encoded, evaluator, "real", setup.metrics("surprise"), subject)


# --- quadruplets -------------------------------------------------------------------------------------------


def real_quadruplets(
    source: RealClips, kind: Kind, splice_frame: int = 8, seed: int = 0, per_file: int = 8
) -> Quadruplets:
    """The quadruplets of a kind, at most `per_file` of a video, chosen by the seed; none where no clip allows one.

    Only clips of a static camera count, where something moves before and after the splice and what is wrong shows.
    Their rate is NaN where their videos differ in it.
    """
    later = source.later(JUMP_FRAMES) if kind == "jump" else {}
    able = [i for i, static in enumerate(source.static_camera) if static and (kind != "jump" or i in later)]
    taken: Counter[str] = Counter()
    made: dict[int, tuple[ClipArray, ClipArray]] = {}
    backgrounds: dict[tuple[int, ...], Background] = {}
    for i in np.random.default_rng(seed).permutation(able).tolist():
        file = source.identity[i].rpartition("/")[0]
        if taken[file] == per_file:
            continue
        a = _pictures(source, [i])
        if kind == "jump":
            b = _pictures(source, [later[i]])
        elif kind == "freeze":
            b = held(a, splice_frame)
        else:
            shot = tuple(source.same_shot(i))
            if shot not in backgrounds:
                there = len(shot) * source.num_frames
                some = source.frames_among(shot, np.arange(0, there, max(1, there // BACKGROUND_FRAMES)))
                backgrounds[shot] = background_of_shot(some.numpy())
            b = emptied(a, backgrounds[shot])
        if differs_enough(a, b, splice_frame):
            taken[file] += 1
            made[i] = a, b
    return _assemble(source, kind, splice_frame, dict(sorted(made.items())))


def held(a: ClipArray, splice_frame: int) -> ClipArray:
    """The clip in which the last picture before the splice stands still from the start."""
    return np.repeat(a[splice_frame - 1 : splice_frame], len(a), axis=0)


def background_of_shot(some: ClipArray) -> Background:
    """What frames of a shot mostly show, and where that is the background for sure."""
    level = np.median(some, axis=(2, 3), keepdims=True)  # exposures change
    usual = np.asarray(np.median(some - level, axis=0) + np.median(level, axis=0), np.int16)
    same = _furthest(some, _lit(usual, some)) <= SEEN_LEVELS
    return usual, same.mean(0) >= BACKGROUND_SHARE


def emptied(a: ClipArray, background: Background) -> ClipArray:
    """The clip without what moves: there it shows the background of its shot.

    What moves where the background is not known stays, and then whatever passes quickly too: the rest of
    its way might be there. Unchanged where nothing can go.
    """
    picture, known = background
    lit = _lit(picture, a)
    traces, count = ndimage.label(_traces(_furthest(a, lit)), np.ones((3, 3, 3)))
    unknown = set(np.unique(traces * ~known))
    removable = [i for i in range(1, count + 1) if i not in unknown]
    if len(removable) < count:
        removable = [i for i in removable if 2 * (traces == i).any((1, 2)).sum() >= len(a)]
    removed = np.isin(traces, removable)
    return np.where(removed[:, None], lit.clip(0, 255), a).astype(np.uint8)


def differs_enough(a: ClipArray, b: ClipArray, splice_frame: int) -> bool:
    """Whether something moves in `a` on both sides of the splice and `b` differs on both, near to it."""
    past = slice(max(0, splice_frame - NEAR_FRAMES), splice_frame)
    future = slice(splice_frame, splice_frame + NEAR_FRAMES)
    moves = [_most_changed(np.repeat(a[part][:1], len(a[part]), axis=0), a[part]) for part in (past, future)]
    differs = [_most_changed(a[part], b[part]) for part in (past, future)]
    return min(*moves, *differs) >= MIN_SHARE


def _lit(background: _Picture, frames: ClipArray) -> SignedClip:
    """The background as bright as each frame is."""
    return np.asarray(background + np.median(frames - background, axis=(2, 3), keepdims=True), np.int16)


def _furthest(a: ClipArray, b: SignedClip | ClipArray) -> Differences:
    """By how much the colour that differs most differs."""
    return np.asarray(np.abs(a.astype(np.int16) - b).max(1), np.int16)


def _traces(away: Differences) -> Bool[np.ndarray, "time height width"]:
    """Where what is seen to differ is, with its faint edges and a pixel around."""
    traces = []
    for frame in away:
        near = cv2.dilate((frame > SEEN_LEVELS).astype(np.uint8), np.ones((7, 7), np.uint8))
        faint = near & (frame > TRACE_LEVELS).astype(np.uint8)
        traces.append(cv2.dilate(faint, np.ones((3, 3), np.uint8)))
    return np.stack(traces).astype(bool)


def _most_changed(a: ClipArray, b: ClipArray) -> float:
    return float((_furthest(a, b) > SEEN_LEVELS).mean((1, 2)).max(initial=0.0))


def _pictures(source: RealClips, indices: Sequence[int]) -> ClipArray:
    return source.clips(indices).frames.flatten(0, 1).numpy()


def _assemble(
    source: RealClips, kind: Kind, splice_frame: int, made: dict[int, tuple[ClipArray, ClipArray]]
) -> Quadruplets:
    rates = {source.fps[i] for i in made}
    fps = rates.pop() if len(rates) == 1 else float("nan")
    identity = tuple(f"{kind}/{source.identity[i]}" for i in made)
    shape = (len(made), source.num_frames, 3, source.size_px, source.size_px)
    sides = [np.array([pair[side] for pair in made.values()], np.uint8).reshape(shape) for side in (0, 1)]
    a, b = (Clips(torch.from_numpy(side), fps, identity) for side in sides)
    first, second = (
        replace(clips, identity=tuple(f"{name}/{side}" for name in identity))
        for side, clips in zip("ab", (a, b), strict=True)
    )
    a_then_b, b_then_a = splice(a, b, splice_frame, "a_then_b"), splice(b, a, splice_frame, "b_then_a")
    return Quadruplets(kind, first, second, a_then_b, b_then_a, splice_frame, identity)
