"""A session of play: one hand, the truth and every model under it, and all of it again from what was recorded."""

import copy
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips, Frames, Tokens
from vidworld.core.errors import UserError
from vidworld.evaluation.presentation import names_of
from vidworld.models.live import HISTORY, LiveRollout
from vidworld.models.world_model import last_frame
from vidworld.play.cast import Cast
from vidworld.play.readings import DiscPlaces, Parting, error_by_token, momenta, places_in
from vidworld.play.truths import Happened, Truth

LONGEST = 3000
"""Chunks of one recording, 20 minutes: play goes on after them, and they are recorded no more."""
BACK = HISTORY // 2
"""Chunks that can be gone back."""
TRUTH, COPY_LAST = "truth", "copy_last"
PlayedStep = tuple[str, tuple[float, ...]]
"""What was done: `act` and an action, `anchor`, or `hide`."""


class Panel(NamedTuple):
    """What one panel shows of a chunk."""

    name: str
    frames: Frames | None
    """None of a truth that nobody knows."""
    places: DiscPlaces | None = None
    momenta: DiscPlaces | None = None
    error: Float[Tensor, "h w"] | None = None
    parted_s: float | None = None
    """Seconds from where models were last shown the truth; None while it has not."""
    compute_s: float = 0.0
    """Of the model's chunk and its pictures."""


@dataclass(frozen=True)
class Moment:
    """The session after a chunk."""

    panels: tuple[Panel, ...]
    seen: Happened
    """The truth's chunk and state."""
    chunk: int
    """Chunks since the scene's start."""
    recent: Clips
    """What models would be shown to begin here."""
    partings: dict[str, Parting]
    stretch: int
    steps: int
    """Of the recording."""
    action: tuple[float, ...] = ()


@dataclass
class _Stretch:
    """From where models were shown the truth: each model's future, and a frozen picture."""

    number: int
    begun: int  # chunk
    live: dict[str, LiveRollout]
    frozen: Frames
    frozen_tokens: Tokens


