"""What keeps cues from telling who is who: a third disc, the companion, that changes every sum over the picture.

It is the same in A and B, and goes behind a screen of its own about the moment, or comes from behind it. So whatever is
summed over the picture changes more from the past to the future than it differs between A and B.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.simulation.discs import Scenes
from vidworld.simulation.occlusion import place_between
from vidworld.simulation.simulated import BACKGROUND, SCREEN_GRAY
from vidworld.simulation.stage import PALETTE, Fits, PerDisc, PerWorld, Point, Stage

LIKE_COLORS = ((0, 1), (3, 4), (3, 5), (4, 5))
"""Colours of the palette that are nearly as bright, and as saturated, as each other: those of the two discs."""
TRIPLES = [(*pair, third) for one in LIKE_COLORS for pair in permutations(one) for third in set(range(6)) - set(one)]
MOST_OF_IT = 0.6  # of the most that a half of the clip shows
BY_FAR = 2.0  # pictures differ from what is computed here
COMPANION_SPEED, COMPANION_RADIUS = (2.5, 4.0), (0.5, 0.9)  # in every split: it is not what a law is about


Two = Float[Tensor, "world 2 2"]
Screen = Float[Tensor, "world 4"]  # (left, top, right, bottom)
Moments = Float[Tensor, "world 2 time 3"]  # of the past and of the future: xx, yy, xy (units squared)
InView = Float[Tensor, "world 2 time 1"]  # 1 where moments are of all that a half of the clip shows, or 0


class Company(NamedTuple):
    """The third disc, the same in A and B, and its screen."""

    position: Point
    velocity: Point
    radius: PerWorld
    screen: Screen


class Band(NamedTuple):
    """A horizontal strip of the picture that one disc, or the two together, and their screens have to themselves."""

    middle: PerWorld
    half: PerWorld

    def screen(self, left: PerWorld, right: PerWorld) -> Screen:
        """What hides the band from one place to another."""
        edges = (left.clamp(min=0), self.middle - self.half, right.clamp(max=WORLD_SIZE), self.middle + self.half)
        return torch.stack(edges, dim=1)


def bands(stage: Stage, *half: PerWorld) -> tuple[list[Band], Fits]:
    """Bands of these half heights in any order, with what is left of the picture between them; whether they fit."""
    halves = torch.stack(half, dim=1)
    order = stage.draws.order(len(half))
    free = stage.setting.height - 2 * sum(half, torch.zeros_like(half[0]))  # in one order whatever the batch
    gaps = free[:, None] * stage.draws.uniform(count=len(half)).sort(dim=1).values
    stacked = halves.gather(1, order)
    middles = gaps + 2 * stacked.cumsum(1) - stacked
    middles = middles.gather(1, order.argsort(dim=1))
    return [Band(middle, each) for middle, each in zip(middles.unbind(1), half, strict=True)], free >= 0


def margin(stage: Stage) -> float:
    """More than a disc's edge fades over."""
    return 1.5 * stage.setting.pixel


def companion_size(stage: Stage) -> tuple[PerWorld, PerWorld]:
    """The companion's radius, and half the height of its band."""
    room = min(1.0, stage.setting.height / WORLD_SIZE)
    radius = stage.draws.uniform(*COMPANION_RADIUS) * room
    return radius, radius + margin(stage) + stage.draws.uniform(0.0, 0.5) * room


def company(stage: Stage, moment_s: PerWorld, radius: PerWorld, band: Band) -> tuple[Company, Fits]:
    """The companion, which crosses the near edge of its screen within a frame of the moment, and stays beyond it."""
    speed, sign = stage.draws.uniform(*COMPANION_SPEED), stage.draws.sign()
    edge_s = moment_s + stage.draws.uniform(-1.0, 1.0) * stage.setting.dt_s
    goes_in = stage.draws.chance(0.5)
    before, after = speed * edge_s, speed * (stage.setting.duration_s - edge_s)
    start, end = -sign * before, sign * after
    edge, fits = place_between(stage, torch.minimum(start, end) - radius, torch.maximum(start, end) + radius)
    far = edge + torch.where(goes_in, end, start) + torch.where(goes_in, sign, -sign) * (radius + margin(stage))
    screen = band.screen(torch.minimum(edge, far), torch.maximum(edge, far))
    position, velocity = torch.stack([edge + start, band.middle], 1), torch.stack([sign * speed, speed * 0.0], 1)
    return Company(position, velocity, radius, screen), fits


def colors(stage: Stage) -> Float[Tensor, "world 3 3"]:
    """Two colours that are like each other, and the companion's."""
    triples = torch.tensor(TRIPLES, device=stage.size.device)
    chosen = (stage.draws.uniform() * len(TRIPLES)).floor().long()
    return PALETTE.to(stage.size)[triples[chosen]]


def worlds(
    stage: Stage,
    pairs: tuple[tuple[Two, Two], tuple[Two, Two]],
    radius: PerDisc,
    third: Company,
    screens: tuple[Screen, ...] = (),
) -> tuple[Scenes, Scenes]:
    """A and B: position and velocity of the two discs in each, the same radii, companion and screens."""
    color = colors(stage)
    size = torch.cat([radius, third.radius[:, None]], dim=1)
    nothing = [torch.zeros_like(third.screen)] * (2 - len(screens))
    boxes = torch.stack([*screens, *nothing, third.screen], dim=1)
    a, b = (
        stage.scenes(
            torch.cat([position, third.position[:, None]], dim=1),
            torch.cat([velocity, third.velocity[:, None]], dim=1),
            size,
            color,
        )
        for position, velocity in pairs
    )
    return replace(a, screens=boxes), replace(b, screens=boxes)


