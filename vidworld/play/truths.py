"""What models are held against while somebody plays: a simulated world, a simulated scene, a video of one's own."""

from abc import ABC, abstractmethod
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Frames, Tracks
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws, clip_streams
from vidworld.core.errors import UserError
from vidworld.play.cast import CONTEXT_FRAMES
from vidworld.simulation import SCENARIOS
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.environment import Environment, heading
from vidworld.simulation.simulated import SimulatedClips
from vidworld.video.decode import Unreadable, open_video, read

Held = Float[Tensor, "1 _"]
"""An action that is held for a chunk; no numbers where nobody acts."""
LONG_FRAMES, USUAL_FRAMES = 64, 16  # of a scene whose scenario has long ones, and of others
LONGEST_VIDEO_FRAMES = 600  # of a video of one's own: what comes later is not read


class Happened(NamedTuple):
    """Frames of one clip, and what is known of the discs in them."""

    frames: Frames
    tracks: Tracks | None
    state: Any = None
    """After the last of them."""


class Truth(ABC):
    """What happens. It keeps nothing: what it goes on from is given to it."""

    name: str
    acts: bool = False
    can_hide: bool = False

    @abstractmethod
    def start(self, number: int) -> Happened:
        """What is seen before the first chunk of scene `number`: whole chunks."""

    @abstractmethod
    def following(self, number: int, chunk: int, state: Any, action: Held) -> Happened | None:
        """Chunk `chunk` after the start, under an action held for it; None where nobody knows what is true there."""

    def hidden(self, state: Any, number: int) -> Any:
        """The state with what can be hidden behind a screen hidden again."""
        raise NotImplementedError

    def towards(self, state: Any, place: tuple[float, float]) -> Held:
        """The action that leads to a place (world units) as far as a chunk does."""
        raise NotImplementedError

    def expert(self, state: Any) -> Held:
        """What somebody who knows the state would do."""
        raise NotImplementedError

    def solved(self, state: Any) -> bool:
        """Whether the agent has done what there is to do."""
        return False


class ActedTruth(Truth):
    """An environment, whose every scene is a function of its name and number; the agent acts in it."""

    acts = True

    def __init__(self, name: str, shape: ClipShape, chunk_frames: int) -> None:
        ENVIRONMENTS.check([name])
        self.name, self.shape, self.chunk_frames = name, shape, chunk_frames
        self.environment: Environment[Any] = ENVIRONMENTS[name]
        self.can_hide = hasattr(self._first(0), "screens")

    def _first(self, number: int) -> Any:
        return self.environment.start(Draws(clip_streams(f"play/{self.name}", [number], torch.device("cpu"))))

    def _seen(self, states: list[Any]) -> Happened:
        frames, tracks = self.environment.draw(states, self.shape)
        return Happened(frames, tracks, states[-1])

    def start(self, number: int) -> Happened:
        frames = -(-self.environment.context_frames // self.chunk_frames) * self.chunk_frames
        rest = torch.zeros(1, self.environment.action_channels, dtype=torch.float64)
        return self._seen([*accumulate([rest] * (frames - 1), self.environment.step, initial=self._first(number))])

    def following(self, number: int, chunk: int, state: Any, action: Held) -> Happened:
        return self._seen([*accumulate([action] * self.chunk_frames, self.environment.step, initial=state)][1:])

    def hidden(self, state: Any, number: int) -> Any:
        """Screens that were lifted are down again."""
        return replace(state, screens=self._first(number).screens, opened=torch.full_like(state.opened, -1))

    def towards(self, state: Any, place: tuple[float, float]) -> Held:
        return heading(state.position[:, 0], torch.tensor([place], dtype=torch.float64))

    def expert(self, state: Any) -> Held:
        return self.environment.expert(state)

    def solved(self, state: Any) -> bool:
        return bool(self.environment.solved(state))


class SceneTruth(Truth):
    """Clips of a scenario, in which nobody acts."""

    def __init__(self, name: str, shape: ClipShape, chunk_frames: int) -> None:
        frames = LONG_FRAMES if SCENARIOS[name].goes_on else USUAL_FRAMES
        self.name, self.chunk_frames = name, chunk_frames
        self.clips = SimulatedClips(name, "id", "play", shape=replace(shape, num_frames=frames))
        self._made: tuple[int, Happened] | None = None

    def _whole(self, number: int) -> Happened:
        if self._made is None or self._made[0] != number:
            clips = self.clips.clips([number])
            self._made = number, Happened(clips.frames, clips.tracks)
        return self._made[1]

    def _between(self, number: int, first: int, end: int) -> Happened | None:
        whole = self._whole(number)
        if end > whole.frames.shape[1]:
            return None
        tracks = None if whole.tracks is None else whole.tracks.between(first, end)
        return Happened(whole.frames[:, first:end], tracks)

    def start(self, number: int) -> Happened:
        seen = self._between(number, 0, CONTEXT_FRAMES)
        assert seen is not None
        return seen

    def following(self, number: int, chunk: int, state: Any, action: Held) -> Happened | None:
        first = CONTEXT_FRAMES + chunk * self.chunk_frames
        return self._between(number, first, first + self.chunk_frames)


class VideoTruth(SceneTruth):
    """A video of one's own from its start, and nothing once it has ended."""

    name = "video"

    def __init__(self, path: Path, shape: ClipShape, chunk_frames: int) -> None:
        self.chunk_frames = chunk_frames
        self._frames = video_frames(path, shape)
        if self._frames.shape[1] < CONTEXT_FRAMES:
            needed = CONTEXT_FRAMES / shape.fps
            raise UserError(f"{path}: is shorter than the {needed:g} s that models are shown; a longer one would do")

    def _whole(self, number: int) -> Happened:
        return Happened(self._frames, None)


def video_frames(path: Path, shape: ClipShape) -> Frames:
    """The frames of a video at the clips' rate and size, its middle where it is wider or higher; at most a minute.

    Raises UserError: it cannot be read.
    """
    try:
        video = open_video(path)
        times = video.times_s - video.times_s[0]
        wanted = np.arange(0, min(times[-1] + 1e-6, LONGEST_VIDEO_FRAMES / shape.fps), 1 / shape.fps)
        nearest = np.abs(times[None] - wanted[:, None]).argmin(axis=1)
        side = max(shape.height_px, shape.width_px)
        shown: list[np.ndarray] = []
        for footage in read(video, side, range(int(nearest[-1]) + 1)):
            inside = nearest[(nearest >= footage.first) & (nearest < footage.first + len(footage.frames))]
            shown += [_middle(footage.frames[i - footage.first], shape) for i in inside]
    except (Unreadable, OSError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}; a video that plays would do") from None
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)[None].contiguous()


def _middle(frame: np.ndarray, shape: ClipShape) -> np.ndarray:
    """The middle of a frame, as large as clips are."""
    height, width = frame.shape[:2]
    scale = max(shape.height_px / height, shape.width_px / width)
    frame = cv2.resize(frame, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    top, left = (frame.shape[0] - shape.height_px) // 2, (frame.shape[1] - shape.width_px) // 2
    return frame[top : top + shape.height_px, left : left + shape.width_px].astype(np.uint8)
