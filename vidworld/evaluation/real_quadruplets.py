"""Quads of real video: a static camera's clip spliced with itself later, stopped, or without what moves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Int16, UInt8
from scipy import ndimage

from vidworld.core.clip import Clips
from vidworld.simulation.quadruplets import Quadruplets, splice
from vidworld.video.real import RealClips

Kind = Literal["jump", "freeze", "missing"]
"""What is wrong in the impossible clips.

jump: time is missing, or comes twice. A: a clip. B: the clip of the same shot that starts later.
freeze: what moved stops at once, or the reverse. A: a clip. B: its last picture before the splice, held.
missing: what moved is gone at once, or the reverse. A: a clip. B: the same with background in its place.
"""
ClipArray = UInt8[np.ndarray, "time channel height width"]
SignedClip = Int16[np.ndarray, "time channel height width"]
_Picture = Int16[np.ndarray, "channel height width"]
Differences = Int16[np.ndarray, "time height width"]

SEEN_LEVELS = 20
"""A pixel shows a difference when one of its colours differs by more."""
MIN_SHARE = 0.002
"""So much of the picture must show what is wrong: 8 pixels of 64 x 64."""
TRACE_LEVELS = 10
"""What moves is taken out with its faint edges: what differs by more, next to what is seen."""
BACKGROUND_SHARE = 0.6
"""The background of a pixel is known when it looks the same in so many of the shot's frames."""
BACKGROUND_FRAMES = 128
"""Of a shot, spread over it."""


class Background(NamedTuple):
    """The place without what moves."""

    picture: _Picture
    known: Bool[np.ndarray, "height width"]


class _Made(NamedTuple):
    a: ClipArray
    b: ClipArray
    done: str


@dataclass(frozen=True)
class RealQuadruplets(Quadruplets):
    """Quads with what was done to make each; the rate is NaN where their videos differ in it."""

    done: tuple[str, ...]


def real_quadruplets(
    source: RealClips, kind: Kind, splice_frame: int = 8, seed: int = 0, per_file: int = 8, jump_frames: int = 8
) -> RealQuadruplets:
    """The quadruplets of a kind, at most `per_file` of a video, chosen by the seed; none where no clip allows one.

    Only clips of a static camera count, where something moves before and after the splice and what is wrong
    shows. `jump_frames` is a multiple of the stride that the clips were cut with.
    """
    later = source.later(jump_frames) if kind == "jump" else {}
    able = [i for i, static in enumerate(source.static_camera) if static and (kind != "jump" or i in later)]
    taken: dict[str, int] = {}
    made: dict[int, _Made] = {}
    backgrounds: dict[tuple[int, ...], Background] = {}
    for i in np.random.default_rng(seed).permutation(able).tolist():
        file = source.identity[i].rpartition("/")[0]
        if taken.get(file, 0) == per_file:
            continue
        a = _pictures(source, [i])
        if kind == "jump":
            b = _pictures(source, [later[i]])
            ahead = f"{jump_frames} frames ({jump_frames / source.fps[i]:.3g} s) later"
            done = f"the other future is of {source.identity[later[i]]}, {ahead}"
        elif kind == "freeze":
            b, done = held(a, splice_frame), f"the other future is frame {splice_frame - 1}, held"
        else:
            shot = tuple(source.same_shot(i))
            if shot not in backgrounds:
                backgrounds[shot] = background_of_shot(_pictures(source, shot))
            b = emptied(a, backgrounds[shot])
            share = float((a != b).any(1).mean())
            done = f"the other future is without what moves: the background in {share:.1%} of the picture"
        if differs_enough(a, b, splice_frame):
            taken[file] = taken.get(file, 0) + 1
            made[i] = _Made(a, b, done)
    return _assemble(source, kind, splice_frame, dict(sorted(made.items())))


def held(a: ClipArray, splice_frame: int) -> ClipArray:
    """The clip in which the last picture before the splice stands still from the start."""
    return np.repeat(a[splice_frame - 1 : splice_frame], len(a), axis=0)


def background_of_shot(shot: ClipArray) -> Background:
    """What the frames of a shot mostly show, and where that is the background for sure."""
    some = shot[:: max(1, len(shot) // BACKGROUND_FRAMES)]
    level = np.median(some, axis=(2, 3), keepdims=True)  # exposures change
    usual = np.asarray(np.median(some - level, axis=0) + np.median(level, axis=0), np.int16)
    same = _furthest(some, _lit(usual, some)) <= SEEN_LEVELS
    return Background(usual, same.mean(0) >= BACKGROUND_SHARE)


def emptied(a: ClipArray, background: Background) -> ClipArray:
    """The clip without what moves: there it shows the background of its shot.

    What moves where the background is not known stays, and then whatever passes quickly too: the rest of
    its way might be there. Unchanged where nothing can go.
    """
    lit = _lit(background.picture, a)
    traces, count = ndimage.label(_traces(_furthest(a, lit)), np.ones((3, 3, 3)))
    unknown = set(np.unique(traces * ~background.known))
    removable = [i for i in range(1, count + 1) if i not in unknown]
    if len(removable) < count:
        frames_of = [np.unique(where[0]) for where in (np.nonzero(traces == i) for i in removable)]
        removable = [i for i, frames in zip(removable, frames_of, strict=True) if 2 * len(frames) >= len(a)]
    removed = np.isin(traces, removable)
    return np.where(removed[:, None], lit.clip(0, 255), a).astype(np.uint8)


def differs_enough(a: ClipArray, b: ClipArray, splice_frame: int, within: int = 4) -> bool:
    """Whether something moves in `a` on both sides of the splice and `b` differs on both, so near to it."""
    past = slice(max(0, splice_frame - within), splice_frame)
    future = slice(splice_frame, splice_frame + within)
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


def _assemble(source: RealClips, kind: Kind, splice_frame: int, made: dict[int, _Made]) -> RealQuadruplets:
    rates = {source.fps[i] for i in made}
    fps = rates.pop() if len(rates) == 1 else float("nan")
    identity = tuple(f"{kind}/{source.identity[i]}" for i in made)
    shape = (len(made), source.num_frames, 3, source.size_px, source.size_px)
    sides = [np.array([getattr(one, side) for one in made.values()], np.uint8) for side in ("a", "b")]
    a, b = (Clips(torch.from_numpy(side.reshape(shape)), fps, identity) for side in sides)
    first = replace(a, identity=tuple(f"{name}/a" for name in identity))
    second = replace(b, identity=tuple(f"{name}/b" for name in identity))
    a_then_b, b_then_a = splice(a, b, splice_frame, "a_then_b"), splice(b, a, splice_frame, "b_then_a")
    done = tuple(one.done for one in made.values())
    return RealQuadruplets(kind, first, second, a_then_b, b_then_a, splice_frame, identity, done)