def _companion_at(
    scenes: Scenes, time_s: Float[Tensor, "world 2 time"]
) -> tuple[Float[Tensor, "world 2 time 2"], Float[Tensor, "world 2 time"]]:
    """Where the companion is, and about what share of it is in view."""
    place = scenes.position[:, None, None, 2] + scenes.velocity[:, None, None, 2] * time_s[..., None]
    left, _, right, _ = (edge[:, None, None] for edge in scenes.screens[:, -1].unbind(1))
    beyond = torch.maximum(left - place[..., 0], place[..., 0] - right)
    return place, (0.5 + beyond / (2 * scenes.radius[:, None, None, 2])).clamp(0, 1)


def shared(apart: Tensor, radius: Tensor) -> Tensor:
    """What share of a disc another of its radius covers so far from it, to two hundredths."""
    gap = (apart / (2 * radius)).clamp(max=1)
    return (1 - gap) * (1 - gap).sqrt() * (1 + 0.227 * gap)


def motion_energies(
    scenes: Scenes, velocity: Float[Tensor, "world 2 2 2"], time_s: Float[Tensor, "world 2 time"], dt_s: float
) -> Float[Tensor, "world 2 time-1 1"]:
    """About how much the picture changes from each frame of the past, and of the future, to the next.

    velocity: of the two discs before and after the moment.
    """
    shows = _companion_at(scenes, time_s)[1].unfold(2, 2, 1).mean(-1)[..., None]
    third = scenes.velocity[:, None, None, 2].expand(-1, 2, 1, 2)
    way = torch.cat([velocity, third], dim=2).square().sum(-1).sqrt() * dt_s  # (world, 2, disc)
    ink = (scenes.color - BACKGROUND).square().sum(2) * torch.pi * scenes.radius.square()
    change = 2 * ink[:, None] * (1 - shared(way, scenes.radius[:, None]))
    return change[:, :, None, :2].sum(-1, keepdim=True) + change[:, :, None, 2:] * shows


def second_moments(
    scenes: Scenes, two: Float[Tensor, "world 2 time 2 2"], time_s: Float[Tensor, "world 2 time"], colored: bool
) -> tuple[Moments, InView]:
    """The picture's second moments with the two discs there, of what is coloured or of all that is bright; and in which
    frames most of that is shown."""
    third, shows = _companion_at(scenes, time_s)
    left, top, right, bottom = (edge[:, None, None] for edge in scenes.screens[:, -1].unbind(1))
    bright = scenes.color.amax(2) - scenes.color.amin(2) if colored else scenes.color.mean(2) - BACKGROUND
    first, second, last = (torch.pi * scenes.radius.square() * bright)[:, None, None].unbind(-1)
    board = (0.0 if colored else SCREEN_GRAY - BACKGROUND) * (right - left) * (bottom - top)
    mass = torch.stack([*torch.broadcast_tensors(first, second, last * shows, board)], dim=-1)
    total = mass.sum(-1, keepdim=True)
    mass = mass / total
    middle = torch.stack([left + right, top + bottom], dim=-1) / 2
    place = torch.cat([two, third[..., None, :], middle[..., None, :].expand_as(third[..., None, :])], dim=-2)
    away = place - (mass[..., None] * place).sum(-2, keepdim=True)
    products = torch.stack([away[..., 0].square(), away[..., 1].square(), away.prod(-1)], dim=-1)
    none = torch.zeros_like(left)
    discs = torch.stack([scenes.radius, scenes.radius, 0 * scenes.radius], dim=-1)[:, None, None].square() / 4
    screen = torch.stack([(right - left).square(), (bottom - top).square(), none], dim=-1) / 12
    own = torch.cat([discs, screen[..., None, :]], dim=-2)
    return (mass[..., None] * (products + own)).sum(-2), (total >= MOST_OF_IT * total.amax(2, keepdim=True)).to(total)


def drowned(
    since_s: Float[Tensor, "2 time"], shown: InView, a: Tensor, b: Tensor, forms: Sequence[str] = ("before", "straight")
) -> Fits:
    """Whether a cue (world, past or future, time, value) changes by far more from the past to the future than it
    differs between A and B.

    It is then right about one future and wrong about the other, if it stays as it was on average or last, or goes
    straight on.
    """
    weight, time_s = shown / shown.sum(2, keepdim=True), since_s[None, :, :, None]
    past, follows = weight.unbind(1)
    ahead = time_s - (past * time_s[:, 0]).sum(1, keepdim=True)[:, None]
    scatter = (past * ahead[:, 0].square()).sum(1, keepdim=True).clamp(min=1e-9)
    valid = torch.ones(len(a), dtype=torch.bool, device=a.device)
    for form in forms:
        expected = []
        for of in (a[:, 0], b[:, 0]):
            mean, slope = (past * of).sum(1, keepdim=True), (past * ahead[:, 0] * of).sum(1, keepdim=True) / scatter
            by_form = {"before": mean, "last": of[:, -1:], "straight": mean + slope * ahead[:, 1]}
            expected.append(by_form[form])
        apart, middle = expected[0] - expected[1], (expected[0] + expected[1]) / 2
        off = [(follows * apart * (middle - of[:, 1])).sum((1, 2)) for of in (a, b)]
        least = torch.minimum(off[0].abs(), off[1].abs())
        valid = valid & (off[0] * off[1] > 0) & (least > BY_FAR * (off[0] - off[1]).abs())
    return valid
