"""One video -> its clips: read and split into shots, each of these resampled by time to one rate, square around what
moves; none where nothing does.

A shot is an unbroken view of one scene, without black and repeated frames. Its thresholds are in grey levels of 255 on
frames of about 128 px, or shares of the picture. They were set on 34 videos of simple physics: there, true cuts change
23 to 29 % of a picture and 10 to 30 times what its neighbours change, and the fastest motion (a car at 12 frames a
second) changes 13 % and 1.5 times.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from vidworld.core.clip_shape import VideoFrames
from vidworld.video.decode import Footage, ReadBy, TimeBase, Times, Unreadable, Video, open_video, read
from vidworld.video.sidecar import SidecarEntry
from vidworld.video.source import Source

Grey = UInt8[np.ndarray, "time height width"]
Unbroken = tuple[Int64[np.ndarray, " kept"], Float64[np.ndarray, " kept"]]
"""The numbers of a shot's different frames, and until when each of them is shown."""
Span = tuple[float, float] | None  # an event's start and end in seconds, where one is known

BLACK_LEVEL = 12  # no pixel of a black frame is brighter; a dark scene with one small lit ball is not black
REPEAT_LEVELS = 2  # no pixel of a repeated frame differs by more (compression leaves 1 or 2)
CHANGED_LEVELS = 25  # a pixel has changed when it differs by more, after taking off what the exposure changed
CUT_SHARE, CUT_RATIO = 0.15, 4.0
"""A cut changes at least this share of the picture, and so many times what the neighbours change."""
EDGE_SHARE, EDGE_RATIO, EDGE_FRAMES = 0.02, 10.0, 12  # near start and end less will do: a caption leaves the scene
NEIGHBOURS = 8
MAX_CUT_STEPS = 2  # a cut takes one step from frame to frame, or two by way of a mixture; what takes more is motion
BLACK_BREAK = 3  # so many black frames are a dropout; more are the end of a shot

MEASURED_PX = 96  # cuts and motion are measured at this height or more, however small the clips
MOTION_LEVELS = 20  # a pixel moves when it differs by more from what it mostly is during the clip
STILL_SHARE = 0.001  # a clip where fewer pixels move is still: a title card, or before and after the event
STATIC_PX = 0.3  # a static camera's median corner moves less, at 128 px: where it is known to be static 0 to 0.15
CORNERS_TO_TELL = 4
SLACK_FRAMES = 0.05  # a clip may end so much after the last picture's time: rates and times are rounded


@dataclass(frozen=True)
class ClipOptions:
    """How clips are cut from a video."""

    fps: float = 10.0
    size_px: int = 64
    num_frames: int = 16
    stride: int = 8  # frames from the start of one clip to the next
    one_rate: bool = False  # give up on what is too short at `fps`, where otherwise it is read faster


@dataclass(frozen=True)
class Shot:
    """The different pictures of an unbroken view of one scene."""

    frames: VideoFrames
    grey: Grey  # the same in grey, slightly blurred: what motion is measured on
    times_s: Times
    until_s: Times  # when the picture was shown for the last time: later than its time where repeats were dropped
    numbers: Int64[np.ndarray, " time"]  # of the frames in the file


@dataclass(frozen=True)
class Shots:
    """What footage falls into."""

    shots: tuple[Shot, ...]
    black: int  # frames dropped because they are black
    repeated: int  # frames dropped because they show the picture before them again


@dataclass(frozen=True)
class RealClip:
    """One clip of a shot and how it was made from it."""

    frames: UInt8[np.ndarray, "time 3 size size"]
    fps: float
    start_s: float  # scene time of the first frame, from the start of the file
    start_frame: int  # the same in frames at `fps` from the first clip that the shot could hold
    in_event: bool
    static_camera: bool
    motion: float  # share of the picture's pixels that move at some time
    motion_in_view: float  # share of the motion of the uncropped picture that the crop keeps
    time_error_s: float  # largest distance of a frame's own time from its place at `fps`
    crop_left: float
    crop_top: float  # of the square, as a share of the shorter side


@dataclass
class VideoClips:
    """What became of a video."""

    decoder: ReadBy
    time_base: TimeBase
    frames: int
    short_side_px: int  # of the video
    times_s: Times  # of its frames, in scene time
    clips: int = 0
    rates: set[float] = field(default_factory=set)  # of the clips, in frames a second
    static_camera: int = 0  # clips during which the camera stands still
    shots: int = 0
    black: int = 0
    repeated: int = 0
    without_clip: list[str] = field(default_factory=list)  # why shots gave no clip, one reason a shot


