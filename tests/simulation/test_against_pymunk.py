"""An independent simulator, pymunk, moves the same scenes as ours does, where physics says that it must.

pymunk goes in small steps, so it sees a contact up to a step late: positions after it agree within about
twice the way of one step, velocities within the turn of the line of centres in that time.
"""

import pymunk
import pytest
import torch
from disc_scenes import BOX, FLOOR, energy, make_scenes, momentum

from vidworld.simulation.discs import Scenes, Trajectories, simulate

STEP_S = 1e-4
STEPS_A_FRAME = 1000
FRAMES = 21
TOLERANCE = 2e-3
"""Units, and units a second; nothing here is faster than 5 units a second."""


def by_pymunk(scenes: Scenes) -> Trajectories:
    """The one clip's motion by pymunk, at every tenth of a second."""
    space = pymunk.Space()
    space.gravity = (0, float(scenes.gravity[0]))
    elasticity = float(scenes.restitution[0])  # of a pair pymunk takes the product
    for x, y, offset in scenes.walls[0].tolist():
        along = pymunk.Vec2d(-y, x) * 100
        foot = pymunk.Vec2d(x, y) * offset
        wall = pymunk.Segment(space.static_body, foot - along, foot + along, 0)
        wall.elasticity = 1
        space.add(wall)
    bodies = []
    discs = (scenes.position, scenes.velocity, scenes.mass, scenes.radius)
    for place, velocity, mass, radius in zip(*(value[0].tolist() for value in discs), strict=True):
        body = pymunk.Body(mass, float("inf"))  # nothing turns: there is no friction
        body.position, body.velocity = tuple(place), tuple(velocity)
        shape = pymunk.Circle(body, radius)
        shape.elasticity = elasticity if not bodies else 1
        space.add(body, shape)
        bodies.append(body)
    frames = []
    for _ in range(FRAMES):
        frames.append([[*body.position, *body.velocity] for body in bodies])
        for _ in range(STEPS_A_FRAME):
            space.step(STEP_S)
    state = torch.tensor(frames, dtype=torch.float64)[None]
    return Trajectories(state[..., :2], state[..., 2:], torch.full_like(scenes.radius, torch.nan))


SCENES = {
    "head-on, equal": make_scenes([[2.0, 5.0], [8.0, 5.0]], [[3.0, 0.0], [-2.0, 0.0]], [1.0, 1.0]),
    "head-on, a small one at rest": make_scenes([[2.0, 5.0], [6.0, 5.0]], [[3.0, 0.0], [0.0, 0.0]], [1.2, 0.6]),
    "oblique": make_scenes([[2.0, 4.0], [7.0, 5.0]], [[3.0, 1.0], [-2.0, 0.5]], [1.0, 0.7]),
    "oblique, from the side": make_scenes([[3.0, 2.0], [2.0, 6.0]], [[1.0, 2.5], [2.0, -1.0]], [0.9, 1.3]),
    "restitution 0.6": make_scenes([[2.0, 5.0], [8.0, 5.3]], [[3.0, 0.0], [-1.0, 0.0]], [1.0, 0.7], restitution=0.6),
    "between walls": make_scenes([[5.0, 3.0]], [[4.0, 2.7]], [1.0], walls=BOX),
    "parabola": make_scenes([[2.0, 6.0]], [[2.0, -4.0]], [0.8], gravity=5.0),
    "bounce on the floor": make_scenes([[2.0, 5.0]], [[1.5, 1.0]], [1.0], 5.0, 0.8, FLOOR),
}


@pytest.mark.parametrize("scene", SCENES)
def test_both_simulators_agree(scene: str) -> None:
    scenes = SCENES[scene]
    times_s = torch.arange(FRAMES, dtype=torch.float64) * STEP_S * STEPS_A_FRAME
    ours, theirs = simulate(scenes, times_s), by_pymunk(scenes)
    assert float((ours.position - theirs.position).abs().max()) < TOLERANCE
    assert float((ours.velocity - theirs.velocity).abs().max()) < TOLERANCE


@pytest.mark.parametrize("scene", ["head-on, equal", "oblique", "restitution 0.6"])
def test_the_scenes_have_contacts_and_both_conserve_momentum(scene: str) -> None:
    scenes = SCENES[scene]
    ours = simulate(scenes, torch.arange(FRAMES, dtype=torch.float64) / 10)
    assert ours.contact_s.isfinite().all()
    for motion in (ours, by_pymunk(scenes)):
        drift = momentum(scenes, motion) - momentum(scenes, motion)[:, :1]
        assert float(drift.abs().max()) < 1e-9


def test_both_lose_the_same_energy() -> None:
    scenes = SCENES["restitution 0.6"]
    ours = simulate(scenes, torch.arange(FRAMES, dtype=torch.float64) / 10)
    kept = [float(energy(scenes, m)[0, -1] / energy(scenes, m)[0, 0]) for m in (ours, by_pymunk(scenes))]
    assert kept[0] < 0.95
    assert kept[0] == pytest.approx(kept[1], rel=1e-3)
