"""The scene behind a context, from its pixels alone: what a physicist who knows the simulator's laws can say of it.

Positions, velocities and radii are those whose simulation shows as much of each disc, and there, as the pixels do
(least squares). How surely each number is known follows from the same fit, and what no pixel tells is as the scenarios
draw it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Frames
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.simulation.discs import Scenes, simulate
from vidworld.simulation.occlusion import FAR
from vidworld.simulation.scenarios import GRAVITY, MOTION_RANGES, PHYWORLD_GRAVITY, RESTITUTION, RESTITUTION_OUTSIDE
from vidworld.simulation.seen_discs import SeenDiscs, see, visible_part
from vidworld.simulation.stage import Range

NEARLY_WHOLE = 0.93  # share of the most that shows of a disc from which on it counts as whole
NOISE = (0.001, 0.001, 0.002)  # standard deviations of a frame's x, y (units) and area (share of the disc's)
PRIOR = (10.0, 10.0, 5.0, 5.0, 0.5)  # of a disc's x, y, their velocities and its radius about the first guess
MIDDLE, RESTITUTION_STD = sum(RESTITUTION) / 2, (RESTITUTION[1] - RESTITUTION[0]) / 12**0.5
STEP = 1e-4  # of the numeric derivative
ITERATIONS, DAMPINGS = 12, (0.0, 1e-2, 1.0)
MIN_GAIN = 1e-2  # share of the cost by which a step must lower it for another to follow
EXPLAINED = 10.0  # mean square of the residuals, in NOISE, up to which a fit explains what is seen
NEAR_A_SCREEN = 3.2  # units a second: a first guess of what is whole in no two frames; discs there move sideways
LEVELS = 401  # restitutions that one is drawn from
MAX_RADIUS = 3.0  # units: no scene has larger discs, and between walls they would never come to rest
MOST_EVENTS = 500  # of a scene that is tried: some wedge a disc in, which no true one does

Theta = Float[Tensor, "clip k parameter"]  # five for each disc (position, velocity, radius), and the restitution


@dataclass(frozen=True)
class Posterior:
    """What is known of each clip's scene at one of the frames of its context."""

    seen: SeenDiscs
    frame: Tensor  # the one that the parameters are of: the first from which on everything is explained
    theta: Float[Tensor, "clip parameter"]
    covariance: Float[Tensor, "clip parameter parameter"]
    gravity: Float[Tensor, " clip"]
    cost: Float[Tensor, " clip"]  # mean square of the residuals, in NOISE

    def at(self, clips: Tensor) -> "Posterior":
        return Posterior(**{k: v.at(clips) if k == "seen" else v[clips] for k, v in vars(self).items()})

    def draw(self, noise: Float[Tensor, "clip k parameter"], level: Float[Tensor, "clip k"]) -> Theta:
        """Parameters by standard normal noise and, for the restitution, by a level in [0, 1]."""
        theta, spread = self.theta[:, None], self.covariance[:, -1, -1]
        bounces = self.gravity > 0
        restitution = torch.where(bounces[:, None], self._restitution(level), theta[..., -1])
        gain = self.covariance[:, :-1, -1] / spread[:, None]
        rest = self.covariance[:, :-1, :-1] - gain[:, :, None] * gain[:, None] * spread[:, None, None]
        root = torch.linalg.cholesky_ex(rest + 1e-12 * torch.eye(rest.shape[-1], dtype=rest.dtype)).L
        state = theta[..., :-1] + (restitution - theta[..., -1])[..., None] * gain[:, None]
        state = state + torch.einsum("cij,ckj->cki", root, noise[..., :-1])
        return torch.cat((state, restitution[..., None]), dim=-1)

    def _restitution(self, level: Float[Tensor, "clip k"]) -> Float[Tensor, "clip k"]:
        """Restitutions at these levels of their distribution: what is drawn, as far as the pixels leave it open.

        In `bounce` it is drawn from one range where speed or radius are, and from another where one of them is outside
        its own; and no disc rebounds higher than the picture.
        """
        y, vx, vy, radius = self.theta[:, 1:5].unbind(dim=-1)
        start_down = vy - self.gravity * self.frame * self.seen.setting.dt_s
        outside = _outside(torch.hypot(vx, start_down), MOTION_RANGES.speed, MOTION_RANGES.speed_outside)
        outside |= _outside(radius, MOTION_RANGES.radius, MOTION_RANGES.radius_outside)
        low, high = (torch.where(outside, *pair) for pair in zip(RESTITUTION_OUTSIDE, RESTITUTION, strict=True))
        height = self.seen.setting.height
        impact = (vy.square() + 2 * self.gravity * (height - radius - y).clamp(min=0)).sqrt()
        highest = (2 * self.gravity * (height - 2 * radius).clamp(min=0)).sqrt() / impact.clamp(min=1e-6)
        high = torch.minimum(high, highest.clamp(min=low + 1e-3))
        grid = low[:, None] + torch.linspace(0, 1, LEVELS, dtype=low.dtype) * (high - low)[:, None]
        # The fit's own distribution without its prior, which is flat here.
        off = (grid - self.theta[:, -1:]).square() / self.covariance[:, -1, -1, None]
        weight = (((grid - MIDDLE) / RESTITUTION_STD).square() - off).div(2)
        share = (weight - weight.amax(dim=1, keepdim=True)).exp().cumsum(dim=1)
        drawn = torch.searchsorted((share / share[:, -1:]).contiguous(), level.contiguous()).clamp(max=LEVELS - 1)
        return grid.gather(1, drawn)

    def positions(self, theta: Theta, horizon: int) -> Float[Tensor, "clip k time object 2"]:
        """Where the discs are in the `horizon` frames after the context."""
        end = self.seen.area.shape[1]
        found = theta.new_empty(*theta.shape[:2], horizon, self.seen.present.shape[1], 2)
        for frame in self.frame.unique().tolist():
            some = (self.frame == frame).nonzero()[:, 0]
            scenes = scenes_of(self.seen.at(some), theta[some], self.gravity[some])
            times_s = torch.arange(end - frame, end - frame + horizon, dtype=theta.dtype) * self.seen.setting.dt_s
            found[some] = simulate(scenes, times_s, MOST_EVENTS).position.unflatten(0, theta[some].shape[:2])
        return found