@dataclass
class Session:
    """One scene being played. All of it is a function of the scene's number and the recorded steps."""

    cast: Cast
    truth: Truth
    number: int = 0
    over: Callable[..., Iterable[Any]] = map
    """How models take their step: one after another, or as a pool of threads maps them."""
    steps: list[PlayedStep] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    _stretches: list[_Stretch] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.truth.acts and not self.cast.action_channels:
            raise UserError(f"{self.truth.name}: somebody acts in it, and these models were trained without actions")
        self.new(self.number)

    # --- what can be done ---

    def new(self, number: int) -> Moment:
        """Scene `number` from its start."""
        self.number, self.steps, self.moments, self._stretches = number, [], [], []
        seen = self.truth.start(number)
        zero = torch.zeros(*seen.frames.shape[:2], self.cast.action_channels)
        recent = Clips(seen.frames, self.cast.shape.fps, ("",), actions=zero if self.cast.action_channels else None)
        self._begin(recent, chunk=0)
        return self._add(Moment(self._first_panels(seen), seen, 0, recent, self._partings(), 0, 0))

    def act(self, action: tuple[float, ...] = ()) -> Moment:
        """The next chunk, under an action from -1 to 1 along each axis that is held for all of it."""
        done = tuple(max(-1.0, min(1.0, each)) for each in action) or (0.0,) * self.cast.action_channels
        self._record(("act", done[: self.cast.action_channels]))
        return self._next(done[: self.cast.action_channels], self.now.seen.state)

    def towards(self, place: tuple[float, float]) -> Moment:
        """The next chunk, the agent on its way to a place (world units)."""
        return self.act(tuple(self.truth.towards(self.now.seen.state, place)[0].tolist()))

    def anchor(self) -> Moment:
        """Models are shown the truth up to now, and go on from there. Raises UserError: nobody knows it here."""
        if self.now.panels[0].frames is None:
            raise UserError("nobody knows what is true here; a new scene begins with it")
        self._record(("anchor", ()))
        return self._anchored()

    def hide(self) -> Moment:
        """What was uncovered is hidden again and stays so for a chunk, which models are shown."""
        if not self.truth.can_hide:
            raise UserError(f"{self.truth.name}: has no screen to hide behind")
        self._record(("hide", ()))
        hidden = self.truth.hidden(self.now.seen.state, self.number)
        self._next((0.0,) * self.cast.action_channels, hidden)
        return self._anchored()

    def back(self) -> Moment:
        """One chunk back, and the recording with it; where nothing more is kept, all stays as it is."""
        if len(self.moments) > 1:
            self.moments.pop()
            now = self.now
            self._stretches = [each for each in self._stretches if each.number <= now.stretch]
            with self.cast.evaluator.accelerator.autocast(), torch.no_grad():
                for live in self._stretches[-1].live.values():
                    live.go_back(now.chunk - self._stretches[-1].begun)
            del self.steps[now.steps :]
        return self.now

    def take(self, step: PlayedStep) -> Moment:
        """One step of a recording."""
        what, action = step
        return self.act(action) if what == "act" else self.hide() if what == "hide" else self.anchor()

    @property
    def now(self) -> Moment:
        return self.moments[-1]

    # --- how it is done ---

    def _record(self, step: PlayedStep) -> None:
        if len(self.steps) < LONGEST:
            self.steps.append(step)

    def _add(self, moment: Moment) -> Moment:
        self.moments = [*self.moments, moment][-BACK:]
        oldest = self.moments[0].stretch
        self._stretches = [each for each in self._stretches if each.number >= oldest]
        return moment

    def _begin(self, recent: Clips, chunk: int) -> None:
        """A stretch from these frames on."""
        encoded = self.cast.evaluator.encode(replace(recent, identity=tuple(names_of(recent.frames))))
        (seed,) = self.cast.evaluator.seeds(encoded.clips.identity)
        number = self._stretches[-1].number + 1 if self._stretches else 0
        with self.cast.evaluator.accelerator.autocast():
            live = {
                p.name: LiveRollout(p.name, p.model, encoded.tokens, encoded.actions, seed, p.window)
                for p in self.cast.players
            }
        frozen = last_frame(recent, self.cast.chunk_frames)
        self._stretches.append(_Stretch(number, chunk, live, frozen, self._encoded(frozen)))

    def _partings(self) -> dict[str, Parting]:
        return {name: Parting() for name in (*(p.name for p in self.cast.players), COPY_LAST)}

    def _anchored(self) -> Moment:
        now = self.now
        self._begin(now.recent, now.chunk)
        stretch, partings = self._stretches[-1].number, self._partings()
        self.moments[-1] = replace(now, stretch=stretch, partings=partings, steps=len(self.steps))
        return self.now

    def _first_panels(self, seen: Happened) -> tuple[Panel, ...]:
        """All show what models are shown."""
        frames = seen.frames
        names = (TRUTH, *(player.name for player in self.cast.players), COPY_LAST)
        if seen.tracks is None:
            return tuple(Panel(name, frames) for name in names)
        found = places_in(frames, seen.tracks)[0]
        moving = momenta(None, found, seen.tracks, self.cast.shape.dt_s)
        return tuple(Panel(name, frames, found, moving) for name in names)

    def _next(self, done: tuple[float, ...], state: Any) -> Moment:
        now, stretch, chunk_frames = self.now, self._stretches[-1], self.cast.chunk_frames
        held = torch.tensor([done], dtype=torch.float64)
        seen = self.truth.following(self.number, now.chunk, state, held)
        packed = held.float().repeat(1, chunk_frames)[None] if done else None  # (1, 1, frames x numbers)
        true_tokens = None if seen is None else self._encoded(seen.frames)

        def predicted(name: str) -> tuple[Frames, Tokens, float]:
            began, evaluator = time.perf_counter(), self.cast.evaluator
            with evaluator.accelerator.autocast(), torch.no_grad():
                tokens = stretch.live[name].step(None if packed is None else packed.to(evaluator.accelerator.device))[1]
            return evaluator.decode(tokens), tokens, time.perf_counter() - began

        made: dict[str, tuple[Frames | None, Tokens | None, float]] = {TRUTH: (seen and seen.frames, None, 0.0)}
        made |= zip(stretch.live, self.over(predicted, stretch.live), strict=True)
        made[COPY_LAST] = stretch.frozen, stretch.frozen_tokens, 0.0
        partings = copy.deepcopy(now.partings)
        places = _places([frames for frames, *_ in made.values()], seen)
        panels = []
        for i, (name, (frames, tokens, seconds)) in enumerate(made.items()):
            error = None if tokens is None or true_tokens is None else error_by_token(tokens, true_tokens)
            panel = Panel(name, frames, error=error, compute_s=seconds)
            panels.append(panel if places is None or seen is None else self._read(panel, places[i], seen, partings))
        seen = seen or Happened(now.seen.frames, None)
        recent = self._later(now.recent, seen.frames[:, -chunk_frames:], packed)
        return self._add(
            Moment(tuple(panels), seen, now.chunk + 1, recent, partings, stretch.number, len(self.steps), done)
        )

    def _read(self, panel: Panel, places: DiscPlaces, seen: Happened, partings: dict[str, Parting]) -> Panel:
        """The panel with what its discs do."""
        assert seen.tracks is not None
        dt_s, parted = self.cast.shape.dt_s, None
        before = next(each.places for each in self.now.panels if each.name == panel.name)
        if panel.name in partings:
            partings[panel.name].look(places, seen.tracks)
            parted = partings[panel.name].parted
        moving = momenta(None if before is None else before[-1], places, seen.tracks, dt_s)
        parted_s = None if parted is None else round(parted * dt_s, 3)
        return panel._replace(places=places, momenta=moving, parted_s=parted_s)

    def _encoded(self, frames: Frames) -> Tokens:
        return self.cast.evaluator.encode(Clips(frames, self.cast.shape.fps, ("",))).tokens

    @staticmethod
    def _later(recent: Clips, frames: Frames, done: Tensor | None) -> Clips:
        """The newest frames, as many as before, and what was done in them."""
        count, actions = recent.frames.shape[1], recent.actions
        if actions is not None and done is not None:
            actions = torch.cat((actions, done.view(1, frames.shape[1], -1)), dim=1)[:, -count:]
        return replace(recent, frames=torch.cat((recent.frames, frames), dim=1)[:, -count:], actions=actions)


def _places(panels: list[Frames | None], seen: Happened | None) -> list[DiscPlaces] | None:
    """Of the truth's discs in each panel; None where nobody knows of any."""
    if seen is None or seen.tracks is None or any(frames is None for frames in panels):
        return None
    return list(places_in(torch.cat([frames for frames in panels if frames is not None]), seen.tracks))
