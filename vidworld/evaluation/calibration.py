"""What the evaluation can see, without a model: metrics under injected errors, and baselines.

An injected error is true tracks with one thing wrong by a known amount, as tracks and as pictures of them. It takes
true tracks, a size, the seconds a frame and the first frame of the horizon, and changes the horizon only; a size of 0
changes nothing. Errors of the picture alone are in `picture_errors`. The noise floor is what the truth itself scores
through a tracker or probe. The detection limit is the smallest size tried from which on every error's interval lies on
the worse side of the floor's: an evaluation on so many clips tells an error of that size from none. Nothing is
interpolated between sizes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int16, Int64
from scipy.stats import spearmanr
from torch import Tensor

from vidworld.analysis.records import CALIBRATION_READOUTS, BaselineRow, CalibrationRow
from vidworld.analysis.statistics import Interval, interval
from vidworld.core.clip import Clips, Frames, Tracks
from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.evaluation.pictures import Scene, beside_ideal, scene_of
from vidworld.metrics import METRICS, Metric
from vidworld.metrics.appearance import Pictures
from vidworld.models.world_model import constant_velocity, last_frame
from vidworld.simulation import SCENARIOS
from vidworld.simulation.discs import Scenes
from vidworld.simulation.simulated import render_discs, render_scenes
from vidworld.simulation.stage import sample_scenes
from vidworld.simulation.tracker import after_context, locate_discs, with_strangers

NOWHERE = -10 * WORLD_SIZE  # where an absent disc is drawn: outside every picture


@dataclass(frozen=True)
class ErrorScene:
    """True clips and all that it takes to render them again."""

    truth: Tracks
    scenes: Scenes
    setting: ClipShape

    @staticmethod
    def of(scenario: str, numbers: Sequence[int], setting: ClipShape, seed: int = 0) -> "ErrorScene":
        """Clips of the scenario's `id` split, by their numbers."""
        cpu = torch.device("cpu")
        (scenes,) = sample_scenes(SCENARIOS[scenario], f"{scenario}/id/{seed}", numbers, setting, "id", cpu)
        shape = (len(numbers), setting.num_frames, 3, setting.height_px, setting.width_px)
        truth = render_scenes(scenes, setting, torch.empty(shape, dtype=torch.uint8))
        return ErrorScene(truth, scenes, setting)

    def render(self, tracks: Tracks) -> Frames:
        """Pictures of the tracks in front of this scene's background and behind its screens.

        Each disc is drawn alone and added, so that discs which an injected error pushes into each other saturate where
        they overlap. (Drawn together they would overflow: the renderer relies on discs that do not overlap.)
        """
        position, present = tracks.position.double().nan_to_num(NOWHERE), tracks.present.any(dim=1)

        def drawn(shown: Bool[Tensor, "clip object"]) -> Int16[Tensor, "clip time 3 height width"]:
            looks = (tracks.radius.double(), tracks.color.double(), shown, self.scenes.screens, self.scenes.blocks)
            return render_discs(position, *looks, self.setting).to(torch.int16)

        empty = drawn(torch.zeros_like(present))
        picture = empty.clone()
        for only in torch.eye(present.shape[1], dtype=torch.bool):
            picture += drawn(present & only) - empty
        return picture.clamp(max=255).to(torch.uint8)

    @cached_property
    def true_frames(self) -> Frames:
        return self.render(self.truth)

    @cached_property
    def still(self) -> Scene:
        """What of the true frames stands still."""
        return scene_of(self.true_frames, self.truth)

    def pictures(self, future: Frames, start: int) -> Pictures:
        """Frames of the horizon beside the truth, and the tracks that are read from them."""
        tracks = after_context(_located(future, *with_strangers(self.truth)), self.truth, start)
        return beside_ideal(future, tracks, self.true_frames, self.truth, self.still, start)

    @cached_property
    def empty(self) -> Float[Tensor, "clip time 3 height width"]:
        """The pictures without discs, in grey levels."""
        return self.render(replace(self.truth, present=torch.zeros_like(self.truth.present))).float()

    def without_screens(self) -> "ErrorScene":
        """The same where nothing is hidden."""
        nothing = torch.zeros_like(self.scenes.screens)
        return replace(self, scenes=replace(self.scenes, screens=nothing))