def infer(frames: Frames, fps: float) -> Posterior:
    """What the frames of each clip tell of its scene."""
    seen = see(frames, fps)
    everything = torch.arange(len(frames))
    best = _fitted(seen, 0, torch.zeros(len(frames), dtype=torch.float64))
    for gravity in (GRAVITY, PHYWORLD_GRAVITY):
        some = everything[(best.cost > EXPLAINED) & seen.falls_alone]
        best = _better(best, some, 0, gravity)
    for frame in range(1, frames.shape[1] - 2):  # what met before the first two frames is explained from after it
        for gravity in (0.0, GRAVITY):
            unexplained = best.cost > EXPLAINED
            some = everything[unexplained & seen.falls_alone] if gravity else everything[unexplained]
            best = _better(best, some, frame, gravity)
    return best


def scenes_of(seen: SeenDiscs, theta: Theta, gravity: Float[Tensor, " clip"]) -> Scenes:
    """A scene for each clip and set of parameters.

    The picture's edges are walls where there are three discs or more, and its lower one the floor of what falls. A
    block is a wall to the side from which discs come.
    """
    count = theta.shape[1]
    state = theta[..., :-1].unflatten(-1, (-1, 5)).flatten(0, 1)
    falls, crowded = gravity > 0, seen.present.sum(dim=1) > 2
    edges = [[1, 0, 0], [-1, 0, -WORLD_SIZE], [0, 1, 0], [0, -1, -seen.setting.height]]
    walls = theta.new_tensor(edges).repeat(len(theta), 1, 1)
    walls[~crowded, :3, 2] = FAR
    walls[~crowded & ~falls, 3, 2] = FAR
    left, right = seen.blocks[..., 0], seen.blocks[..., 2]
    side = torch.where(seen.place[:, :1, 0, 0] < (left + right) / 2, -1.0, 1.0)
    offset = torch.where(right > left, torch.where(side < 0, -left, right), FAR)
    walls = torch.cat((walls, torch.stack((side, torch.zeros_like(side), offset), dim=-1)), dim=1)
    every = torch.arange(len(theta)).repeat_interleave(count)
    radius = state[..., 4].clamp(0.1, MAX_RADIUS)
    return Scenes(
        position=state[..., :2], velocity=state[..., 2:4], radius=radius, mass=radius * radius,
        present=seen.present[every], color=seen.color[every], gravity=gravity[every].double(),
        restitution=torch.where(falls[every], theta[..., -1].flatten().clamp(0.05, 1.0), 1.0),
        walls=walls[every], screens=seen.screens[every], blocks=seen.blocks[every],
    )  # fmt: skip


