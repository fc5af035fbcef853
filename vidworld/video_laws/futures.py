"""Futures of real clips against the law of what happens in them: a world is charged for what it adds to the truth."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from torch import Tensor

from vidworld.analysis.records import Value
from vidworld.core.clip import Frames, VideoFrames
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.metrics.velocity import ANYWHERE
from vidworld.video.real import RealClips
from vidworld.video.tracking import background_of, track
from vidworld.video.tracking.blobs import Picture, spread_over
from vidworld.video_laws import VIDEO_LAWS, LawFit, NoFit, Position, TrackTimes, VideoLaw, VideoScene

TRACKED_AT = 4  # clips are tracked at so many times their size: what is 2 px wide at 64 px has no body of its own
MIN_TRACKED = 0.9  # of a clip's frames: a truth that is found in fewer has no law to be held against
MISSING = ANYWHERE / WORLD_SIZE  # shares of the picture that an object is charged which is not found
UNIT = "share of the picture"


@dataclass(frozen=True)
class TrueMotion:
    """What a clip truly shows: its law, fitted to its tracks, which every model's future is held against."""

    identity: str
    law: VideoLaw
    about: VideoScene
    background: Picture
    frames: VideoFrames  # enlarged
    start: int  # the first frame of the future
    times_s: TrackTimes
    track: Position  # pixels of the enlarged frames
    fit: LawFit


def true_motion(source: RealClips, number: int, start: int) -> TrueMotion | None:
    """The motion of one held-out clip, of which models are shown the frames before `start`.

    None where the clip's event follows no law, its camera moves, or the truth itself cannot be tracked and fitted.
    """
    row = source.rows[number]
    law = VIDEO_LAWS.get(row["event"] or "")
    if law is None or not (row["in_event"] and row["static_camera"]):
        return None
    shot = source.same_shot(number)
    scene = background_of(as_video(source.frames_among(shot, spread_over(len(shot) * source.num_frames))))
    clip = source.clips([number])
    whole = as_video(clip.frames[0])
    truth = track(whole, law.objects, scene)
    if np.isfinite(truth).all(axis=(1, 2)).mean() < MIN_TRACKED or np.isnan(truth[:start]).all():
        return None
    times_s = np.arange(len(truth)) / clip.fps
    about = VideoScene(_contacts_s(row), tuple(row["gravity_direction"]) if row["gravity_direction"] else None)
    try:
        own = law.fit(times_s, truth, about, None)
    except NoFit:
        return None
    if not (np.isfinite(truth[start:]).all(axis=-1).any() and np.isfinite(own.residual[start:]).any()):
        return None
    return TrueMotion(clip.identity[0], law, about, scene, whole, start, times_s, truth, own)


def law_values(true: TrueMotion | None, futures: Mapping[str, Frames], seed: int) -> list[Value]:
    """Where each world's future has the objects, and how far from their law; none without a true motion.

    futures: frames after the context, of one clip a world; the truth's under "truth".
    """
    if true is None:
        return []
    truth, own, start, size = true.track, true.fit, true.start, len(true.frames[0])
    counted, spoken = np.isfinite(truth[start:]).all(axis=-1), np.isfinite(own.residual[start:])
    deviation_of_truth = _rms(own.residual[start:] / size, spoken)
    values = []
    for model, future in futures.items():
        found, residual = truth, own.residual[start:] / size
        if model != "truth":
            continued = np.concatenate([true.frames[:start], as_video(future[0])])
            found = track(continued, true.law.objects, true.background, truth[:start])
            try:
                residual = true.law.fit(true.times_s, found, true.about, own.stretch).residual[start:] / size
            except NoFit:  # too little is found
                residual = np.full(counted.shape, np.nan)
        distance = np.linalg.norm(found[start:] - truth[start:], axis=-1) / size
        deviation = _rms(residual, spoken)
        measured = {
            "position_error": float(np.mean(np.nan_to_num(distance[counted], nan=MISSING))),
            "law_deviation": deviation,
            "added_deviation": deviation - deviation_of_truth,
        }
        place = (model, "pixels", "real video", own.law, "real")
        values += [Value(*place, name, UNIT, true.identity, value, seed) for name, value in measured.items()]
    return values


def _rms(residual: Float[ndarray, "time object"], spoken: Bool[ndarray, "time object"]) -> float:
    """Root mean square where the truth's law speaks, the missing charged."""
    return float(np.sqrt(np.mean(np.nan_to_num(residual[spoken], nan=MISSING) ** 2)))


def _contacts_s(row: Mapping[str, Any]) -> tuple[float, ...]:
    """The sidecar's contacts, in seconds from the clip's first frame; none where only the camera's clock knows."""
    known = json.loads(row["sidecar"]) if row["sidecar"] else {}
    rate = known.get("true_fps")
    contacts = [c for c in known.get("contact_frames") or [] if c is not None]
    return tuple(c / rate - row["start_s"] for c in contacts) if rate else ()


def as_video(frames: UInt8[Tensor, "time 3 small_height small_width"]) -> VideoFrames:
    """The frames enlarged, with their colours last."""
    pictures = np.asarray(frames).transpose(0, 2, 3, 1)
    size = (pictures.shape[2] * TRACKED_AT, pictures.shape[1] * TRACKED_AT)
    return np.stack([cv2.resize(p, size, interpolation=cv2.INTER_CUBIC) for p in pictures]).astype(np.uint8)