@dataclass(frozen=True)
class InjectedError:
    """One kind of injected error, and what should see it."""

    name: str
    unit: str
    scenario: str
    plant: Callable[[Tracks, float, float, int], Tracks] | None  # None: the tracks stay as they are
    sizes: tuple[float, ...]
    metrics: tuple[str, ...]
    paint: Callable[[ErrorScene, float, int], Frames] | None = None  # of a scene's clips; None: the tracks rendered

    @property
    def readouts(self) -> tuple[str, ...]:
        """What may see it: what is wrong with the picture alone is in no track."""
        return CALIBRATION_READOUTS if self.plant else ("pixels",)

    def tracks(self, scene: ErrorScene, size: float, start: int) -> Tracks:
        return self.plant(scene.truth, size, scene.setting.dt_s, start) if self.plant else scene.truth

    def frames(self, scene: ErrorScene, size: float, start: int) -> Frames:
        """Pictures of the whole clips, wrong by so much from frame `start` on."""
        return self.paint(scene, size, start) if self.paint else scene.render(self.tracks(scene, size, start))


def other_speed(truth: Tracks, percent: float, dt_s: float, start: int) -> Tracks:
    """Every disc goes its way faster by so much."""
    last = truth.position[:, start - 1 : start]
    return _horizon(truth, last + (1 + percent / 100) * (truth.position - last), start)


def turned_outgoing(truth: Tracks, degrees: float, dt_s: float, start: int) -> Tracks:
    """Both discs leave their contact in a direction turned by so much."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).reshape(2, 2)
    contact = _first_contact(truth, dt_s)
    change = contact.outgoing @ turn.T - contact.outgoing
    return _horizon(truth, truth.position + contact.since_s * change[:, None], start)


def duller_contact(truth: Tracks, percent: float, dt_s: float, start: int) -> Tracks:
    """The discs of a contact keep so much less of the speed with which they part; their momentum is kept."""
    _, outgoing, place, since_s = _first_contact(truth, dt_s)
    weight = torch.where(truth.contact_s.isfinite(), truth.mass.double(), 0.0)[..., None]
    common = (weight * outgoing).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True)
    line = (place[:, 1] - place[:, 0])[:, None]
    line = line / line.norm(dim=-1, keepdim=True)
    along = ((outgoing - common) * line).sum(dim=-1, keepdim=True) * line
    return _horizon(truth, truth.position + since_s * (-percent / 100 * along)[:, None], start)


def late_contact(truth: Tracks, frames: float, dt_s: float, start: int) -> Tracks:
    """The discs go on into each other for so many frames before they part as they should have."""
    contact = _first_contact(truth, dt_s)
    late_s = contact.since_s.clamp(max=frames * dt_s)
    return _horizon(truth, truth.position + late_s * (contact.incoming - contact.outgoing)[:, None], start)


def shifted_return(truth: Tracks, pixels_of_64: float, dt_s: float, start: int) -> Tracks:
    """What was hidden comes back lower by so many pixels of a picture 64 wide."""
    down = torch.tensor([0.0, pixels_of_64 * WORLD_SIZE / 64])
    return _horizon(truth, truth.position + down * _hidden(truth, start), start)


def late_return(truth: Tracks, frames: float, dt_s: float, start: int) -> Tracks:
    """What was hidden comes back so many frames late."""
    behind = frames * dt_s * truth.velocity.nan_to_num()
    return _horizon(truth, truth.position - behind * _hidden(truth, start), start)


def never_back(truth: Tracks, percent: float, dt_s: float, start: int) -> Tracks:
    """In so many of the clips in which something comes back it does not."""
    hidden = truth.present & (truth.visible <= 0)
    back = (hidden.cummax(dim=1).values & (truth.visible >= 1))[:, start:]
    returns = back.any(dim=1)[:, None, :, None] & (_hidden(truth, start) > 0)
    gone = _share_of(returns.flatten(1).any(dim=1), percent) & returns
    return _horizon(truth, truth.position.masked_fill(gone, torch.nan), start)


def vanished(truth: Tracks, percent: float, dt_s: float, start: int) -> Tracks:
    """In so many of the clips the first disc is not there."""
    first = torch.arange(truth.present.shape[2])[:, None] == 0
    gone = _share_of(truth.present[:, -1, 0], percent) & first
    return _horizon(truth, truth.position.masked_fill(gone, torch.nan), start)


def phantom(truth: Tracks, percent: float, dt_s: float, start: int) -> Tracks:
    """In so many of the clips a disc of another colour stands in a corner of the horizon."""
    corner = torch.full_like(truth.position[:, :, :1], 1.0)
    corner[:, :start] = torch.nan
    corner = torch.where(_share_of(truth.present[:, -1, 0], percent), corner, torch.nan)
    there, one = corner.isfinite().all(dim=-1), truth.radius[:, :1]
    color = with_strangers(truth)[0][:, truth.radius.shape[1], None]  # the first that no disc of the clip has
    looks = (torch.full_like(one, 0.8), torch.full_like(one, 0.64), color.to(truth.color))
    other = Tracks(corner, torch.zeros_like(corner), *looks, there, there.to(truth.visible))
    by_clip = ("radius", "mass", "color", "contact_s")
    both = {k: torch.cat([v, vars(other)[k]], dim=1 if k in by_clip else 2) for k, v in vars(truth).items()}
    return Tracks(**both)


INJECTED_ERRORS = (
    InjectedError("speed", "%", "uniform", other_speed, (0.5, 1.0, 2.0, 5.0, 10.0, 20.0),
          ("velocity_error", "motion_ratio", "energy_score", "error_of_mean", "best_of_n_error", "determinism_spread",
           "momentum_drift", "energy_drift")),
    InjectedError("outgoing direction", "degrees", "collision", turned_outgoing, (1.0, 2.0, 5.0, 10.0, 20.0, 40.0),
          ("outgoing_velocity_error", "momentum_drift")),
    InjectedError("speed of parting", "%", "collision", duller_contact, (2.0, 5.0, 10.0, 20.0, 40.0),
          ("restitution_error",)),
    InjectedError("late contact", "frames", "collision", late_contact, (0.05, 0.1, 0.2, 0.4, 0.7, 1.0),
          ("contact_time_error", "interpenetration")),
    InjectedError("shifted return", "px of 64", "occlusion", shifted_return, (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0),
          ("reappearance_error",)),
    InjectedError("late return", "frames", "occlusion", late_return, (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0),
          ("reappearance_delay", "reappearance_error")),
    InjectedError("never back", "% of clips", "occlusion", never_back, (2.0, 5.0, 10.0, 20.0, 50.0),
          ("reappearance", "reappearance_error")),
    InjectedError("vanished", "% of clips", "uniform", vanished, (2.0, 5.0, 10.0, 20.0, 50.0),
          ("velocity_error", "momentum_drift", "energy_drift")),
    InjectedError("phantom", "% of clips", "uniform", phantom, (2.0, 5.0, 10.0, 20.0, 50.0), ("phantom_objects",)),
)  # fmt: skip
"""Errors of tracks. Every metric of tracks stands under at least one of these."""


def _located(
    frames: Frames, color: Float[Tensor, "clip object 3"], radius: Float[Tensor, "clip object"]
) -> Float[Tensor, "clip time object 2"]:
    """Where the discs are, a few clips at a time: of hundreds in less than two thirds of the time of all at once."""
    pieces = (each.split(5) for each in (frames, color, radius))
    return torch.cat([locate_discs(*piece) for piece in zip(*pieces, strict=True)])


def _horizon(truth: Tracks, position: Float[Tensor, "clip time object 2"], start: int) -> Tracks:
    """The tracks with these positions from frame `start` on."""
    horizon = position[:, start:].to(truth.position)
    return replace(truth, position=torch.cat([truth.position[:, :start], horizon], dim=1))


class _Contact(NamedTuple):
    """Each object's first contact; of an object that has none its first frame."""

    incoming: Float[Tensor, "clip object 2"]  # velocity in the frame before it
    outgoing: Float[Tensor, "clip object 2"]  # velocity in the frame after it
    place: Float[Tensor, "clip object 2"]
    since_s: Float[Tensor, "clip time object 1"]  # seconds since it; 0 before, and where there is none