def _better(best: Posterior, some: Tensor, frame: int, gravity: float) -> Posterior:
    """The same, where another hypothesis explains some of the clips at half of the cost or less."""
    if len(some) == 0:
        return best
    return _replaced(best, some, _fitted(best.seen.at(some), frame, torch.full_like(best.gravity[some], gravity)), 0.5)


def _replaced(best: Posterior, some: Tensor, tried: Posterior, at_most: float) -> Posterior:
    """The same, with what was tried of some of the clips where that costs less than a share of what the best does."""
    wins = (tried.cost < at_most * best.cost[some]).nonzero()[:, 0]
    order = torch.arange(len(best.cost))
    order[some[wins]] = len(best.cost) + wins
    both = {k: torch.cat((v, getattr(tried, k))) for k, v in vars(best).items() if k != "seen"}
    return Posterior(best.seen, **{k: v[order] for k, v in both.items()})


def _fitted(seen: SeenDiscs, frame: int, gravity: Tensor) -> Posterior:
    """The best fit of the frames from `frame` on, from further first guesses where a screen hides much."""
    best = _solve(seen, frame, gravity, _first_guess(seen, frame, gravity, 0.0))
    for sideways in (-NEAR_A_SCREEN, NEAR_A_SCREEN):
        some = ((best.cost > EXPLAINED) & (seen.screens.sum(dim=(1, 2)) > 0)).nonzero()[:, 0]
        if len(some) > 0:
            hidden, pull = seen.at(some), gravity[some]
            best = _replaced(best, some, _solve(hidden, frame, pull, _first_guess(hidden, frame, pull, sideways)), 1.0)
    return best


def _first_guess(seen: SeenDiscs, frame: int, gravity: Tensor, sideways: float) -> Float[Tensor, "clip parameter"]:
    """Each disc on a line through its first two whole frames; `sideways`: its velocity where there are none."""
    whole = seen.area > NEARLY_WHOLE * seen.most[:, None]
    whole[:, :frame] = False
    shows = seen.area > 0
    shows[:, :frame] = False
    usable = torch.where(shows.any(dim=1, keepdim=True), shows, seen.area > 0)
    usable = torch.where(whole.sum(dim=1, keepdim=True) > 1, whole, usable)
    first, second = usable.float().sort(dim=1, descending=True, stable=True).indices[:, :2].unbind(dim=1)
    second = torch.where(usable.sum(dim=1) > 1, second, first)

    def at(number: Tensor) -> Tensor:
        return seen.place.gather(1, number[:, None, :, None].expand(-1, 1, -1, 2))[:, 0]

    dt_s, down = seen.setting.dt_s, torch.stack((torch.zeros_like(gravity), gravity), dim=-1)[:, None]
    passed_s = ((second - first) * dt_s)[..., None]
    velocity = (at(second) - at(first)) / passed_s.clamp(min=dt_s) - down * passed_s / 2
    if sideways:
        unknown = (whole.sum(dim=1) < 3)[..., None]
        velocity = torch.where(unknown, velocity.new_tensor([sideways, 0.0]), velocity)
    since_s = ((frame - first) * dt_s)[..., None]
    position = at(first) + velocity * since_s + down * since_s.square() / 2
    velocity = velocity + down * since_s
    radius = (seen.most / torch.pi).sqrt()[..., None]
    state = torch.cat((position, velocity, radius), dim=-1)
    state = torch.where(seen.present[..., None], state, state.new_tensor([5.0, 5.0, 0.0, 0.0, 1.0]))
    return torch.cat((state.flatten(1), state.new_full((len(state), 1), MIDDLE)), dim=1)


