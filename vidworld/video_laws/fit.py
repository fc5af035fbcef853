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

from vidworld.core.errors import UserError
from vidworld.core.records import append_jsonl, prepare_folder, read_jsonl
from vidworld.video import SIDECAR_NAME
from vidworld.video.clips import check_event, scene_times, to_grey, unbroken
from vidworld.video.decode import Unreadable, open_video, read
from vidworld.video.kept import IndexedFrames, KeptFrames, keep
from vidworld.video.sidecar import GRAVITY_DIRECTIONS, SidecarEntry, read_sidecar
from vidworld.video.tracking.judged import Judged, judge
from vidworld.video_laws import STANDARD_GRAVITY, VIDEO_LAWS, LawFit, NoFit, Position, Quantity, VideoLaw, VideoScene

MAX_PX = 480  # videos are tracked with a shorter side of so many pixels, or their own if that is less
MIN_VIDEO_FRAMES = 3  # with fewer nothing shows an acceleration
CHANGES = 0.3  # of an object's frames: one that is not as usual in more of them has no usual look
FAR_BETTER = 0.6  # of the deviation
WELL = 0.5  # of the frames: where fewer are tracked well, it is said
PIECE = 32  # frames that are read at once
SHOT_PX = 96  # cuts are looked for in frames with a shorter side of so many pixels
FIT_VERSION = 4  # of tracking and laws: raised when the same video comes to have other results
FIT_RECORD_NAME = "videos.jsonl"


@dataclass(frozen=True)
class VideoFit:
    """What became of one video: tracked and fitted, or why it was not."""

    file: str
    event: str | None
    law: str | None = None
    why_none: str | None = None
    tracked: float = 0.0  # the share of the event's frames in which every object was found
    tracked_well: float = 0.0  # the same, in which each was whole, as it usually is, and where a second tracker has it
    notes: tuple[str, ...] = ()  # what was taken for granted, or is to be doubted
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
        if entry.event is None:
            return result(why_none=f"the sidecar gives no event: give one of {', '.join(VIDEO_LAWS)}")
        return result(why_none=f"its event ({entry.event}) follows no law that tracks could show")
    try:
        footage = footage_of(folder / entry.file, entry)
    except Unreadable as error:
        return result(why_none=str(error))
    except OSError as error:
        return result(why_none=f"cannot be read ({error.strerror})")
    seen = judge(footage.frames, law.objects)
    share, well = float(seen.found.all(axis=1).mean()), float(seen.well.mean())
    result = partial(result, tracked=share, tracked_well=well)
    position = np.where((seen.found & ~seen.cut)[..., None], seen.position, np.nan) / footage.scale
    if seen.found.any() and not np.isfinite(position).any():
        return result(why_none="shows what moves cut by the border of the picture in every frame")
    doubts = _doubts(seen, footage.scale)
    try:
        fit = _fit(law, footage, seen)
        quantities = fit.quantities
    except (NoFit, np.linalg.LinAlgError) as error:
        return result(why_none=str(error) if isinstance(error, NoFit) else f"has no fit ({error})", notes=doubts)
    extent = float(np.linalg.norm(np.nanmax(position, axis=0) - np.nanmin(position, axis=0), axis=-1).max())
    return result(
        law=fit.law,
        deviation_px=fit.deviation_px,
        deviation_share=fit.deviation_px / max(extent, 1e-9),
        quantities=quantities,
        notes=(*doubts, *fit.notes),
    )


def _fit(law: VideoLaw, footage: "FittedVideo", seen: Judged) -> LawFit:
    """The law fitted to what is whole and as it usually is; to all that was found where that fits far better."""
    fits, failed = [], NoFit("")
    for places in (believed(seen), seen.position):
        try:
            fits.append(law.fit(footage.times_s, places / footage.scale, footage.scene, None))
        except NoFit as error:
            failed = error
    if not fits:
        raise failed
    return fits[-1] if fits[-1].deviation_px < FAR_BETTER * fits[0].deviation_px else fits[0]


def believed(seen: Judged) -> Position:
    """The places without those of objects that the border cuts, or that are not as they usually are.

    Where an object changes all along (more than `CHANGES` of its frames) only the border tells.
    """
    whole = seen.found & ~seen.cut
    changed = (whole & ~seen.alike).sum(axis=0) > CHANGES * whole.sum(axis=0)
    return np.where((whole & (seen.alike | changed))[..., None], seen.position, np.nan)