def _first_contact(truth: Tracks, dt_s: float) -> _Contact:
    velocity, contact_s = truth.velocity.double().nan_to_num(), truth.contact_s.double()
    after = (truth.contact_s / dt_s).nan_to_num(0.0).ceil().long().clamp(0, velocity.shape[1] - 1)
    before = (after - 1).clamp(min=0)

    def at(values: Float[Tensor, "clip time object 2"], frame: Int64[Tensor, "clip object"]) -> Tensor:
        return values.gather(1, frame[:, None, :, None].expand(-1, 1, -1, 2))[:, 0]

    incoming, elapsed_s = at(velocity, before), contact_s.nan_to_num(0.0) - before * dt_s
    place = at(truth.position.double(), before) + elapsed_s[..., None] * incoming
    times_s = torch.arange(velocity.shape[1], dtype=torch.float64) * dt_s
    since_s = (times_s[None, :, None] - contact_s[:, None]).nan_to_num(0.0).clamp(min=0.0)[..., None]
    return _Contact(incoming, at(velocity, after), place, since_s)


def _hidden(truth: Tracks, start: int) -> Float[Tensor, "clip 1 object 1"]:
    """1 for what is hidden in some frame from the last of the context on."""
    hidden = truth.present[:, start - 1 :] & (truth.visible[:, start - 1 :] <= 0)
    return hidden.any(dim=1)[:, None, :, None].double()


