"""Discs in a box, simulated exactly: from event to event, each the root of a quadratic.

Gravity is common to all discs of a clip, so two free discs move in a line relative to each other. All clips of a batch
advance together, each to its own next event.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

RECEDING = -1e-12  # approach slower than this (units squared a second) is none: rounding, after a contact or a graze
REST_SPEED = 1e-6  # a disc that leaves the floor slower than this lies still (units a second)
FRAME_TOLERANCE_S = 1e-9  # a contact this close to a frame's time is before it: its velocity is the one after
MAX_EVENTS = 4000


@dataclass(frozen=True)
class Scenes:
    """The state of each clip's discs at time 0 and what surrounds them; float64, world units and seconds."""

    position: Float[Tensor, "clip object 2"]
    velocity: Float[Tensor, "clip object 2"]
    radius: Float[Tensor, "clip object"]
    mass: Float[Tensor, "clip object"]
    present: Bool[Tensor, "clip object"]
    color: Float[Tensor, "clip object 3"]
    gravity: Float[Tensor, " clip"]  # units a second squared, downwards (y grows downwards)
    restitution: Float[Tensor, " clip"]
    walls: Float[Tensor, "clip wall 3"]  # (n_x, n_y, offset): discs stay where n . x >= offset + radius.
    screens: Float[Tensor, "clip screen 4"]  # (left, top, right, bottom) of what hides the discs; all zero for none
    blocks: Float[Tensor, "clip block 4"]  # (left, top, right, bottom) of what is drawn solid; the walls make it so

    def at(self, clips: Tensor | slice) -> "Scenes":
        """The same for some of the clips."""
        return Scenes(**{name: value[clips] for name, value in vars(self).items()})


def discs_alone(
    position: Float[Tensor, "clip object 2"],
    velocity: Float[Tensor, "clip object 2"],
    radius: Float[Tensor, "clip object"],
    color: Float[Tensor, "clip object 3"],
    gravity: float = 0.0,
) -> Scenes:
    """Scenes of these discs and nothing else, all present and elastic, mass their radius squared."""
    nothing = radius.new_zeros(len(radius), 0, 4)
    return Scenes(
        position=position, velocity=velocity, radius=radius, mass=radius * radius, color=color,
        present=torch.ones_like(radius, dtype=torch.bool), gravity=radius.new_full(radius.shape[:1], gravity),
        restitution=radius.new_ones(len(radius)), walls=nothing[..., :3], screens=nothing, blocks=nothing,
    )  # fmt: skip


@dataclass(frozen=True)
class Trajectories:
    """Where the discs of each clip are at these times."""

    position: Float[Tensor, "clip time object 2"]
    velocity: Float[Tensor, "clip time object 2"]
    contact_s: Float[Tensor, "clip object"]  # time of each disc's first contact with another disc, NaN for none


def dot(a: Float[Tensor, "*#any 2"], b: Float[Tensor, "*#any 2"]) -> Float[Tensor, "..."]:
    """The inner product, summed in one order whatever the batch."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1]


def disc_contact_times(scenes: Scenes, pairs: Int[Tensor, "2 pair"]) -> Float[Tensor, "clip pair"]:
    """Seconds until each pair of discs touches, infinite for never."""
    first, second = pairs
    apart = scenes.position[:, first] - scenes.position[:, second]
    relative = scenes.velocity[:, first] - scenes.velocity[:, second]
    reach = scenes.radius[:, first] + scenes.radius[:, second]
    approach = dot(apart, relative)
    gap = dot(apart, apart) - reach * reach
    under_root = approach * approach - dot(relative, relative) * gap
    time = gap.clamp(min=0) / (under_root.clamp(min=0).sqrt() - approach)
    meets = (approach < RECEDING) & (under_root > 0) & scenes.present[:, first] & scenes.present[:, second]
    return torch.where(meets, time, torch.inf)


def wall_contact_times(scenes: Scenes, pull: Float[Tensor, "clip object 2"]) -> Float[Tensor, "clip object wall"]:
    """Seconds until each disc touches each wall, infinite for never; `pull` is each disc's acceleration."""
    normal = scenes.walls[:, None, :, :2]
    height = dot(scenes.position[:, :, None], normal) - scenes.walls[:, None, :, 2] - scenes.radius[:, :, None]
    height = height.clamp(min=0)
    speed, force = dot(scenes.velocity[:, :, None], normal), dot(pull[:, :, None], normal)
    root = (speed * speed - 2 * force * height).clamp(min=0).sqrt()
    reaches = speed * speed >= 2 * force * height
    towards = torch.where((speed < 0) & reaches, 2 * height / (root - speed), torch.inf)
    falls_back = torch.where((speed >= 0) & (force < 0), (speed + root) / -force, torch.inf)
    return torch.where(scenes.present[:, :, None], torch.minimum(towards, falls_back), torch.inf)


def bounce_discs(scenes: Scenes, clips: Tensor, first: Tensor, second: Tensor) -> None:
    """Give each of these clips' two discs their velocities after the contact, in place."""
    apart = scenes.position[clips, first] - scenes.position[clips, second]
    normal = apart / dot(apart, apart).sqrt()[:, None]
    speed = dot(scenes.velocity[clips, first] - scenes.velocity[clips, second], normal)
    mass_1, mass_2 = scenes.mass[clips, first], scenes.mass[clips, second]
    impulse = (-(1 + scenes.restitution[clips]) * speed * mass_1 * mass_2 / (mass_1 + mass_2))[:, None] * normal
    scenes.velocity[clips, first] += impulse / mass_1[:, None]
    scenes.velocity[clips, second] -= impulse / mass_2[:, None]


