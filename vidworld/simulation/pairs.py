"""Laws that no cue can tell: two discs change places between A and B, in company of a third.

A and B show the same places and sizes at every time, or (momentum, collision) the same total momentum and energy, and
differ in which disc is where. Whatever is summed over the picture (count, colours, brightness, motion, middle) agrees,
but for what the two colours weigh unequally, and for how two discs in view turn about each other. The third disc, the
companion, drowns that (`company`).

Each layout draws A and B; the scenarios `hidden_pairs` and `open_pairs` show either of them, at any time.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip_shape import ClipShape
from vidworld.simulation.company import (
    Company,
    Screen,
    Two,
    bands,
    companion_size,
    company,
    drowned,
    motion_energies,
    second_moments,
    shared,
    worlds,
)
from vidworld.simulation.discs import Scenes, dot
from vidworld.simulation.occlusion import Passage, at_any_time, place_between
from vidworld.simulation.scenarios import COLLISION_RANGES, HIDDEN, MIN_CHANGE, MIN_CLOSING_SPEED, after_contact
from vidworld.simulation.stage import Candidates, Fits, Law, PerDisc, PerWorld, Ranges, Scenario, Stage

PAIR_RANGES = Ranges((2.0, 4.0), (0.5, 0.9), ((1.5, 1.9), (4.2, 5.0)), ((0.35, 0.45), (1.0, 1.1)), corner=0.0)
Velocities = tuple[Two, Two]  # of two discs, before and after the moment
Ways = Float[Tensor, "world 2 2 2"]  # the same, of (world, before or after, disc, axis)
MIN_TURN = 2.0  # the least difference of the velocities of two discs that meet in A and B, as one vector of four
MOST_ASIDE = 1.25  # tangent of the largest angle between the two velocities of `crossing`
MIN_NEARER = 0.02  # discs: less is within what pictures of discs differ by
SEEN_FRAMES = 8  # of the past up to the moment, and of the future, whose second moments are compared


def _exchanged(
    stage: Stage, way: Passage, middle: tuple[PerWorld, PerWorld], lane: tuple[PerWorld, PerWorld], sign: PerDisc,
    third: Company, screens: tuple[Screen, ...],
) -> tuple[Scenes, Scenes]:  # fmt: skip
    """A and B: two discs of one size pass these middles at one time, in these lanes; in B each as the other in A."""
    x = torch.stack(middle, dim=1) - sign * way.before[:, None]
    position = torch.stack([x, torch.stack(lane, dim=1)], dim=2)
    velocity = torch.stack([sign * way.speed[:, None], torch.zeros_like(x)], dim=2)
    both = (position, velocity), (position.flip(1), velocity.flip(1))
    return worlds(stage, both, way.radius[:, None].expand(-1, 2), third, screens)


def _hidden(stage: Stage, middle_s: PerWorld, lanes: int) -> tuple[Passage, PerWorld, tuple[PerWorld, ...]]:
    """A passage of both discs, the companion's radius, and half the heights of the lanes' bands and the companion's."""
    way = Passage(stage, middle_s, stage.radius(1)[:, 0])
    more = stage.draws.uniform(0.0, 0.5)
    radius, half = companion_size(stage)
    return way, radius, (*[way.radius + way.margin + more] * lanes, half)


def _middle(stage: Stage, way: Passage, sign: PerWorld) -> tuple[PerWorld, Fits]:
    """A middle of a pass in the picture."""
    start, end = -sign * way.before, sign * way.after
    return place_between(stage, torch.minimum(start, end) - way.radius, torch.maximum(start, end) + way.radius)


def which_screen(stage: Stage, moment_s: PerWorld) -> Candidates:
    """Two discs go behind a screen each. One comes out; the other's screen is long, and it stays behind."""
    return _behind_two(stage, moment_s, stays=True)


def which_color(stage: Stage, moment_s: PerWorld) -> Candidates:
    """Two discs go behind a screen each, and both come out, each in its own colour."""
    return _behind_two(stage, moment_s, stays=False)