Keep = Callable[[VideoClips, Sequence[tuple[int, RealClip]]], None]
"""What is done with the clips of a shot, each with the shot's number."""


def clips_of_video(source: Source, entry: SidecarEntry, options: ClipOptions, keep: Keep) -> VideoClips:
    """Gives all clips of a video to `keep`, in order, as they are cut: a long video is never in memory.

    Unreadable where it cannot be read, or none of it makes a clip.
    """
    with source.opened() as path:
        video = open_video(path)
        times_s, mine = scene_times(video, entry), source.frames(video.times_s)
        check_event(entry, mine)
        base: TimeBase = video.time_base if entry.true_fps is None else "sidecar"
        short_px, shown_s = min(video.height_px, video.width_px), times_s[mine.start : mine.stop]
        result = VideoClips(video.decoder, base, len(mine), short_px, shown_s)
        for footage in read(video, options.size_px * ceil(MEASURED_PX / options.size_px), mine):
            _cut(footage, times_s, entry, options, result, keep)
            del footage  # before the next is read
    if result.clips:
        return result
    if result.shots < 2:
        raise Unreadable(result.without_clip[0] if result.shots else "is black throughout")
    reasons = list(dict.fromkeys(result.without_clip))
    raise Unreadable(f"has {result.shots} shots, none of which makes a clip: one {'; one '.join(reasons[:3])}")


def _cut(
    footage: Footage, times_s: Times, entry: SidecarEntry, options: ClipOptions, result: VideoClips, keep: Keep
) -> None:
    """Gives the clips of some footage to `keep` and adds to `result` what became of it."""
    result.decoder = footage.decoder
    found = find_shots(footage.frames, times_s[footage.first :][: len(footage.frames)], footage.first)
    result.black += found.black
    result.repeated += found.repeated
    for shot in found.shots:
        event_s = _event_s(shot, times_s, entry)
        fps, why_none = clip_rate(shot, event_s, options)
        clips = [] if fps is None else cut_clips(shot, fps, event_s, options)
        if not clips:
            result.without_clip.append(why_none or "shows nothing that moves")
        result.clips += len(clips)
        result.rates |= {clip.fps for clip in clips}
        result.static_camera += sum(clip.static_camera for clip in clips)
        keep(result, [(result.shots, clip) for clip in clips])
        result.shots += 1


def scene_times(video: Video, entry: SidecarEntry) -> Times:
    """When each frame happened: by the sidecar's true rate, else when it is shown."""
    return video.times_s if entry.true_fps is None else np.arange(len(video.times_s)) / entry.true_fps


def check_event(entry: SidecarEntry, numbers: range) -> None:
    """Raise Unreadable where the sidecar's event is not within the frames, which have these numbers in their file."""
    first, last = entry.event_frames or (numbers.start, numbers.start)
    if first < numbers.start or last >= numbers.stop:
        raise Unreadable(f"has frames {numbers.start} to {numbers.stop - 1}, and event_frames {first} to {last}")


def _event_s(shot: Shot, times_s: Times, entry: SidecarEntry) -> Span:
    """When the sidecar's event happens within the shot; None where it does not say, or not in this shot."""
    if entry.event_frames is None:
        return None
    first, last = max(entry.event_frames[0], int(shot.numbers[0])), min(entry.event_frames[1], int(shot.numbers[-1]))
    return (float(times_s[first]), float(times_s[last])) if first < last else None


def clip_rate(shot: Shot, event_s: Span, options: ClipOptions) -> tuple[float | None, str]:
    """The rate a shot's clips are read at, and where there is none why.

    `options.fps` where the event (the whole shot, where none is known) fills a clip at it. Otherwise the lowest
    multiple at which it does; but above half the camera's own rate, that rate itself, so that each frame comes once.
    """
    if len(shot.numbers) < 2:
        return None, "shows nothing that moves"
    own = float((shot.numbers[-1] - shot.numbers[0]) / (shot.times_s[-1] - shot.times_s[0]))
    if own < 0.95 * options.fps:
        return None, f"has {own:.3g} frames a second, fewer than the {options.fps:g} asked for"
    whole_s = float(shot.until_s[-1] - shot.times_s[0])
    span_s = whole_s if event_s is None else min(event_s[1] - event_s[0], whole_s)
    fps = options.fps
    if not options.one_rate and span_s > 0 and _frames_in(span_s, fps) < options.num_frames:
        fps *= ceil((options.num_frames - 1) / (span_s * fps) - 1e-6)
        fps = fps if fps <= own / 2 else round(own, 2)
    if (there := _frames_in(whole_s, fps)) < options.num_frames:
        frames = f"{there} frame{'s'[: there > 1]} at {fps:.4g} a second"
        return None, f"is too short: {frames}, {options.num_frames} make a clip"
    return fps, ""