def bounce_walls(scenes: Scenes, pull: Tensor, clips: Tensor, disc: Tensor, wall: Tensor) -> None:
    """Give each of these clips' disc its velocity after the wall, on the wall to the last digit, in place.

    What lies on a floor from then on is pulled no more.
    """
    normal, offset = scenes.walls[clips, wall, :2], scenes.walls[clips, wall, 2]
    radius, gravity = scenes.radius[clips, disc], scenes.gravity[clips]
    speed = dot(scenes.velocity[clips, disc], normal)
    height = dot(scenes.position[clips, disc], normal) - offset - radius
    rests = (gravity * normal[:, 1] < 0) & (-scenes.restitution[clips] * speed < REST_SPEED)
    change = torch.where(rests, -speed, -(1 + scenes.restitution[clips]) * speed)
    scenes.velocity[clips, disc] += change[:, None] * normal
    scenes.position[clips, disc] -= height[:, None] * normal
    pull[clips, disc] = torch.where(rests[:, None], 0.0, pull[clips, disc])


def simulate(scenes: Scenes, times_s: Float[Tensor, " time"], most_events: int | None = None) -> Trajectories:
    """The discs' exact motion at these times, which start at 0 or later and do not go back.

    most_events: after so many (of a disc that is wedged in, say) discs fly on through all that is in their way.
    ValueError where several discs have gravity and walls that take energy: a disc at rest there would not fall with
    the others, and contacts would no longer be roots of quadratics. RuntimeError after `MAX_EVENTS` events, without
    `most_events`.
    """
    crowded = scenes.present.sum(1) > 1
    if bool((crowded & (scenes.gravity != 0) & (scenes.restitution < 1)).any()) and scenes.walls.shape[1] > 0:
        raise ValueError("several discs under gravity need restitution 1 (or no walls)")
    clips, objects = scenes.radius.shape
    state = Scenes(**{name: value.clone() for name, value in vars(scenes).items()})
    position, velocity = (state.position.new_empty(clips, len(times_s), objects, 2) for _ in range(2))
    motion = Trajectories(position, velocity, torch.full_like(state.radius, torch.nan))
    pull = torch.stack([torch.zeros_like(state.radius), state.gravity[:, None].expand_as(state.radius)], dim=-1)
    now_s = torch.zeros_like(state.gravity)
    active = torch.arange(clips, device=now_s.device)
    for _ in range(MAX_EVENTS if most_events is None else most_events):
        record(motion, active, state, pull, now_s, times_s)
        active, state, pull, now_s = advance(motion, active, state, pull, now_s, float(times_s[-1]))
        if len(active) == 0:
            return motion
    if most_events is None:
        raise RuntimeError(f"a world has more than {MAX_EVENTS} events")
    return motion


def record(motion: Trajectories, clips: Tensor, state: Scenes, pull: Tensor, now_s: Tensor, times_s: Tensor) -> None:
    """Write the free flight from `now_s` into every frame from then on; the next event writes over it."""
    since = (times_s[None, :] - now_s[:, None])[:, :, None, None]
    position = state.position[:, None] + since * (state.velocity[:, None] + since * pull[:, None] * 0.5)
    velocity = state.velocity[:, None] + since * pull[:, None]
    later = since >= -FRAME_TOLERANCE_S
    motion.position[clips] = torch.where(later, position, motion.position[clips])
    motion.velocity[clips] = torch.where(later, velocity, motion.velocity[clips])


def advance(
    motion: Trajectories, clips: Tensor, state: Scenes, pull: Tensor, now_s: Tensor, end_s: float
) -> tuple[Tensor, Scenes, Tensor, Tensor]:
    """The clips that have another event before the end, each just after its next one."""
    objects, walls = state.radius.shape[1], state.walls.shape[1]
    if objects == 1 and walls == 0:
        return clips[:0], state, pull, now_s
    pairs = torch.triu_indices(objects, objects, offset=1, device=clips.device)
    times = torch.cat([disc_contact_times(state, pairs), wall_contact_times(state, pull).flatten(1)], dim=1)
    wait_s, event = times.min(dim=1)
    goes_on = now_s + wait_s <= end_s + FRAME_TOLERANCE_S
    clips, state, pull, now_s = clips[goes_on], state.at(goes_on), pull[goes_on], now_s[goes_on]
    wait, event = wait_s[goes_on][:, None, None], event[goes_on]
    state.position.add_(wait * (state.velocity + wait * pull * 0.5))
    state.velocity.add_(wait * pull)
    now_s = now_s + wait[:, 0, 0]

    of_discs = event < pairs.shape[1]
    meeting = of_discs.nonzero()[:, 0]
    first, second = pairs[:, event[meeting]]
    bounce_discs(state, meeting, first, second)
    for disc in (first, second):
        seen = motion.contact_s[clips[meeting], disc]
        motion.contact_s[clips[meeting], disc] = torch.where(seen.isnan(), now_s[meeting], seen)
    if walls > 0:
        hitting = (~of_discs).nonzero()[:, 0]
        hit = event[hitting] - pairs.shape[1]
        bounce_walls(state, pull, hitting, hit // walls, hit % walls)
    return clips, state, pull, now_s
