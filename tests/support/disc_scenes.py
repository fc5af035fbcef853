"""Small worlds of discs by hand, and what is conserved in them."""

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.simulation.discs import Scenes, Trajectories

BOX = [[1.0, 0.0, 0.0], [-1.0, 0.0, -10.0], [0.0, 1.0, 0.0], [0.0, -1.0, -10.0]]
FLOOR = [[0.0, -1.0, -10.0]]


def make_scenes(
    position: list[list[float]],
    velocity: list[list[float]],
    radius: list[float],
    gravity: float = 0.0,
    restitution: float = 1.0,
    walls: list[list[float]] | None = None,
) -> Scenes:
    """One clip of these discs, mass their radius squared."""
    radii = torch.tensor([radius], dtype=torch.float64)
    return Scenes(
        position=torch.tensor([position], dtype=torch.float64),
        velocity=torch.tensor([velocity], dtype=torch.float64),
        radius=radii,
        mass=radii**2,
        present=torch.ones_like(radii, dtype=torch.bool),
        color=torch.zeros(1, len(radius), 3, dtype=torch.float64),
        gravity=torch.tensor([gravity], dtype=torch.float64),
        restitution=torch.tensor([restitution], dtype=torch.float64),
        walls=torch.tensor([walls or []], dtype=torch.float64).reshape(1, -1, 3),
        screens=torch.zeros(1, 0, 4, dtype=torch.float64),
        blocks=torch.zeros(1, 0, 4, dtype=torch.float64),
    )


def momentum(scenes: Scenes, motion: Trajectories) -> Float[Tensor, "clip time 2"]:
    return (scenes.mass[:, None, :, None] * motion.velocity).sum(2)


def energy(scenes: Scenes, motion: Trajectories) -> Float[Tensor, "clip time"]:
    """Kinetic and potential; y points down."""
    kinetic = 0.5 * scenes.mass[:, None] * motion.velocity.square().sum(-1)
    return (kinetic - scenes.mass[:, None] * scenes.gravity[:, None, None] * motion.position[..., 1]).sum(-1)
