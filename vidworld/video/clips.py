"""One video -> its clips: read, split into shots, cut."""

from dataclasses import dataclass, field
from math import ceil

import numpy as np

from vidworld.video.decode import Decoder, TimeBase, Times, Unreadable, Video, open_video, read
from vidworld.video.shots import Shot, find_shots
from vidworld.video.sidecar import SidecarEntry
from vidworld.video.source import Source
from vidworld.video.windows import ClipOptions, RealClip, clip_rate, cut_clips

MEASURED_PX = 96  # cuts and motion are measured at this height or more, however small the clips


@dataclass
class VideoClips:
    """The clips of a video and what became of the rest of it."""

    decoder: Decoder
    time_base: TimeBase
    frames: int
    scale: float  # pixels of a clip a pixel of the video
    short_side_px: int  # of the video
    clips: list[tuple[int, RealClip]] = field(default_factory=list)  # each with the number of its shot
    shots: int = 0
    black: int = 0
    repeated: int = 0
    without_clip: list[str] = field(default_factory=list)  # why shots gave no clip, one reason a shot


def clips_of_video(source: Source, entry: SidecarEntry, options: ClipOptions) -> VideoClips:
    """All clips of a video, in order; Unreadable where it cannot be read, or none of it makes a clip."""
    with source.opened() as path:
        video = open_video(path)
        times_s, mine = scene_times(video, entry), source.frames(video.times_s)
        short_side_px = min(video.height_px, video.width_px)
        base: TimeBase = video.time_base if entry.true_fps is None else "sidecar"
        result = VideoClips(video.decoder, base, len(mine), options.size_px / short_side_px, short_side_px)
        for footage in read(video, options.size_px * ceil(MEASURED_PX / options.size_px), mine):
            result.decoder = footage.decoder
            piece_s = times_s[footage.first : footage.first + len(footage.frames)]
            found = find_shots(footage.frames, piece_s, footage.first)
            result.black += found.black
            result.repeated += found.repeated
            for shot in found.shots:
                _add(result, shot, _event_s(shot, times_s, entry), options)
    if not result.clips:
        raise Unreadable(_why_none(result))
    return result


def scene_times(video: Video, entry: SidecarEntry) -> Times:
    """When each frame happened: by the sidecar's true rate, else when it is shown."""
    return video.times_s if entry.true_fps is None else np.arange(len(video.times_s)) / entry.true_fps


def _add(result: VideoClips, shot: Shot, event_s: tuple[float, float] | None, options: ClipOptions) -> None:
    rate = clip_rate(shot, event_s, options)
    clips = cut_clips(shot, rate.fps, event_s, options) if rate.fps is not None else []
    if not clips:
        result.without_clip.append(rate.why_none or "shows nothing that moves")
    result.clips += [(result.shots, clip) for clip in clips]
    result.shots += 1


def _event_s(shot: Shot, times_s: Times, entry: SidecarEntry) -> tuple[float, float] | None:
    """When the sidecar's event happens within the shot; None where it does not say, or not in this shot."""
    if entry.event_frames is None:
        return None
    first = max(entry.event_frames[0], int(shot.numbers[0]))
    last = min(entry.event_frames[1], int(shot.numbers[-1]))
    return (float(times_s[first]), float(times_s[last])) if first < last else None


def _why_none(result: VideoClips) -> str:
    if result.shots == 0:
        return "is black throughout"
    if result.shots == 1:
        return result.without_clip[0]
    reasons = list(dict.fromkeys(result.without_clip))
    return f"has {result.shots} shots, none of which makes a clip: one {'; one '.join(reasons[:3])}"