def _behind_two(stage: Stage, moment_s: PerWorld, stays: bool) -> Candidates:
    way, radius, halves = _hidden(stage, moment_s, 2)
    (first, second, its), fits = bands(stage, *halves)
    third, has_room = company(stage, moment_s, radius, its)
    sign = stage.draws.sign(2)
    (x, x_fits), (y, y_fits) = (_middle(stage, way, each) for each in sign.unbind(1))
    left, right = -way.half_width, way.half_width
    short = first.screen(x + left, x + right)
    if stays:
        longer = sign[:, 1] * (way.after + way.radius + way.margin)
        left, right = torch.minimum(left, longer), torch.maximum(right, longer)
    screens = short, second.screen(y + left, y + right)
    scenes = _exchanged(stage, way, (x, y), (first.middle, second.middle), sign, third, screens)
    return scenes, fits & has_room & x_fits & y_fits & (way.quarter >= way.half_width)


def which_first(stage: Stage, moment_s: PerWorld) -> Candidates:
    """Two discs, one after the other, pass two screens and the gap between them: the first crosses it in the past, the
    second in the future. In the shorter of the two both are in view as long."""
    way, radius, halves = _hidden(stage, moment_s, 1)
    (lane, its), fits = bands(stage, *halves)
    third, has_room = company(stage, moment_s, radius, its)
    sign = stage.draws.sign()
    apart = way.half_width + way.radius + torch.minimum(way.before, way.after) + stage.draws.uniform(0.0, 0.5)
    start, end = -sign * way.before, sign * (way.after + apart)
    x, x_fits = place_between(stage, torch.minimum(start, end) - way.radius, torch.maximum(start, end) + way.radius)
    both = x, x + sign * apart
    screens = tuple(lane.screen(each - way.half_width, each + way.half_width) for each in both)
    scenes = _exchanged(stage, way, both, (lane.middle, lane.middle), sign[:, None].expand(-1, 2), third, screens)
    return scenes, fits & has_room & x_fits & (way.quarter >= way.half_width)


def meeting(stage: Stage, moment_s: PerWorld) -> Candidates:
    """Two discs come from either side behind one screen, in one lane: they meet, and go back."""
    return _from_both_sides(stage, moment_s, meets=True)


def passing(stage: Stage, moment_s: PerWorld) -> Candidates:
    """Two discs come from either side behind one screen, in lanes with room between them: they pass each other."""
    return _from_both_sides(stage, moment_s, meets=False)


def _from_both_sides(stage: Stage, moment_s: PerWorld, meets: bool) -> Candidates:
    """They are hidden for the quarter of the clip before the moment or for that after it: what goes back is seen in the
    same places, which it would else be just before and just after the splice."""
    dt_s = stage.setting.dt_s
    longer_s = stage.setting.num_frames / 4 * dt_s - dt_s  # than a passage is hidden at least
    way, radius, (half, own) = _hidden(stage, moment_s + stage.draws.sign() * longer_s / 2, 1)
    way.half_width = way.half_width + way.speed * longer_s / 2
    apart = torch.zeros_like(half) if meets else way.radius + stage.draws.uniform(0.05, 0.4)  # of the lanes, half
    (lanes, its), fits = bands(stage, half + apart, own)
    third, has_room = company(stage, moment_s, radius, its)
    stop = way.radius if meets else torch.zeros_like(half)
    way.half_width = way.half_width + stop
    reach = stop + torch.maximum(way.before, way.after) + way.radius
    x, x_fits = place_between(stage, -reach, reach)
    sign = stage.draws.sign()
    signs = torch.stack([sign, -sign], dim=1)
    both, lane = (x - sign * stop, x + sign * stop), (lanes.middle - apart, lanes.middle + apart)
    screens = (lanes.screen(x - way.half_width, x + way.half_width),)
    scenes = _exchanged(stage, way, both, lane, signs, third, screens)
    return scenes, fits & has_room & x_fits & (stop + torch.minimum(way.before, way.after) >= way.half_width)


