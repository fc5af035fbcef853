"""Hidden properties: equal-looking discs of which one's mass, or whose bounciness, nothing shows but what happens.

Three discs of one size lie in a row of any direction. The first strikes the second, which rests: that *reveals* the
property. Then the second meets the third, which comes towards it: that is the *test*. In `hidden_mass` the second disc
is 0.4 to 2.5 times as heavy as the others, which all contacts leave elastic; in `hidden_restitution` all masses are
equal and the restitution of all contacts is 0.3 to 1. Neither depends on size, colour, place or velocity: a scene is
kept or not whatever its property is, so that before the reveal nothing tells of it. When the events are stands in the
tracks (`moment_of_reveal_s`, `moment_of_test_s`): between `REVEALED` and `TESTED` of a clip the property is known and
not yet tested.
The simulator has no friction.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips, Tracks
from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.core.counter_rng import public
from vidworld.simulation import SCENARIOS, NuisanceLevel
from vidworld.simulation.discs import Scenes, simulate
from vidworld.simulation.simulated import check_split, simulated, with_level
from vidworld.simulation.stage import Candidates, Fits, PerWorld, Range, Ranges, Scenario, Stage

Property = Literal["mass", "restitution"]
PROPERTY_OF: dict[str, Property] = {"hidden_mass": "mass", "hidden_restitution": "restitution"}
"""By scenario."""
MASS_RATIOS: Range = (0.4, 2.5)
MASS_RATIOS_OUTSIDE: Range = (0.2, 5.0)  # `ood`: beyond either end of those within
RESTITUTIONS: Range = (0.3, 1.0)
RESTITUTIONS_OUTSIDE: Range = (0.05, 0.25)
UNSEEN, REVEALED, TESTED, OVER = 0.22, 0.36, 0.6, 0.82
"""Shares of a clip's duration: the reveal is between the first two, the test between the others."""
ROW_RANGES = Ranges((1.6, 3.2), (0.5, 0.75), ((1.2, 1.5), (3.3, 3.6)), ((0.4, 0.45), (0.8, 0.85)), corner=0.0)
SHARES_TRIED = (0.0, 1.0, 0.5)  # shares of the range of properties, with each of which a scene must do
STRIKES, HIDDEN_DISC, COMES = range(3)


def row_of_three(stage: Stage, what: Property, worlds: int = 1) -> Candidates:
    """A scene by its property; the second of two worlds differs in that alone, by half of its range."""
    draws, end_s = stage.draws, stage.setting.duration_s
    radius = stage.radius(1).expand(-1, 3).clone()
    speed, direction, color = stage.speed(2), draws.direction(1), stage.colors(3)
    run_up = speed[:, 0] * draws.uniform(UNSEEN, REVEALED) * end_s
    # What lies between the last two is crossed by the time of the test, if all masses are equal and nothing is lost.
    meets_s = draws.uniform(TESTED, OVER) * end_s
    apart = speed[:, 1] * meets_s + speed[:, 0] * meets_s - run_up
    zero = torch.zeros_like(run_up)
    along = torch.stack([zero, run_up + 2 * radius[:, 0], run_up + 4 * radius[:, 0] + apart], dim=1)
    velocity = torch.stack([speed[:, 0], zero, -speed[:, 1]], dim=1)[..., None] * direction
    whole = along[:, -1:] * direction[:, 0]
    position, valid = stage.place(whole.clamp(max=0) - radius[:, :1], whole.clamp(min=0) + radius[:, :1])
    scenes = stage.scenes(position[:, None] + along[..., None] * direction, velocity, radius, color)
    outside = stage.outside_speed | stage.outside_radius
    share = draws.uniform()
    some = valid.nonzero()[:, 0]
    for level in SHARES_TRIED:
        if len(some):
            tried = with_property(scenes.at(some), what, torch.full_like(share[some], level), outside[some])
            some = some[_does(tried, stage.setting)]
    fits = torch.zeros_like(valid)
    fits[some] = True
    shares = [share, (share + 0.5) % 1.0][:worlds]
    return tuple(with_property(scenes, what, each, outside) for each in shares), fits


def with_property(scenes: Scenes, what: Property, share: PerWorld, outside: Fits) -> Scenes:
    """The scenes with the property that lies at this share of its range, of that inside or that outside."""
    if what == "restitution":
        low, high = (torch.where(outside, *pair) for pair in zip(RESTITUTIONS_OUTSIDE, RESTITUTIONS, strict=True))
        return replace(scenes, restitution=low + share * (high - low))
    (least, most), (lowest, highest) = MASS_RATIOS, MASS_RATIOS_OUTSIDE
    within = least * (most / least) ** share
    below, above = lowest * (least / lowest) ** (2 * share), most * (highest / most) ** (2 * share - 1)
    ratio = torch.where(outside, torch.where(share < 0.5, below, above), within)
    mass = scenes.mass.clone()
    mass[:, HIDDEN_DISC] *= ratio
    return replace(scenes, mass=mass)


def _does(scenes: Scenes, setting: ClipShape) -> Fits:
    """Whether the test comes when it should and all is in view."""
    times_s = torch.arange(setting.num_frames, dtype=torch.float64, device=scenes.radius.device) / setting.fps
    motion = simulate(scenes, times_s)
    test_s = motion.contact_s[:, COMES]
    fits = (test_s > TESTED * setting.duration_s) & (test_s < OVER * setting.duration_s)
    reach, size = scenes.radius[:, None, :, None], scenes.radius.new_tensor([WORLD_SIZE, setting.height])
    inside = (motion.position >= reach) & (motion.position <= size - reach)
    return fits & inside.all(-1).all(-1).all(-1)


def moment_of_reveal_s(tracks: Tracks) -> Float[Tensor, " clip"]:
    """When the property shows: seconds from the first frame to the first contact."""
    return tracks.contact_s[:, STRIKES]


def moment_of_test_s(tracks: Tracks) -> Float[Tensor, " clip"]:
    """When it is tested."""
    return tracks.contact_s[:, COMES]


class PropertyPair(NamedTuple):
    """Clips of a scenario, and the same with another property: equal up to the reveal."""

    own: Clips
    other: Clips


def property_pairs(
    scenario: str,
    split: str,
    seed: int | str,
    indices: Sequence[int],
    shape: ClipShape = ClipShape(),
    nuisance: NuisanceLevel = 0,
) -> PropertyPair:
    """The pairs of these numbers; the first of each is that clip of the scenario."""
    check_split(split)
    sampler = partial(row_of_three, what=PROPERTY_OF[scenario], worlds=2)
    drawn_by = Scenario((sampler,), SCENARIOS[scenario].ranges)
    stream = f"{scenario}/{split}/{seed}"
    names = [public(f"{scenario}/{with_level(split, nuisance)}/{seed}") + f"/{index}" for index in indices]
    identities = [tuple(names), tuple(f"{name}/other" for name in names)]
    pair = simulated(drawn_by, stream, indices, identities, shape, split, torch.device("cpu"), nuisance)
    return PropertyPair(*pair)


HIDDEN_MASS = Scenario((partial(row_of_three, what="mass"),), ROW_RANGES, weight=0.0)
HIDDEN_RESTITUTION = Scenario((partial(row_of_three, what="restitution"),), ROW_RANGES, weight=0.0)