def _doubts(seen: Judged, scale: float) -> tuple[str, ...]:
    """A warning for each object that two trackers do not put in one place, and one for what is often not whole."""
    doubts = []
    for number in np.flatnonzero(seen.doubted).tolist():
        apart, size = seen.apart_px[number] / scale, seen.size_px[number] / scale
        of = f" of object {number + 1}" if len(seen.doubted) > 1 else ""
        what = f"what was followed may not be one thing (a shadow, a hose, a hand); it is {size:.0f} px large"
        doubts.append(f"two trackers disagree by {apart:.1f} px on the place{of}: {what}")
    if not doubts and seen.well.mean() < WELL:
        doubts.append(f"only {seen.well.mean():.0%} of the frames show it whole, as it usually is and by both trackers")
    return tuple(doubts)


@dataclass(frozen=True)
class FittedVideo:
    """The frames of a video's event, and what is known of them."""

    frames: KeptFrames
    times_s: np.ndarray
    scale: float  # pixels of `frames` a pixel of the video
    scene: VideoScene


def footage_of(path: Path, entry: SidecarEntry) -> FittedVideo:
    """The frames of the sidecar's event, all where it names none; of several shots (a title card) the longest.

    Unreadable where the video cannot be read, or its event lies outside it.
    """
    video = open_video(path)
    times_s = scene_times(video, entry)
    check_event(entry, range(len(times_s)))
    first, end = entry.event_frames or (0, len(times_s) - 1)
    numbers = range(first, end + 1)
    if (there := len(numbers)) < MIN_VIDEO_FRAMES:
        of = f" of the event's ({first} to {end})" if entry.event_frames else ""
        few = f"has {there} frame{'s' * (there != 1)}{of}"
        raise Unreadable(f"{few}, and no law shows in fewer than {MIN_VIDEO_FRAMES}")
    short = min(video.height_px, video.width_px)
    pieces = read(video, min(short, MAX_PX), numbers, PIECE)
    frames = keep(piece.frames for piece in pieces)
    times = times_s[first : numbers.stop]
    shot = _longest_shot(frames, times)
    if (there := len(times[shot])) < MIN_VIDEO_FRAMES:
        raise Unreadable(f"has no unbroken shot of {MIN_VIDEO_FRAMES} frames, and no law shows in {there}")
    contacts = entry.contact_frames or ()
    known = tuple(float(times_s[c]) for c in contacts if c is not None and c < len(times_s))
    scene = VideoScene(known, GRAVITY_DIRECTIONS.get(entry.gravity or ""), entry.px_per_m, entry.masses)
    return FittedVideo(frames[shot], times[shot], min(short, MAX_PX) / short, scene)


def _longest_shot(frames: IndexedFrames, times_s: np.ndarray) -> slice:
    """Where it lies, with the frames that repeat another."""
    scale = min(1.0, SHOT_PX / min(frames.shape[1:3]))
    small = (cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for frame in frames)
    shots, _, _ = unbroken((to_grey(frame[None])[0] for frame in small), times_s)
    if not shots:  # black throughout
        return slice(None)
    numbers, until_s = max(shots, key=lambda shot: shot[1][-1] - times_s[shot[0][0]])
    return slice(int(numbers[0]), int(np.searchsorted(times_s, until_s[-1], side="right")))


def fit_summary(videos: Sequence[VideoFit]) -> str:
    """A line a video: how well it was tracked, the truth's own deviation, then the constants with their intervals."""
    lines = []
    for video in videos:
        if video.why_none is not None:
            lines += [f"{video.file}: not fitted: {video.why_none}", *(f"    note: {note}" for note in video.notes)]
            continue
        tracked = f"tracked {video.tracked:.0%}, tracked well {video.tracked_well:.0%}"
        head = f"{video.file}: {video.law}, {tracked}, the truth deviates by"
        lines.append(f"{head} {video.deviation_px:.2f} px ({video.deviation_share:.2%} of its path)")
        for one in video.quantities:
            lines.append(f"    {one.name} {one.value:.4g} [{one.low:.4g}, {one.high:.4g}] {one.unit}")
            if one.name == "acceleration" and one.unit == "m/s²":
                lines[-1] += f" ({one.value / STANDARD_GRAVITY - 1:+.1%} of {STANDARD_GRAVITY})"
        lines += [f"    note: {note}" for note in video.notes]
    return "\n".join(lines)


def _key(folder: Path, entry: SidecarEntry) -> str:
    """What a video's result depends on: its file, as far as its size and time tell, and its line."""
    path = folder / entry.file
    file = [path.stat().st_size, path.stat().st_mtime_ns] if path.exists() else []
    return json.dumps([FIT_VERSION, file, entry.model_dump(mode="json")], sort_keys=True, ensure_ascii=False)