def _share_of(clips: Bool[Tensor, " clip"], percent: float) -> Bool[Tensor, "clip 1 1 1"]:
    """The first so many of these clips: a larger share holds each smaller one."""
    rank = clips.long().cumsum(dim=0) - 1
    return (clips & (rank < percent / 100 * clips.sum()))[:, None, None, None]


def calibrate(
    setting: ClipShape, start: int, clips: int, faults: Sequence[InjectedError] = INJECTED_ERRORS
) -> Iterator[list[CalibrationRow]]:
    """The rows of one injected error after another, all sizes on the same clips; the horizon begins at `start`."""
    scene_of = cache(lambda scenario: ErrorScene.of(scenario, range(clips), setting))
    for fault in faults:
        yield list(_rows(fault, scene_of(fault.scenario), start))


def _rows(fault: InjectedError, scene: ErrorScene, start: int) -> Iterator[CalibrationRow]:
    sizes = (0.0, *fault.sizes)
    for readout in fault.readouts:
        read = [_read(fault, size, scene, start, readout) for size in sizes]
        for metric in (METRICS[name] for name in fault.metrics):
            samples = [[each] for each in read]
            if metric.takes == "samples":  # three, two of which lie to one side of the truth: a biased sampler
                others = [_read(fault, -size, scene, start, readout) for size in sizes]
                samples = [[wrong, wrong, other] for wrong, other in zip(read, others, strict=True)]
            found = [_measured(metric, each, scene, start) for each in samples]
            limit = smallest_seen(sizes, found, metric.higher_is_better)
            monotone = float(spearmanr(sizes, [_harm(each.value, metric) for each in found]).statistic)
            for size, each in zip(sizes, found, strict=True):
                yield CalibrationRow(
                    metric.law, metric.name, readout, fault.name, size, each.value, found[0].value, limit, each.low,
                    each.high, each.n, fault.unit, metric.unit, fault.scenario, metric.higher_is_better, monotone,
                )  # fmt: skip


def smallest_seen(sizes: Sequence[float], found: Sequence[Interval], higher_is_better: bool | None) -> float:
    """The smallest size from which on every interval lies beyond that of the first, which has no injected error.

    Beyond is worse, or on either side where neither is better. NaN where the largest size does not.
    """
    limit, floor = float("nan"), found[0]
    for size, each in reversed(list(zip(sizes[1:], found[1:], strict=True))):
        above = each.low > floor.high and higher_is_better is not True
        below = each.high < floor.low and higher_is_better is not False
        if not (above or below):
            return limit
        limit = size
    return limit


def measure_baselines(setting: ClipShape, start: int, clips: int, scenario: str) -> Iterator[BaselineRow]:
    """What the truth, a model that stands still and one that goes on as it did score on a scenario."""
    scene = ErrorScene.of(scenario, range(clips), setting)
    frames, rest = scene.true_frames, setting.num_frames - start
    context = Clips(frames[:, :start], setting.fps, ("",) * clips, scene.truth.between(0, start))
    futures = {"truth": frames[:, start:], "copy_last": last_frame(context, rest)}
    futures["constant_velocity"] = constant_velocity(context, rest)
    for model, future in futures.items():
        pictures = scene.pictures(future, start)
        for metric in METRICS.values():
            if metric.takes in ("tracks", "pictures") and scenario in metric.scenarios:
                found = _measured(metric, [pictures], scene, start)
                yield BaselineRow(model, scenario, metric.law, metric.name, unit=metric.unit, **vars(found))


def _read(fault: InjectedError, size: float, scene: ErrorScene, start: int, readout: str) -> Tracks | Pictures:
    if readout == "tracks":
        return fault.tracks(scene, size, start)
    return scene.pictures(fault.frames(scene, size, start)[:, start:], start)


def _measured(metric: Metric, samples: Sequence[Tracks | Pictures], scene: ErrorScene, start: int) -> Interval:
    tracks = [each.predicted if isinstance(each, Pictures) else each for each in samples]
    if metric.takes == "pictures":
        values = metric.function(samples[0])
    else:
        predicted = tracks if metric.takes == "samples" else tracks[0]
        values = metric.function(predicted, scene.truth, scene.setting.dt_s, start)
    return interval(np.asarray(values)[None], metric.bounds)


def _harm(value: float, metric: Metric) -> float:
    """The value, turned so that more is worse."""
    if metric.higher_is_better is None:
        return abs(value - metric.ideal)
    return -value if metric.higher_is_better else value
