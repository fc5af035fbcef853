"""Real videos against the laws of what happens in them: tracked, fitted, and what the truth itself deviates by."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from pydantic import TypeAdapter
from tqdm import tqdm

from vidworld.core.clip import VideoFrames
from vidworld.core.errors import UserError
from vidworld.core.records import append_jsonl, prepare_folder, read_jsonl
from vidworld.video import SIDECAR_NAME
from vidworld.video.clips import find_shots, scene_times
from vidworld.video.decode import Unreadable, open_video, read
from vidworld.video.source import GRAVITY_DIRECTIONS, SidecarEntry, read_sidecar
from vidworld.video.tracking import track
from vidworld.video_laws import STANDARD_GRAVITY, VIDEO_LAWS, NoFit, Quantity, VideoScene

MAX_PX = 480  # videos are tracked with a shorter side of so many pixels, or their own if that is less
MIN_VIDEO_FRAMES = 3  # with fewer nothing shows an acceleration
SHOT_PX = 128  # cuts are looked for in frames with a shorter side of so many pixels
FIT_RECORD_NAME = "videos.jsonl"


@dataclass(frozen=True)
class VideoFit:
    """What became of one video: tracked and fitted, or why it was not."""

    file: str
    event: str | None
    law: str | None = None
    why_none: str | None = None
    tracked: float = 0.0  # the share of the event's frames in which every object was found
    deviation_px: float | None = None  # root mean square of the true tracks from their law, in the video's own pixels
    deviation_share: float | None = None  # the same over the extent of the path
    quantities: tuple[Quantity, ...] = ()


def fit_videos(folder: Path, out: Path, sidecar: Path | None = None) -> Iterator[VideoFit]:
    """Each video of the sidecar in its order, written to `videos.jsonl` in `out` as soon as it is done.

    What an earlier run wrote of the same video and the same line of the sidecar is not done again. UserError where the
    sidecar cannot be read or names no video, or `out` cannot be written.
    """
    known = read_sidecar(sidecar or folder / SIDECAR_NAME)
    if not known:
        raise UserError(f"{sidecar or folder / SIDECAR_NAME}: names no video")
    record = prepare_folder(out) / FIT_RECORD_NAME
    rows = read_jsonl(record) if record.exists() else []
    done = {row["key"]: TypeAdapter(VideoFit).validate_python(row["video"]) for row in rows}
    for entry in tqdm(known.values(), "videos", unit="video", disable=None):
        key = _key(folder, entry)
        if (finished := done.get(key)) is None:
            finished = fit_video(folder, entry)
            append_jsonl(record, {"key": key, "video": asdict(finished)})
        yield finished


def fit_video(folder: Path, entry: SidecarEntry) -> VideoFit:
    """The law of the sidecar's event, fitted to the video's tracks."""
    law, result = VIDEO_LAWS.get(entry.event or ""), partial(VideoFit, entry.file, entry.event)
    if law is None:
        return result(why_none=f"its event ({entry.event or 'not given'}) follows no law that tracks could show")
    try:
        footage = footage_of(folder / entry.file, entry)
    except Unreadable as error:
        return result(why_none=str(error))
    except OSError as error:
        return result(why_none=f"cannot be read ({error.strerror})")
    position = track(footage.frames, law.objects) / footage.scale
    share = float(np.isfinite(position).all(axis=(1, 2)).mean())
    try:
        fit = law.fit(footage.times_s, position, footage.scene, None)
    except NoFit as error:
        return result(why_none=str(error), tracked=share)
    extent = float(np.linalg.norm(np.nanmax(position, axis=0) - np.nanmin(position, axis=0), axis=-1).max())
    return result(fit.law, None, share, fit.deviation_px, fit.deviation_px / extent, fit.quantities)


@dataclass(frozen=True)
class FittedVideo:
    """The frames of a video's event, and what is known of them."""

    frames: np.ndarray
    times_s: np.ndarray
    scale: float  # pixels of `frames` a pixel of the video
    scene: VideoScene


def footage_of(path: Path, entry: SidecarEntry) -> FittedVideo:
    """The frames of the sidecar's event, all where it names none; of several shots (a title card) the longest.

    Unreadable where the video cannot be read, or its event lies outside it.
    """
    video = open_video(path)
    times_s = scene_times(video, entry)
    first, end = entry.event_frames or (0, len(times_s) - 1)
    numbers = range(first, min(end + 1, len(times_s)))
    if (there := len(numbers)) < MIN_VIDEO_FRAMES:
        of = f" of the event's ({first} to {end})" if entry.event_frames else ""
        few = f"has {there} frame{'s' * (there != 1)}{of}"
        raise Unreadable(f"{few}, and no law shows in fewer than {MIN_VIDEO_FRAMES}")
    short = min(video.height_px, video.width_px)
    frames = np.concatenate([piece.frames for piece in read(video, min(short, MAX_PX), numbers)])
    times = times_s[first : numbers.stop]
    shot = _longest_shot(frames, times)
    contacts = getattr(entry, "contact_frames", None) or []
    known = tuple(float(times_s[c]) for c in contacts if isinstance(c, int) and c < len(times_s))
    scene = VideoScene(known, GRAVITY_DIRECTIONS.get(entry.gravity or ""), entry.px_per_m)
    return FittedVideo(frames[shot], times[shot], min(short, MAX_PX) / short, scene)


def _longest_shot(frames: VideoFrames, times_s: np.ndarray) -> slice:
    """Where it lies, with the frames that repeat another."""
    scale = min(1.0, SHOT_PX / min(frames.shape[1:3]))
    small = [cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for frame in frames]
    shots = find_shots(np.stack(small).astype(np.uint8), times_s).shots
    if not shots:  # black throughout
        return slice(None)
    longest = max(shots, key=lambda shot: shot.until_s[-1] - shot.times_s[0])
    end = int(np.searchsorted(times_s, longest.until_s[-1], side="right"))
    return slice(int(longest.numbers[0]), end)


def fit_summary(videos: Sequence[VideoFit]) -> str:
    """A line a video: how well it was tracked, the truth's own deviation, then the constants with their intervals."""
    lines = []
    for video in videos:
        if video.why_none is not None:
            lines.append(f"{video.file}: not fitted: {video.why_none}")
            continue
        head = f"{video.file}: {video.law}, tracked {video.tracked:.0%}, the truth deviates by"
        lines.append(f"{head} {video.deviation_px:.2f} px ({video.deviation_share:.2%} of its path)")
        for one in video.quantities:
            lines.append(f"    {one.name} {one.value:.4g} [{one.low:.4g}, {one.high:.4g}] {one.unit}")
            if one.name == "acceleration" and one.unit == "m/s²":
                lines[-1] += f" ({one.value / STANDARD_GRAVITY - 1:+.1%} of {STANDARD_GRAVITY})"
    return "\n".join(lines)


def _key(folder: Path, entry: SidecarEntry) -> str:
    """What a video's result depends on: its file, as far as its size and time tell, and its line."""
    path = folder / entry.file
    file = [path.stat().st_size, path.stat().st_mtime_ns] if path.exists() else []
    return json.dumps([file, entry.model_dump(mode="json")], sort_keys=True, ensure_ascii=False)