def cut_clips(shot: Shot, fps: float, event_s: Span, options: ClipOptions) -> list[RealClip]:
    """The clips of a shot in which something moves; one starts where the event does.

    All have one crop, the square that keeps most motion: a crop that moved would be a moving camera.
    """
    grid = _starts(shot, fps, event_s, options)
    steps = np.arange(options.num_frames) / fps
    windows = [_nearest(shot, start + steps) for start in grid]
    moved = [moving_pixels(shot.grey[chosen]) for chosen, _ in windows]
    moving = [each for each in zip(grid.tolist(), windows, moved, strict=True) if each[2].any(0).mean() >= STILL_SHARE]
    if not moving:
        return []
    side = min(shot.grey.shape[1:])
    top, left = _crop([pixels for *_, pixels in moving])
    clips = []
    for start, (chosen, error_s), pixels in moving:
        view = pixels[:, top : top + side, left : left + side]
        if view.any(0).mean() < STILL_SHARE:
            continue
        picture = shot.frames[chosen][:, top : top + side, left : left + side]
        small = [cv2.resize(frame, (options.size_px,) * 2, interpolation=cv2.INTER_AREA) for frame in picture]
        made = RealClip(
            frames=np.ascontiguousarray(np.stack(small).transpose(0, 3, 1, 2)), fps=fps,
            start_s=start, start_frame=round((start - float(grid[0])) * fps),
            in_event=event_s is None or (start <= event_s[1] and start + float(steps[-1]) >= event_s[0]),
            static_camera=is_static(shot.grey[chosen]), motion=float(view.any(0).mean()),
            motion_in_view=float(view.sum() / pixels.sum()), time_error_s=error_s,
            crop_left=left / side, crop_top=top / side,
        )  # fmt: skip
        clips.append(made)
    return clips


def moving_pixels(grey: Grey) -> Bool[np.ndarray, "time height width"]:
    """Where a frame is not what that pixel mostly is: moving objects where the camera is static."""
    usual = np.median(grey, axis=0).astype(np.uint8)
    return np.stack([cv2.absdiff(frame, usual) > MOTION_LEVELS for frame in grey])


def is_static(grey: Grey) -> bool:
    """Whether the camera stands still: the corners of the first frame stay where they are.

    In each frame the median corner speaks for the camera, so objects may move; in a quarter of the frames they may
    cover or carry most corners. A picture with hardly a corner proves nothing: False.
    """
    corners = cv2.goodFeaturesToTrack(grey[0], maxCorners=200, qualityLevel=0.02, minDistance=5)
    if corners is None or len(corners) < CORNERS_TO_TELL:
        return False
    in_place = 0
    for frame in grey[1:]:
        now, found, _ = cv2.calcOpticalFlowPyrLK(grey[0], frame, corners, corners.copy(), winSize=(11, 11), maxLevel=2)
        moves = (now - corners)[found[:, 0] == 1, 0]
        in_place += len(moves) > 0 and bool(np.linalg.norm(np.median(moves, axis=0)) < STATIC_PX)
    return in_place >= 0.75 * (len(grey) - 1)


def _frames_in(span_s: float, fps: float) -> int:
    return floor(span_s * fps + SLACK_FRAMES) + 1


def _starts(shot: Shot, fps: float, event_s: Span, options: ClipOptions) -> Float64[np.ndarray, " clip"]:
    """When each clip starts: `stride` frames apart, on a grid through the start of the event."""
    stride_s, slack = options.stride / fps, SLACK_FRAMES / fps
    first, last = float(shot.times_s[0]), float(shot.until_s[-1]) - (options.num_frames - 1) / fps
    anchor = first if event_s is None else min(max(event_s[0], first), last)
    before, after = (floor((room_s + slack) / stride_s) for room_s in (anchor - first, last - anchor))
    return anchor + stride_s * np.arange(-before, after + 1)