def _solve(seen: SeenDiscs, frame: int, gravity: Tensor, theta: Float[Tensor, "clip parameter"]) -> Posterior:
    """Damped least squares about the guess, all clips at once."""
    guess, size = theta, theta.shape[1]
    prior = theta.new_tensor([*PRIOR * seen.present.shape[1], RESTITUTION_STD]).pow(-2)
    steps = torch.cat((torch.zeros(1, size), STEP * torch.eye(size))).to(theta)

    def linearised(some: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals of some clips, their derivatives, and the information on the parameters."""
        found = _residuals(seen.at(some), frame, gravity[some], theta[some, None] + steps)
        jacobian = (found[:, 1:] - found[:, :1]) / STEP  # (clip, parameter, residual)
        return found[:, 0], jacobian, jacobian @ jacobian.mT + torch.diag(prior)

    theta, some = theta.clone(), torch.arange(len(theta))
    for _ in range(ITERATIONS):
        residuals, jacobian, information = linearised(some)
        downhill = (jacobian @ residuals[..., None])[..., 0] + prior * (theta[some] - guess[some])
        diagonal = torch.diag_embed(information.diagonal(dim1=1, dim2=2))
        moves = [torch.linalg.solve(information + each * diagonal, downhill) for each in DAMPINGS]
        trials = torch.stack([theta[some], *(theta[some] - move for move in moves)], dim=1)
        costs = _residuals(seen.at(some), frame, gravity[some], trials).square().sum(dim=-1)
        costs = (costs + ((trials - guess[some, None]).square() * prior).sum(dim=-1)).nan_to_num(torch.inf)
        least, best = costs.min(dim=1)
        theta[some] = trials.gather(1, best[:, None, None].expand(-1, 1, size))[:, 0]
        some = some[least < (1 - MIN_GAIN) * costs[:, 0]]
        if len(some) == 0:
            break
    residuals, _, information = linearised(torch.arange(len(theta)))
    measured = (len(NOISE) * (seen.area.shape[1] - frame) * seen.present.sum(dim=1)).clamp(min=1)
    cost = residuals.square().sum(dim=1) / measured
    return Posterior(seen, torch.full((len(theta),), frame), theta, torch.linalg.inv(information), gravity, cost)


def _residuals(seen: SeenDiscs, frame: int, gravity: Tensor, theta: Theta) -> Float[Tensor, "clip k residual"]:
    """How far what would show lies from what does, in standard deviations."""
    scenes = scenes_of(seen, theta, gravity)
    times_s = torch.arange(seen.area.shape[1] - frame, dtype=theta.dtype) * seen.setting.dt_s
    position = simulate(scenes, times_s, MOST_EVENTS).position
    parts = (each.unflatten(0, theta.shape[:2]) for each in visible_part(scenes, position, seen.setting))
    area, moments = parts
    true_area, place, most = seen.area[:, None, frame:], seen.place[:, None, frame:], seen.most[:, None, None]
    off = (moments - area[..., None] * place) / most[..., None]
    off = torch.cat((off, ((area - true_area) / most)[..., None]), dim=-1) / off.new_tensor(NOISE)
    return torch.where(seen.present[:, None, None, :, None], off, 0.0).flatten(2)


def _outside(values: Tensor, inside: Range, outside: tuple[Range, ...]) -> Tensor:
    """Which of the values lie nearer to a range outside than to that inside."""

    def away(limits: Range) -> Tensor:
        return (limits[0] - values).clamp(min=0) + (values - limits[1]).clamp(min=0)

    return torch.stack([away(limits) for limits in outside]).amin(dim=0) < away(inside)