def crossing(stage: Stage, moment_s: PerWorld, balanced: bool = True) -> Candidates:
    """Two discs of one size, nearest to each other at the moment; in B each has the other's velocity in A."""
    radius = stage.radius(1)
    way, aside = stage.draws.direction(1)[:, 0], stage.draws.uniform(-MOST_ASIDE, MOST_ASIDE)
    other = way + aside[:, None] * torch.stack([-way[:, 1], way[:, 0]], dim=1)
    directions = torch.stack([way, other / dot(other, other).sqrt()[:, None]], dim=1)
    velocity = stage.speed(2)[:, :, None] * directions
    change, side = velocity[:, 0] - velocity[:, 1], stage.draws.sign()
    size = dot(change, change).sqrt()
    across = side[:, None] * torch.stack([-change[:, 1], change[:, 0]], dim=1) / size[:, None]
    place = (radius + stage.draws.uniform(0.1, 0.6)[:, None]) * across
    places, swapped = torch.stack([-place, place], dim=1), velocity.flip(1)
    a, b = (velocity, velocity), (swapped, swapped)
    nearer = _nearness(places, velocity, swapped, radius, stage.setting)
    valid = (nearer.abs() > MIN_NEARER) & (size >= MIN_CHANGE)
    return _in_the_open(stage, moment_s, radius.expand(-1, 2), places, a, b, valid, balanced)


def _nearness(places: Two, own: Two, other: Two, radius: PerDisc, setting: ClipShape) -> PerWorld:
    """How much nearer a picture is to its own past's a quarter of the clip before than to the other's, in discs.

    That the future changes less, or more, than it might have is to tell nothing of the law: either is so in a half.
    """
    lag = max(1, setting.num_frames // 4)
    likeness = torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=torch.float64, device=radius.device)  # of the two colours
    nearer = torch.zeros_like(radius[:, 0])
    for after in range(1, lag + 1):
        future = (places + own * (after * setting.dt_s))[:, :, None]
        for sign, before in ((1.0, own), (-1.0, other)):
            apart = future - (places - before * ((lag - after) * setting.dt_s))[:, None]
            covered = shared(dot(apart, apart).sqrt(), radius[:, :, None])
            nearer = nearer + sign * (likeness * covered).sum((1, 2)) / lag
    return nearer


def turned_contact(stage: Stage, moment_s: PerWorld, balanced: bool = True) -> Candidates:
    """Two discs meet at the moment in A and B with one momentum and one energy; their relative velocity is turned.

    It comes from the same side of the contact's normal, so that to go straight on is as far from either outcome.
    """
    radius, normal = stage.radius(2), stage.draws.direction(1)[:, 0]
    mass = radius * radius
    share = mass / mass.sum(1, keepdim=True)
    a = stage.speed(2)[:, :, None] * stage.draws.direction(2)
    common = (share[:, :, None] * a).sum(1)
    relative, turned = a[:, 0] - a[:, 1], stage.draws.direction(1)[:, 0].abs()
    normal = torch.where(dot(relative, normal) > 0, 1.0, -1.0)[:, None] * normal  # so that they come together
    tangent = torch.stack([-normal[:, 1], normal[:, 0]], dim=1)
    size, side = dot(relative, relative).sqrt(), dot(relative, tangent).sign()
    relative_b = size[:, None] * (turned[:, :1] * normal + (side * turned[:, 1])[:, None] * tangent)
    b = torch.stack([common + share[:, 1:] * relative_b, common - share[:, :1] * relative_b], dim=1)
    places = torch.stack([-radius[:, :1] * normal, radius[:, 1:] * normal], dim=1)
    of_a, of_b = ((incoming, after_contact(incoming, mass, normal)) for incoming in (a, b))
    change, speed_b = a - b, dot(b, b).sqrt()
    low, high = stage.ranges.speed
    drawn = ((speed_b >= low) & (speed_b <= high)).all(1) | stage.outside_speed
    closing = torch.minimum(dot(relative, normal), dot(relative_b, normal)) > MIN_CLOSING_SPEED
    valid = drawn & closing & (dot(change, change).sum(1) >= MIN_TURN**2)
    return _in_the_open(stage, moment_s, radius, places, of_a, of_b, valid, balanced)