def _nearest(shot: Shot, times_s: Float64[np.ndarray, " frame"]) -> tuple[Int64[np.ndarray, " frame"], float]:
    """The pictures that were shown nearest to some times, and the largest error; repeats were shown all along."""
    wait = np.maximum(shot.times_s[None] - times_s[:, None], times_s[:, None] - shot.until_s[None])
    index = np.argmin(np.maximum(wait, 0.0), axis=1)
    return index, max(0.0, float(wait[np.arange(len(index)), index].max()))


def _crop(moved: Sequence[Bool[np.ndarray, "time height width"]]) -> tuple[int, int]:
    """Top and left of the square that keeps most motion; of several, the most central."""
    height, width = moved[0].shape[1:]
    side = min(height, width)
    axis = 2 if width > height else 1  # the longer one
    profile = sum(pixels.sum(axis=(0, 3 - axis)) for pixels in moved)
    within = np.convolve(profile, np.ones(side), mode="valid")
    best = np.flatnonzero(within >= within.max())
    middle = (max(height, width) - side) / 2
    offset = int(best[np.argmin(np.abs(best - middle))])
    return (0, offset) if axis == 2 else (offset, 0)


def find_shots(frames: VideoFrames, times_s: Times, first: int = 0) -> Shots:
    """The shots of consecutive frames, the first of which has number `first` in the file."""
    grey = to_grey(frames)
    parts, black, repeated = unbroken(grey, times_s)
    shots = (Shot(_taken(frames, of), _taken(grey, of), times_s[of], until, of + first) for of, until in parts)
    return Shots(tuple(shots), black, repeated)


def unbroken(grey: Iterable[UInt8[np.ndarray, "height width"]], times_s: Times) -> tuple[list[Unbroken], int, int]:
    """The shots of frames in grey, of which two are in memory at a time; how many are black, and repeat another."""
    kept, until_s, blacks, changed = list[int](), list[float](), list[int](), list[float]()
    black, last = 0, None
    for i, frame in enumerate(grey):
        if frame.max() < BLACK_LEVEL:
            black += 1
        elif last is not None and cv2.absdiff(frame, last).max() <= REPEAT_LEVELS:
            until_s[-1] = float(times_s[i])
        else:
            changed += [] if last is None else [_changed(last, frame)]
            kept.append(i)
            until_s.append(float(times_s[i]))
            blacks.append(black)
            last = frame
    breaks = np.flatnonzero(_cuts(np.array(changed)) | (np.diff(blacks) > BLACK_BREAK)) + 1
    parts = zip(np.split(np.array(kept, np.int64), breaks), np.split(np.array(until_s), breaks), strict=True)
    return [part for part in parts if len(part[0])], black, len(times_s) - black - len(kept)


def _taken(frames: np.ndarray, numbers: Int64[np.ndarray, " kept"]) -> np.ndarray:
    """Frames of these numbers; without a copy where none between them is left out."""
    together = numbers[-1] - numbers[0] + 1 == len(numbers)
    return frames[numbers[0] : numbers[-1] + 1] if together else frames[numbers]


def to_grey(frames: VideoFrames) -> Grey:
    """The frames in grey, blurred over 3 x 3 pixels against the noise of sensor and compression."""
    grey = np.empty(frames.shape[:3], np.uint8)
    for place, frame in zip(grey, frames, strict=True):
        place[:] = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (3, 3), 0)
    return grey


def _cuts(changed: Float64[np.ndarray, " step"]) -> Bool[np.ndarray, " step"]:
    """Whether each step from one frame to the next is a cut: much changes at once, and not around it."""
    usual = np.empty(len(changed))
    for i in range(len(changed)):
        around = np.r_[changed[max(0, i - NEIGHBOURS) : i], changed[i + 1 : i + 1 + NEIGHBOURS]]
        usual[i] = np.median(around) if len(around) else np.inf  # nothing to compare with
    step = np.arange(len(changed))
    edge = np.minimum(step, step[::-1]) < EDGE_FRAMES
    sudden = (changed > CUT_SHARE) & (changed > CUT_RATIO * usual)
    sudden |= edge & (changed > EDGE_SHARE) & (changed > EDGE_RATIO * usual)
    runs = np.split(sudden, np.flatnonzero(np.diff(sudden)) + 1)
    return np.concatenate([run & (len(run) <= MAX_CUT_STEPS) for run in runs]).astype(bool)


def _changed(a: UInt8[np.ndarray, "height width"], b: UInt8[np.ndarray, "height width"]) -> float:
    difference = b[::2, ::2].astype(np.int16) - a[::2, ::2]
    return float((np.abs(difference - np.median(difference)) > CHANGED_LEVELS).mean())