def _in_the_open(
    stage: Stage, moment_s: PerWorld, radius: PerDisc, places: Two, a: Velocities, b: Velocities, valid: Fits,
    balanced: bool,
) -> Candidates:  # fmt: skip
    """A and B: two discs that are at these places at the moment, with these velocities before and after it.

    balanced: only where no sum over the picture tells which disc is where; quadruplets need that, training does not.
    """
    before = moment_s[:, None, None]
    after = stage.setting.duration_s - before
    starts = [places - first * before for first, _ in (a, b)]
    reached = torch.cat([*starts, *(places + then * after for _, then in (a, b)), places], dim=1)
    size = radius.repeat(1, 5)[:, :, None]
    low, high = (reached - size).amin(1), (reached + size).amax(1)
    own, half = companion_size(stage)
    (theirs, its), fits = bands(stage, (high[:, 1] - low[:, 1]) / 2 + 0.1, half)
    third, has_room = company(stage, moment_s, own, its)
    x, x_fits = place_between(stage, low[:, 0], high[:, 0])
    point = torch.stack([x, theirs.middle - (low[:, 1] + high[:, 1]) / 2], dim=1)[:, None]
    pairs = tuple((point + start, first) for start, (first, _) in zip(starts, (a, b), strict=True))
    scenes = worlds(stage, (pairs[0], pairs[1]), radius, third)
    valid = valid & fits & has_room & x_fits
    if balanced:
        some = valid.nonzero()[:, 0]
        ways_a, ways_b = (torch.stack(each, dim=1)[some] for each in (a, b))
        middle = (point + places)[some]
        valid[some] = _balances(stage, scenes[0].at(some), moment_s[some], middle, (ways_a, ways_b))
    return scenes, valid


def _balances(stage: Stage, scenes: Scenes, moment_s: PerWorld, places: Two, ways: tuple[Ways, Ways]) -> Fits:
    """Whether the companion drowns what tells A from B, where the discs are at these places at the moment."""
    frames = torch.arange(SEEN_FRAMES, dtype=torch.float64, device=places.device)
    since_s = stage.setting.dt_s * torch.stack([frames - (SEEN_FRAMES - 1), frames + 1])  # of the past, of the future
    time_s = moment_s[:, None, None] + since_s
    valid = torch.ones_like(moment_s, dtype=torch.bool)
    for colored in (False, True):
        (of_a, shown), (of_b, _) = (
            second_moments(
                scenes, places[:, None, None] + velocity[:, :, None] * since_s[..., None, None], time_s, colored
            )
            for velocity in ways
        )
        valid = valid & drowned(since_s, shown, of_a, of_b)
    of_a, of_b = (motion_energies(scenes, velocity, time_s, stage.setting.dt_s) for velocity in ways)
    between_s = since_s.unfold(1, 2, 1).mean(-1)
    return valid & drowned(between_s, torch.ones_like(of_a), of_a, of_b, ("before", "last", "straight"))


# --- the registries' entries ---

HIDDEN_LAYOUTS = (which_screen, which_color, which_first, meeting, passing)
HIDDEN_PAIRS = Scenario(
    tuple(map(at_any_time, HIDDEN_LAYOUTS)), PAIR_RANGES, weight=3.0, metrics=("velocity_error", "reappearance")
)
OPEN_PAIRS = Scenario(
    tuple(at_any_time(partial(layout, balanced=False)) for layout in (crossing, turned_contact)),
    COLLISION_RANGES,
    weight=2.0,
    metrics=("velocity_error",),
)

LAST = -1.0  # the moment of the open laws: the last frame of the past, which a frozen frame is of
NOT_YET = 1e-7  # frames: a contact is that much later, so that the last velocities seen are those before it
_of_hidden = partial(Law, ranges=PAIR_RANGES, moment_frames=HIDDEN)
PERMANENCE_LAW = _of_hidden((which_screen,), statement="What is hidden is still there, and it is still that.")
CONSTANCY_LAW = _of_hidden((which_color,), statement="Things keep their colour while they are hidden.")
CONTINUITY_LAW = _of_hidden(
    (which_first,), statement="Nothing gets from one place to another without crossing what lies between."
)
SOLIDITY_LAW = _of_hidden((meeting, passing), statement="Solid things do not pass through each other.")
MOMENTUM_LAW = Law((crossing,), COLLISION_RANGES, "Nothing changes its velocity without a cause.", LAST)
COLLISION_LAW = Law(
    (turned_contact,), COLLISION_RANGES, "How two discs part follows from how they met.", LAST + NOT_YET
)
